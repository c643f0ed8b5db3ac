-- One turn of the scheduler: elect or renew the leader, move what is due into the queues, say when to come back.
--
-- One script, so that it is all or nothing: a leader that was paused past its lease cannot promote (the lock is checked
-- here and nowhere else), and one that is killed half-way has done everything or nothing.
--
-- KEYS  1 the lock   2 rq-scheduler's own sorted set   then for each queue: its schedule, its list
-- ARGV  1 our token   2 lease in ms   3 batch   4 enqueued_at   5 poison set   6 the time (empty: Redis' own clock)
-- Returns {leader?, moved, wait in ms, ids of periodic entries that are due, ids of poison, keys that hold something else
-- than they should: what depends on those is left out}
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then
  return {0, 0, redis.call('PTTL', KEYS[1]), {}, {}, {}}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(ARGV[6]) or clock[1] + clock[2] / 1e6
local batch = tonumber(ARGV[3])
local moved, full, soonest, poison, blocked = 0, false, math.huge, {}, {}

local function holds(key, kind)
  local found = redis.call('TYPE', key)['ok']
  if found == kind or found == 'none' then return true end
  blocked[#blocked + 1] = key
  return false
end

local function promote(schedule, list)
  local due = redis.call('ZRANGEBYSCORE', schedule, '-inf', string.format('%.6f', now), 'LIMIT', 0, batch)
  if #due == batch then full = true end
  local ready = {}
  for _, id in ipairs(due) do
    local key = 'rq:job:' .. id
    local kind = redis.call('TYPE', key)['ok']
    if kind == 'hash' then
      local status = redis.call('HGET', key, 'status')
      if status ~= 'canceled' then
        redis.call('HSET', key, 'status', 'queued', 'enqueued_at', ARGV[4])
        ready[#ready + 1] = id
      end
    elseif kind ~= 'none' then
      -- Somebody else's value under a job's name: out of the way, and reported.
      redis.call('ZADD', ARGV[5], now, id)
      poison[#poison + 1] = id
    end
    -- A missing hash means a cancelled or expired job; SQL knows whether another nudge is needed.
  end
  if #ready > 0 then redis.call('RPUSH', list, unpack(ready)) end
  if #due > 0 then redis.call('ZREM', schedule, unpack(due)) end
  moved = moved + #ready
  local head = redis.call('ZRANGE', schedule, 0, 0, 'WITHSCORES')[2]
  if head then soonest = math.min(soonest, tonumber(head)) end
end

for k = 3, #KEYS, 2 do
  local schedule_holds, list_holds = holds(KEYS[k], 'zset'), holds(KEYS[k + 1], 'list')
  if schedule_holds and list_holds then promote(KEYS[k], KEYS[k + 1]) end
end
local periodic = {}
if holds(KEYS[2], 'zset') then
  periodic = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', now), 'LIMIT', 0, batch)
  local head = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
  if head and #periodic == 0 then soonest = math.min(soonest, tonumber(head)) end
end
local wait = -1
if full or #periodic > 0 then
  wait = 0
elseif soonest < math.huge then
  wait = math.max(0, (soonest - now) * 1000)
end
-- Redis cuts numbers to integers: the wait is rounded up to the next 0.1 ms and sent as such.
return {1, moved, wait < 0 and -1 or math.ceil(wait * 10), periodic, poison, blocked}
