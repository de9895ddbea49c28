-- Begins an epoch, if the reign is the one that is expected. Returns whether it did.
-- KEYS: the log, the reign.
-- ARGV: epoch, first number and process of the expected reign, each empty if there is none; those of the new one; the entry.
local reign = redis.call('HMGET', KEYS[2], 'epoch', 'first', 'process')
for field = 1, 3 do
    if (reign[field] or '') ~= ARGV[field] then
        return 0
    end
end
if not redis.acl_check_cmd('HSET', KEYS[2], 'epoch', ARGV[4]) then
    return redis.error_reply('NOPERM this user has no permissions to run HSET on the reign')
end
local id = redis.pcall('XADD', KEYS[1], ARGV[4] .. '-' .. ARGV[5], 'd', ARGV[7])
if type(id) == 'table' then
    -- The log has gone further than the node knew: it looks again.
    if string.find(id.err, 'equal or smaller', 1, true) then
        return 0
    end
    return id
end
redis.call('HSET', KEYS[2], 'epoch', ARGV[4], 'first', ARGV[5], 'process', ARGV[6])
return 1
