-- Give the leadership up, if it is ours: the next scheduler need not wait for the lease to end, and is woken.
--
-- KEYS  1 the lock   ARGV  1 our token   2 the channel on which schedulers sleep
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], '1')
return 1
