-- Delete jobs of a queue that wait. ARGV: queue, most. Answers how many.
-- uses clock base identity; goes on when memory is full
local popped = call('ZPOPMIN', READY .. ARGV[1], ARGV[2])
local many = #popped / 2
if many < tonumber(ARGV[2]) then
  for _, x in ipairs(call('ZPOPMIN', DUE .. ARGV[1], tonumber(ARGV[2]) - many)) do popped[#popped + 1] = x end
end
local ids, histories = {}, {}
for i = 1, #popped, 2 do
  ids[#ids + 1], histories[#histories + 1] = popped[i], HISTORY .. popped[i]
end
if #ids == 0 then return 0 end
for i, job in ipairs(call('HMGET', JOB, unpack(ids))) do
  if job and has_times(job) then call('ZREM', LATE, ids[i]) end
  if job and has_key(job) then
    local field = identity(job)
    if call('HGET', KEY, field) == ids[i] then call('HDEL', KEY, field) end
  end
end
call('HDEL', JOB, unpack(ids))
call('HDEL', RUN, unpack(ids))
call('HDEL', WAIT, unpack(ids))
call('DEL', unpack(histories))
return #ids
