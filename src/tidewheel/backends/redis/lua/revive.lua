-- Put dead jobs back as if they were new. ARGV: id… Answers 1 for each that was, else 0.
-- uses clock base identity record note ring; goes on when memory is full
local answers = {}
for i, id in ipairs(ARGV) do
  local record = call('HGET', END, id)
  local state, run, job, _
  if record then state, _, _, _, _, _, _, run, job = unfold(record) end
  if state == 4 then
    local priority, queue = route(job)
    if has_times(job) then job = sub(job, 1, 9) .. pack('>dd', now, 0) .. sub(job, 26) end
    if has_key(job) then
      local field = identity(job)
      -- Somebody else may have it by now: the operator's word counts more, and this one goes without.
      call('HSETNX', KEY, field, id)
    end
    local handed = #run >= 4 and parse('>I4', run) or 0
    call('HSET', JOB, id, job)
    call('HSET', RUN, id, pack('>I4I4I4I4Bddd', handed, 0, 0, 0, 0, 0, now, 0))
    call('HDEL', END, id)
    call('ZREM', DEAD .. queue, id)
    call('ZADD', READY .. queue, -priority * STEP + call('INCR', SEQ), id)
    call('SADD', QUEUES, queue)
    note(id, 'revived', '', '')
    ring(queue)
  end
  answers[i] = state == 4 and 1 or 0
end
return answers
