-- Put jobs back whose worker stopped renewing its lease; a job that has outlived too many workers has perhaps killed them,
-- and is given up.
--
-- KEYS  1 the queue's started registry   2 its list   3 its failed registry
-- ARGV  1 batch   2 the time or empty   3 how often a job may go back   4 how the payload of a send begins: one that is
--       given up is forgotten, because SQL knows whether it is still wanted   5 ended_at   6 failure ttl where a job has none
-- Returns {the ids that went back, the ids that were given up}
local clock = redis.call('TIME')
local now = tonumber(ARGV[2]) or clock[1] + clock[2] / 1e6
local back, poison = {}, {}

local function give_up(id, key)
  local job = redis.call('HMGET', key, 'data', 'failure_ttl')
  poison[#poison + 1] = id
  if job[1] and job[1]:sub(1, #ARGV[4]) == ARGV[4] then
    redis.call('DEL', key)
    return
  end
  -- Whoever requeues it by hand gives it all its tries again.
  redis.call('HSET', key, 'status', 'failed', 'ended_at', ARGV[5])
  redis.call('HDEL', key, 'reaped')
  local ttl = tonumber(job[2]) or tonumber(ARGV[6])
  redis.call('ZADD', KEYS[3], ttl < 0 and '+inf' or now + ttl, id)
  if ttl >= 0 then redis.call('EXPIRE', key, ttl) end
end

for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now), 'LIMIT', 0, ARGV[1])) do
  redis.call('ZREM', KEYS[1], entry)
  local id, execution = entry:match('^(.*):(.*)$')
  if id then
    local key = 'rq:job:' .. id
    local worker = redis.call('HGET', 'rq:execution:' .. entry, 'worker_name')
    if worker then redis.call('SREM', 'rq:worker:' .. worker .. ':executions', entry) end
    redis.call('DEL', 'rq:execution:' .. entry, 'rq:executions:' .. id)
    if redis.call('HGET', key, 'status') == 'started' then
      if redis.call('HINCRBY', key, 'reaped', 1) > tonumber(ARGV[3]) then
        give_up(id, key)
      else
        redis.call('HSET', key, 'status', 'queued')
        redis.call('LPUSH', KEYS[2], id)
        back[#back + 1] = id
      end
    end
  end
end
return {back, poison}
