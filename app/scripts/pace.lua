-- Give messages their senders' turns, in the order of the call. A turn lasts as long as the sender needs for the message's
-- segments.
--
-- Two times are kept for each sender. `next` is where the line of promised turns ends: it reaches only a little ahead, so
-- that a turn whose message is called off costs little. `gone` is how long what has been let go keeps the sender busy: the
-- guard at the door, whatever was promised, to whom, and however late those come who were promised something.
--
-- KEYS  one hash for each sender
-- ARGV  1 how far ahead turns are promised, in seconds   2 how far ahead of its rate a sender may run, in seconds
--       3 the time (empty: Redis' own clock)
--       then for each message: number of its key, what it comes for, seconds that it takes, until when it is of use.
--       It comes to `ask` for a turn, to `keep` the turn that it was promised, or is asked for in its absence (`book`).
-- Returns for each message: 'go', the time of its turn, 'full' (no turn so soon), or 'late' (its turn would be of no use)
local clock = redis.call('TIME')
local now = tonumber(ARGV[3]) or clock[1] + clock[2] / 1e6
local ahead, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local line, answers = {}, {}
for k = 1, #KEYS do
  local kept = redis.call('HMGET', KEYS[k], 'next', 'gone')
  line[k] = {next = tonumber(kept[1]) or 0, gone = tonumber(kept[2]) or 0}
end
for i = 4, #ARGV, 4 do
  local sender, purpose = line[tonumber(ARGV[i])], ARGV[i + 1]
  local takes, useful = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local answer
  if purpose == 'keep' and sender.gone <= now + burst then
    answer = 'go'
  else
    local slot = math.max(now, sender.next, sender.gone - burst)
    if slot >= useful then
      answer = 'late'
    elseif slot > now + ahead then
      answer = 'full'
    else
      sender.next = slot + takes
      answer = (slot > now or purpose == 'book') and string.format('%.6f', slot) or 'go'
    end
  end
  if answer == 'go' then sender.gone = math.max(sender.gone, now) + takes end
  answers[#answers + 1] = answer
end
for k = 1, #KEYS do
  local sender = line[k]
  local last = math.max(sender.next, sender.gone)
  if last > now then
    redis.call('HSET', KEYS[k], 'next', string.format('%.6f', sender.next), 'gone', string.format('%.6f', sender.gone))
    redis.call('EXPIRE', KEYS[k], math.ceil(last - now) + 60)
  end
end
return answers
