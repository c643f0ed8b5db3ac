-- Renew the leases of everything that a worker has in flight; an entry that was taken away stays away.
--
-- ARGV  1 lease in seconds   2 the time or empty   then for each job: queue name, job id, execution id
-- Returns how many are still ours.
local clock = redis.call('TIME')
local now = tonumber(ARGV[2]) or clock[1] + clock[2] / 1e6
local lease, ours = tonumber(ARGV[1]), 0
for i = 3, #ARGV, 3 do
  local wip, entry = 'rq:wip:' .. ARGV[i], ARGV[i + 1] .. ':' .. ARGV[i + 2]
  if redis.call('ZSCORE', wip, entry) then
    redis.call('ZADD', wip, now + lease, entry)
    redis.call('HSET', 'rq:execution:' .. entry, 'last_heartbeat', now)
    redis.call('EXPIRE', 'rq:execution:' .. entry, lease + 60)
    redis.call('EXPIRE', 'rq:executions:' .. ARGV[i + 1], lease + 60)
    ours = ours + 1
  end
end
return ours
