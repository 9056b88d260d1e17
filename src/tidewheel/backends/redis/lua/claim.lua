-- Hand jobs to a worker. ARGV: worker, claim (4 bytes), most, offer (the claim under which it takes a job that comes later, 4 bytes: sign
-- it up as idle when there is nothing; or ''), signed ('1': it may be signed up), queue… in the order in which they are asked.
-- Answers: 'ok', 'late' (some that wait are too late: `expire` first) or 'lost'; seconds until the next job is due (or ''); 1 if a job was
-- handed to it under its earlier offer; then id, job, state of each.
-- uses clock base ring promote; goes on when memory is full
local worker, fence, room = ARGV[1], ARGV[2] .. ARGV[1], tonumber(ARGV[3])
local handed_over = ARGV[5] == '1' and 1 - call('HDEL', OFFER, worker) or 0
if call('HEXISTS', WORKER, worker) == 0 then return {'lost', '', handed_over} end
-- After this none that is ready can be too late, so nobody has to look at each.
if #call('ZRANGEBYSCORE', LATE, '-inf', now, 'LIMIT', 0, 1) > 0 then return {'late', '', handed_over} end
local answer, places, owned, late = {'ok', '', handed_over}, {}, {}, {}
for i = 6, #ARGV do
  local queue = ARGV[i]
  promote(queue, 100)
  local popped = room > 0 and call('ZPOPMIN', READY .. queue, room) or {}
  local n = #popped / 2
  if n > 0 then
    local ids = {}
    for j = 1, n do ids[j] = popped[2 * j - 1] end
    local jobs, runs = call('HMGET', JOB, unpack(ids)), call('HMGET', RUN, unpack(ids))
    local taken = 0
    for j = 1, n do
      local id, job, run = ids[j], jobs[j], runs[j]
      if job then  -- it cannot be missing; if it is, it must not stop the queue
        if has_times(job) then late[#late + 1] = id end
        if run then
          local handed, attempts, strikes, losses, _, _, due = parse('>I4I4I4I4Bdd', run)
          run = pack('>I4I4I4I4Bddd', handed + 1, attempts, strikes, losses, 0, now, due, tonumber(popped[2 * j])) .. fence
        else
          run = pack('>I4I4I4I4Bddd', 1, 0, 0, 0, 0, now, 0, tonumber(popped[2 * j])) .. fence
        end
        taken = taken + 1
        places[#places + 1], places[#places + 2] = id, run
        owned[#owned + 1] = id
        local at = #answer
        answer[at + 1], answer[at + 2], answer[at + 3] = id, job, run
      end
    end
    room = room - taken
    if taken > 0 then call('HINCRBY', RUNNING, queue, taken) end
  end
end
if #owned > 0 then
  call('HSET', RUN, unpack(places))
  call('SADD', OWN .. worker, unpack(owned))
  if #late > 0 then call('ZREM', LATE, unpack(late)) end
  for i = 6, #ARGV do
    if ARGV[5] == '1' then call('ZREM', IDLE .. ARGV[i], worker) end
    if room == 0 and call('EXISTS', READY .. ARGV[i]) == 1 then ring(ARGV[i]) end
  end
elseif ARGV[4] ~= '' then
  local due
  call('HSET', OFFER, worker, ARGV[4])
  for i = 6, #ARGV do
    call('ZADD', IDLE .. ARGV[i], now, worker)
    local first = call('ZRANGE', DUE .. ARGV[i], 0, 0, 'WITHSCORES')[2]
    if first and (not due or tonumber(first) < due) then due = tonumber(first) end
  end
  if due then answer[2] = string.format('%.6f', due - now) end
end
return answer
