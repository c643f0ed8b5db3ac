-- Finish jobs that succeeded and keep nothing of them: their outcome is in SQL.
--
-- KEYS  1 the worker's hash
-- ARGV  1 worker name   then for each job: queue name, job id, execution id
-- Returns the ids of jobs that were not ours any more (their lease had been taken): nothing is written for those.
local worker, lost, done = ARGV[1], {}, 0
for i = 2, #ARGV, 3 do
  local queue, id, execution = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local entry = id .. ':' .. execution
  redis.call('DEL', 'rq:execution:' .. entry)
  redis.call('SREM', 'rq:worker:' .. worker .. ':executions', entry)
  if redis.call('ZREM', 'rq:wip:' .. queue, entry) == 0 then
    lost[#lost + 1] = id
  else
    redis.call('DEL', 'rq:job:' .. id, 'rq:executions:' .. id)
    done = done + 1
  end
end
if done > 0 then redis.call('HINCRBY', KEYS[1], 'successful_job_count', done) end
return lost
