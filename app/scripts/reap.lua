-- Put jobs back whose worker stopped renewing its lease.
--
-- KEYS  1 the queue's started registry   2 its list
-- ARGV  1 batch   2 the time or empty
-- Returns the ids that went back.
local clock = redis.call('TIME')
local now = tonumber(ARGV[2]) or clock[1] + clock[2] / 1e6
local back = {}
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now), 'LIMIT', 0, ARGV[1])) do
  redis.call('ZREM', KEYS[1], entry)
  local id, execution = entry:match('^(.*):(.*)$')
  if id then
    local worker = redis.call('HGET', 'rq:execution:' .. entry, 'worker_name')
    if worker then redis.call('SREM', 'rq:worker:' .. worker .. ':executions', entry) end
    redis.call('DEL', 'rq:execution:' .. entry, 'rq:executions:' .. id)
    if redis.call('HGET', 'rq:job:' .. id, 'status') == 'started' then
      redis.call('HSET', 'rq:job:' .. id, 'status', 'queued')
      redis.call('LPUSH', KEYS[2], id)
      back[#back + 1] = id
    end
  end
end
return back
