-- Take a job that waits out of its queue.
local function withdraw(id, job)
  local _, queue = route(job)
  if call('ZREM', READY .. queue, id) == 0 then call('ZREM', DUE .. queue, id) end
  if has_times(job) then call('ZREM', LATE, id) end
end
