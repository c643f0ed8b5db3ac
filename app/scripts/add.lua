-- Add nudges to one queue; those whose job exists are left alone, so an id is added once however often it is tried.
--
-- KEYS  1 the queue's schedule (sorted set by due time)   2 the queue's list   3 the set of all queues
-- ARGV  1 queue key   2 queue name   3 created_at   4 job time-out   5 failure ttl   6 "1" to overwrite
--       7 the channel on which the scheduler sleeps   8 the time (empty: Redis' own clock)
--       then for each nudge: job id, payload, due time in seconds (empty: now)
-- Returns how many went in.
local clock = redis.call('TIME')
local now = tonumber(ARGV[8]) or clock[1] + clock[2] / 1e6
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local soonest = head and tonumber(head) or math.huge
local wake, added = false, 0
for i = 9, #ARGV, 3 do
  local id, payload, due = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = 'rq:job:' .. id
  local known = redis.call('EXISTS', key) == 1
  if not known or ARGV[6] == '1' then
    local later = due ~= '' and tonumber(due) > now
    if known then redis.call('DEL', key) end
    -- Few fields, none above 64 bytes: the hash stays a listpack, a third of the memory of a hash table.
    redis.call('HSET', key, 'data', payload, 'origin', ARGV[2], 'status', later and 'scheduled' or 'queued',
      'created_at', ARGV[3], 'timeout', ARGV[4], 'result_ttl', '0', 'failure_ttl', ARGV[5])
    if later then
      redis.call('ZADD', KEYS[1], due, id)
      if tonumber(due) < soonest then
        soonest, wake = tonumber(due), true
      end
    else
      if known then redis.call('ZREM', KEYS[1], id) end
      redis.call('RPUSH', KEYS[2], id)
    end
    added = added + 1
  end
end
if added > 0 then redis.call('SADD', KEYS[3], ARGV[1]) end
if wake then redis.call('PUBLISH', ARGV[7], '1') end
return added
