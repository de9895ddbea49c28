#!lua flags=no-writes,allow-stale
-- Tells the id that the log has given last; nothing if there is no log. XINFO tells the first and the last entry as well, as
-- wholes: they stay here. That nothing is written is said so that nobody has to wait for room, a disk, or a failover.
-- KEYS: the log.
local log = redis.pcall('XINFO', 'STREAM', KEYS[1])
if log.err then
    if string.find(log.err, 'no such key', 1, true) then
        return false
    end
    return log
end
for field = 1, #log, 2 do
    if log[field] == 'last-generated-id' then
        return log[field + 1]
    end
end
return redis.error_reply('ERR XINFO tells no last id')
