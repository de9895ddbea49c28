-- Changes a value. Its first eight bytes are the process that owns it.
-- KEYS: the value. ARGV: what to do, the process, how long the value is kept, the value.
local value = redis.call('GET', KEYS[1])
-- One that is shorter is no value of ours.
if value and #value < 8 then
    value = false
end
if ARGV[1] == 'take' then
    if not value then
        return 'MISSING'
    end
    redis.call('SET', KEYS[1], ARGV[2] .. string.sub(value, 9), 'PX', ARGV[3])
    return {'VALUE', value}
end
if value and string.sub(value, 1, 8) ~= ARGV[2] then
    return {'OWNED', value}
end
if ARGV[1] == 'put' then
    redis.call('SET', KEYS[1], ARGV[2] .. ARGV[4], 'PX', ARGV[3])
    return 'DONE'
end
if not value then
    return 'MISSING'
end
if ARGV[1] == 'delete' then
    redis.call('DEL', KEYS[1])
else
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 'DONE'
