"""What Redis does for the history in one go, as Lua."""

_DATA_SET = """
local data_set = redis.call('GET', KEYS[1])
if not data_set then
  data_set = ARGV[1]
  redis.call('SET', KEYS[1], data_set)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Of a stream whose entries are all gone, this still knows the last one.
local function head(key)
  local info = redis.pcall('XINFO', 'STREAM', key)
  if info.err then return nil end
  for at = 1, #info, 2 do
    if info[at] == 'last-generated-id' then return info[at + 1] end
  end
end
"""

APPEND = f"""{_DATA_SET}
-- KEYS: the data set's, one stream for each entry, the users' kept ones and the tries' where they
-- are needed.
-- ARGV: a name for a new data set; length of users' streams and of that to all; life of a stream
-- in ms; number of entries, of pushes; id and content of each push; for each entry the place of its
-- push, and of the kept ones' key among KEYS (0: not kept, -1: the stream to all); then for entries
-- that may have been appended before, which one, and the place of the tries' key among KEYS.
local length, all_length, life = ARGV[2], ARGV[3], ARGV[4]
local entries, pushes = tonumber(ARGV[5]), tonumber(ARGV[6])
local reply = {{data_set}}
local places = 6 + 2 * pushes
local heads, tried = {{}}, {{}}
for place = places + 2 * entries + 1, #ARGV, 2 do
  tried[tonumber(ARGV[place])] = KEYS[tonumber(ARGV[place + 1])]
end
local function append(key, push, kept)
  local last = heads[key] or head(key) or '0-0'
  local ms, number = string.match(last, '(%d+)-(%d+)')
  local at = string.format('%.0f-%.0f', math.max(now, tonumber(ms)), tonumber(number) + 1)
  local most = length
  if kept == -1 then most = all_length end
  if kept > 0 then
    redis.call('XADD', key, 'MAXLEN', '~', most, at, 'i', ARGV[push], 'c', ARGV[push + 1], 'k', 1)
  else
    redis.call('XADD', key, 'MAXLEN', '~', most, at, 'i', ARGV[push], 'c', ARGV[push + 1])
  end
  if kept ~= -1 and not heads[key] then redis.call('PEXPIRE', key, life) end
  if kept > 0 then
    local pointers = KEYS[kept]
    redis.call('HSET', pointers, ARGV[push], at)
    redis.call('PEXPIRE', pointers, life)
    if redis.call('HLEN', pointers) > 2 * tonumber(length) + 200 then
      local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1][1]
      local from = tonumber(string.match(first, '-(%d+)'))
      local all = redis.call('HGETALL', pointers)
      for place = 1, #all, 2 do
        if tonumber(string.match(all[place + 1], '-(%d+)')) < from then
          redis.call('HDEL', pointers, all[place])
        end
      end
    end
  end
  heads[key] = at
  return at
end
-- The position of then counts only while the entry is there: otherwise nobody could fetch it.
local function before(tries, field, key, id)
  local at = redis.call('HGET', tries, field)
  local found = at and redis.call('XRANGE', key, at, at)[1]
  return found and found[2][2] == id and at
end
for entry = 1, entries do
  local key = KEYS[entry + 1]
  local push = 5 + 2 * tonumber(ARGV[places + 2 * entry - 1])
  local kept = tonumber(ARGV[places + 2 * entry])
  local tries = tried[entry]
  if tries then
    local field = ARGV[push] .. ':' .. key
    local at = before(tries, field, key, ARGV[push])
    if not at then
      at = append(key, push, kept)
      if redis.call('EXISTS', tries) == 1 then redis.call('HSET', tries, field, at) end
    end
    reply[entry + 1] = at
  else
    reply[entry + 1] = append(key, push, kept)
  end
end
return reply
"""

HEADS = f"""{_DATA_SET}
-- KEYS: the data set's, the stream to all, then a stream and kept ones of each user.
-- Gives the data set, the time, and heads; with those of users, how many are kept for them.
local reply = {{data_set, string.format('%.0f', now), head(KEYS[2]) or ''}}
for place = 3, #KEYS, 2 do
  reply[#reply + 1] = head(KEYS[place]) or ''
  reply[#reply + 1] = redis.call('HLEN', KEYS[place + 1])
end
return reply
"""
