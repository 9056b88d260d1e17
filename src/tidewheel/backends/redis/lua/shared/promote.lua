-- Make jobs ready whose moment has come; answers how many.
local function promote(queue, limit)
  local ids = call('ZRANGEBYSCORE', DUE .. queue, '-inf', now, 'LIMIT', 0, limit)
  local n = #ids
  if n == 0 then return 0 end
  local jobs = call('HMGET', JOB, unpack(ids))
  local seq = call('INCRBY', SEQ, n) - n
  local places = {}
  for i = 1, n do
    if jobs[i] then
      places[#places + 1] = -route(jobs[i]) * STEP + seq + i
      places[#places + 1] = ids[i]
    end
  end
  call('ZREM', DUE .. queue, unpack(ids))
  if #places > 0 then call('ZADD', READY .. queue, unpack(places)) end
  return n
end
