-- Add nudges to one queue; those whose job exists are left alone, so an id is added once however often it is tried.
-- A job that says it is scheduled and is not in the schedule has been lost, and is added anew.
--
-- A bounded queue holds what is due first. What lies at or beyond the feeder's mark is left to the feeder. Where the
-- queue is full the last one makes room for an earlier one; whoever has to stay outside pulls the mark back to its own
-- place, so that the feeder comes by again. A place is a due time and, within it, the id of a row.
--
-- Jobs of others count as well, and are never put out. Where they alone fill the schedule, what is due goes in as long as
-- the list has room: there are never more of ours than the bound.
--
-- KEYS  1 the queue's schedule (sorted set by due time)   2 the queue's list   3 the set of all queues
--       4 the feeder's mark (hash: at, id): everything before it is in Redis or about to be
--       5 a note that nothing of ours is in the schedule
-- ARGV  1 queue key   2 queue name   3 created_at   4 job time-out   5 failure ttl   6 "1" to overwrite
--       7 the channel on which the scheduler sleeps   8 the time (empty: Redis' own clock)
--       9 how many the queue may hold (empty: no bound)
--       10 report jobs that are waited for longer than so many seconds, or that are not where a later one should be
--       (empty: report none)
--       then for each nudge: job id, payload, due time in seconds (empty: now)
-- Returns {how many went in, how many were left to the feeder, the ids to report …}
local clock = redis.call('TIME')
local now = tonumber(ARGV[8]) or clock[1] + clock[2] / 1e6
local bound, patience = tonumber(ARGV[9]), tonumber(ARGV[10])
local used, listed, mark_at, mark_id, pulled = 0, 0, nil, nil, false
if bound then
  listed = redis.call('LLEN', KEYS[2])
  used = redis.call('ZCARD', KEYS[1]) + listed
  local mark = redis.call('HMGET', KEYS[4], 'at', 'id')
  if mark[1] and mark[2] then mark_at, mark_id = tonumber(mark[1]), mark[2] end
end

local function before(at, id, other_at, other_id)
  return at < other_at or (at == other_at and id < other_id)
end

local function pull(at, id)
  local row = id:match('^[^-]*')
  if mark_at and before(at, row, mark_at, mark_id) then mark_at, mark_id, pulled = at, row, true end
end

-- The last of ours in the schedule; theirs that come after it are stepped over, once for all nudges of this call. Where
-- there is none a note is left, so that a schedule full of theirs is not read by each call.
local STEP, theirs = 500, 0
local function last_of_ours()
  if redis.call('EXISTS', KEYS[5]) == 1 then return nil end
  local step, found = 1, nil
  repeat
    found = redis.call('ZRANGE', KEYS[1], -theirs - step, -theirs - 1, 'WITHSCORES')
    for i = #found - 1, 1, -2 do
      -- The id of one of ours begins with that of a row.
      if #found[i]:match('^%x*') == 32 then return found[i], tonumber(found[i + 1]) end
      theirs = theirs + 1
    end
    step = STEP
  until #found == 0
  redis.call('SET', KEYS[5], '1', 'EX', 60)
  return nil
end

-- Ours that is due last goes, if it is due after this place.
local function make_room(at, id)
  local last, last_at = last_of_ours()
  if not last then return at <= now and listed < bound end
  if not before(at, id, last_at, last) then return false end
  redis.call('ZREM', KEYS[1], last)
  redis.call('DEL', 'rq:job:' .. last)
  used = used - 1
  pull(last_at, last)
  return true
end

local function admit(at, id)
  if not bound then return true end
  -- Beyond the mark the feeder decides, which keeps the order. What is due goes in all the same while there is plenty of
  -- room: it must not wait for a feeder that is not there.
  if mark_at and not before(at, id, mark_at, mark_id) and (at > now or listed * 2 >= bound) then return false end
  if used < bound or make_room(at, id) then return true end
  pull(at, id)
  return false
end

local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local soonest = head and tonumber(head) or math.huge
local wake, added, left, doubtful = false, 0, 0, {}
for i = 11, #ARGV, 3 do
  local id, payload = ARGV[i], ARGV[i + 1]
  local key, at = 'rq:job:' .. id, tonumber(ARGV[i + 2]) or now
  local status = redis.pcall('HGET', key, 'status')
  local waiting = status == 'scheduled' and redis.call('ZSCORE', KEYS[1], id)
  if not status or ARGV[6] == '1' or (status == 'scheduled' and not waiting) then
    if not admit(at, id) then
      left = left + 1
    else
      if status then
        redis.call('DEL', key)
        used = used - redis.call('ZREM', KEYS[1], id)
      end
      -- Few fields, none above 64 bytes: the hash stays a listpack, a third of the memory of a hash table.
      redis.call('HSET', key, 'data', payload, 'origin', ARGV[2], 'status', at > now and 'scheduled' or 'queued',
        'created_at', ARGV[3], 'timeout', ARGV[4], 'result_ttl', '0', 'failure_ttl', ARGV[5])
      if at > now then
        redis.call('ZADD', KEYS[1], ARGV[i + 2], id)
        theirs = 0
        if bound then redis.call('DEL', KEYS[5]) end
        if at < soonest then soonest, wake = at, true end
      else
        redis.call('RPUSH', KEYS[2], id)
        listed = listed + 1
      end
      used, added = used + 1, added + 1
    end
  elseif patience and not waiting and (at > now or at <= now - patience) then
    doubtful[#doubtful + 1] = id
  end
end
if added > 0 then redis.call('SADD', KEYS[3], ARGV[1]) end
if pulled then redis.call('HSET', KEYS[4], 'at', string.format('%.17g', mark_at), 'id', mark_id) end
if wake then redis.call('PUBLISH', ARGV[7], '1') end
return {added, left, unpack(doubtful)}
