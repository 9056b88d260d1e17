-- Which of these jobs have ended; tell a listener of the others when they do. ARGV: the listener (8 bytes), id… Answers id, record.
-- uses clock base; goes on when memory is full
local me = ARGV[1]
local ids = {unpack(ARGV, 2)}
local answer = {}
local ends, jobs, waiters = call('HMGET', END, unpack(ids)), call('HMGET', JOB, unpack(ids)), call('HMGET', WAIT, unpack(ids))
local archive = call('EXISTS', ARCHIVE) == 1 and call('HMGET', ARCHIVE, unpack(ids)) or {}
for i, id in ipairs(ids) do
  local kept = archive[i]
  if kept and (parse('>d', kept, 5)) > now then
    answer[#answer + 1] = id; answer[#answer + 1] = sub(kept, 13)
  elseif ends[i] then
    if (parse('>d', ends[i], 10)) > now then answer[#answer + 1] = id; answer[#answer + 1] = ends[i] end
  else
    local who, known = waiters[i] or '', false
    for at = 1, #who, 8 do known = known or sub(who, at, at + 7) == me end
    -- Listeners that are gone are not missed here; the oldest make room.
    if not known then call('HSET', WAIT, id, sub(who, -248) .. me) end
    if not jobs[i] and not waiters[i] then
      -- Another engine's, perhaps; or nobody's, and then it must not be remembered for ever.
      local bucket = math.floor((now + 3600) / GRAIN)
      call('RPUSH', KEEP .. ':' .. bucket, 'w' .. id)
      call('ZADD', KEEP, bucket, bucket)
    end
  end
end
return answer
