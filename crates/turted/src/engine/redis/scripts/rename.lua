-- Gives the reign that was seen to the process that has it still, under its new name. Returns whether it did.
-- KEYS: the reign. ARGV: epoch, first number and process of the reign that was seen; the new name of the process.
local reign = redis.call('HMGET', KEYS[1], 'epoch', 'first', 'process')
for field = 1, 3 do
    if reign[field] ~= ARGV[field] then
        return 0
    end
end
redis.call('HSET', KEYS[1], 'process', ARGV[4])
return 1
