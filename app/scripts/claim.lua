-- Take up to n jobs from the queues, in order of priority, and enter each as started: one atomic step for any number of
-- queues, so a worker that dies holds entries that others can see, and never a job that is in no list at all.
--
-- KEYS  the queues' lists, first things first
-- ARGV  1 how many   2 lease in seconds   3 worker name   4 started_at   5 prefix of the execution ids   6 the time or empty
--       then the queue names, in the order of KEYS
-- Returns for each job: queue name, job id, execution id, payload, time-out, the number of fields of its hash (but for the
-- one with which reap.lua counts)
local clock = redis.call('TIME')
local now = tonumber(ARGV[6]) or clock[1] + clock[2] / 1e6
local wanted, lease, worker = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local taken, n = {}, 0
for k = 1, #KEYS do
  local queue = ARGV[6 + k]
  while n < wanted do
    local ids = redis.call('LPOP', KEYS[k], wanted - n)
    if not ids then break end
    for _, id in ipairs(ids) do
      local key = 'rq:job:' .. id
      local job = redis.call('HMGET', key, 'status', 'data', 'timeout', 'reaped')
      -- A second push of the same id, a cancelled or an expired job: the id alone is worth nothing.
      if job[1] == 'queued' and job[2] then
        n = n + 1
        local execution = ARGV[5] .. n
        local entry = id .. ':' .. execution
        redis.call('HSET', key, 'status', 'started', 'started_at', ARGV[4], 'last_heartbeat', ARGV[4], 'worker_name', worker)
        redis.call('PERSIST', key)
        redis.call('ZADD', 'rq:wip:' .. queue, now + lease, entry)
        redis.call('HSET', 'rq:execution:' .. entry, 'id', execution, 'job_id', id, 'created_at', now,
          'last_heartbeat', now, 'worker_name', worker)
        redis.call('EXPIRE', 'rq:execution:' .. entry, lease + 60)
        redis.call('ZADD', 'rq:executions:' .. id, now + lease + 60, execution)
        redis.call('EXPIRE', 'rq:executions:' .. id, lease + 60)
        redis.call('SADD', 'rq:worker:' .. worker .. ':executions', entry)
        taken[#taken + 1] = queue
        taken[#taken + 1] = id
        taken[#taken + 1] = execution
        taken[#taken + 1] = job[2]
        taken[#taken + 1] = job[3]
        taken[#taken + 1] = redis.call('HLEN', key) - (job[4] and 1 or 0)
      end
    end
  end
end
if n > 0 then redis.call('EXPIRE', 'rq:worker:' .. worker .. ':executions', lease + 120) end
return taken
