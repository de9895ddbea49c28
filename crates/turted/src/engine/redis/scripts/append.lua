-- Appends the entries of one push, if its key is not known yet and the name is held. Lua may fail in the middle, and
-- nothing is undone then, so whatever can fail is tried before the first entry is appended.
-- KEYS: the log, then the key if there is one, then the held name if there is one.
-- ARGV: the id, the process, whether there is a key, whether there is a held name, what is kept beside the key, how long
-- it is kept, and the entries.
local key, held
if ARGV[3] == '1' then
    key = KEYS[2]
end
if ARGV[4] == '1' then
    held = KEYS[#KEYS]
end
if held then
    local value = redis.call('GET', held)
    if not value or string.sub(value, 1, 8) ~= ARGV[2] then
        return 'NOTHELD'
    end
end
if key then
    local known = redis.call('GET', key)
    if known and string.match(known, '^%d+%-%d+ ') then
        return {known}
    end
    if not redis.acl_check_cmd('SET', key, '', 'PX', ARGV[6]) then
        return redis.error_reply('NOPERM this user has no permissions to run SET on the keys of pushes')
    end
end
local first
for entry = 7, #ARGV do
    -- Only the first can fail: memory is counted when the script begins, and nobody comes between.
    local id = redis.pcall('XADD', KEYS[1], 'NOMKSTREAM', ARGV[1], 'd', ARGV[entry])
    if not id then
        return 'GONE'
    end
    if type(id) == 'table' then
        return id
    end
    first = first or id
end
if key then
    redis.call('SET', key, first .. ' ' .. ARGV[5], 'PX', ARGV[6])
end
return first
