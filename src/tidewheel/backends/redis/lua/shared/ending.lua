-- Ending jobs, many in one go: `finish` gathers, `flush` writes.
local ended, ended_ids = {}, {}

-- `visible` and `keep` are seconds from now. The body stays only with the dead, who can be revived.
local function finish(id, job, run, state, visible, keep, reason, error, value)
  local _, queue, body = route(job)
  if has_key(job) then
    local _, window = identity(job)
    if window > keep then keep = window end
  end
  if state == 4 then call('ZADD', DEAD .. queue, 0, id); call('SADD', QUEUES, queue)
  else job = sub(job, 1, body - 1) end
  ended[#ended + 1] = id
  ended[#ended + 1] = fold(state, now, now + visible, now + keep, value and 1 or 0, reason, error, run, job, value or '')
  ended_ids[#ended_ids + 1] = id
  file(id, now + keep)
  return queue
end

local function flush()
  if #ended_ids == 0 then return end
  call('HSET', END, unpack(ended))
  call('HDEL', JOB, unpack(ended_ids))
  call('HDEL', RUN, unpack(ended_ids))
  call('HDEL', PROGRESS, unpack(ended_ids))
  refile()
  tell(ended_ids, ended)
  ended, ended_ids = {}, {}
end
