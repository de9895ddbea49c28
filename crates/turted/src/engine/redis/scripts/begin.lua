-- Begins an epoch, if the reign and the last id are those that were seen. Returns whether it did.
-- KEYS: the log, the reign.
-- ARGV: epoch, first number and process of the reign that was seen, each empty if there was none; those of the new one; the
-- last id that was seen, empty if there was no log; the entry.
local reign = redis.call('HMGET', KEYS[2], 'epoch', 'first', 'process')
for field = 1, 3 do
    if (reign[field] or '') ~= ARGV[field] then
        return 0
    end
end
local log = redis.pcall('XINFO', 'STREAM', KEYS[1], 'FULL', 'COUNT', '1')
local last = ''
if log.err then
    if not string.find(log.err, 'no such key', 1, true) then
        return log
    end
else
    for field = 1, #log, 2 do
        if log[field] == 'last-generated-id' then
            last = log[field + 1]
        end
    end
end
-- Something was appended meanwhile: the entry would name a wrong end.
if last ~= ARGV[7] then
    return 0
end
if not redis.acl_check_cmd('HSET', KEYS[2], 'epoch', ARGV[4]) then
    return redis.error_reply('NOPERM this user has no permissions to run HSET on the reign')
end
local id = redis.pcall('XADD', KEYS[1], ARGV[4] .. '-' .. ARGV[5], 'd', ARGV[8])
if type(id) == 'table' then
    -- The epoch is not above the last one: the node looks again.
    if string.find(id.err, 'equal or smaller', 1, true) then
        return 0
    end
    return id
end
redis.call('HSET', KEYS[2], 'epoch', ARGV[4], 'first', ARGV[5], 'process', ARGV[6])
return 1
