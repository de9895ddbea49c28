-- Names the commands that this user may not run. Nothing is run.
-- KEYS: the log, the reign, a value. ARGV: a channel.
local commands = {
    {'XADD', KEYS[1], 'NOMKSTREAM', '*', 'd', ''},
    {'XREAD', 'COUNT', '1', 'BLOCK', '1', 'STREAMS', KEYS[1], '0-0'},
    {'XRANGE', KEYS[1], '-', '+'},
    {'XTRIM', KEYS[1], 'MINID', '0-0'},
    {'XINFO', 'STREAM', KEYS[1]},
    {'HMGET', KEYS[2], 'epoch'},
    {'HSET', KEYS[2], 'epoch', '0'},
    {'GET', KEYS[3]},
    {'SET', KEYS[3], ''},
    {'DEL', KEYS[3]},
    {'PEXPIRE', KEYS[3], '1'},
    {'PUBLISH', ARGV[1], ''},
    {'SUBSCRIBE', ARGV[1]},
    {'EVALSHA', '', '0'},
    {'CLIENT', 'ID'},
    {'CLIENT', 'KILL', 'ID', '1'},
    {'WAIT', '0', '1'},
    {'PING'},
}
local denied = {}
for _, command in ipairs(commands) do
    if not redis.acl_check_cmd(unpack(command)) then
        denied[#denied + 1] = table.concat(command, ' ')
    end
end
return denied
