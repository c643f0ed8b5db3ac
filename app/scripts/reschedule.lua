-- Give a periodic entry its next time, if we still lead and nobody else has touched it.
--
-- KEYS  1 the lock   2 rq-scheduler's sorted set
-- ARGV  1 our token   2 job id   3 the score that we read   4 the next score, or empty for an entry that is over
-- Returns 1 if it was changed.
local score = redis.call('ZSCORE', KEYS[2], ARGV[2])
if redis.call('GET', KEYS[1]) ~= ARGV[1] or not score or tonumber(score) ~= tonumber(ARGV[3]) then
  return 0
end
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[2], ARGV[2])
else
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[2])
end
return 1
