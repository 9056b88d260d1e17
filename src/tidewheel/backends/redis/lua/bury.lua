-- Delete dead letters for good. ARGV: id… Answers 1 for each that was one, else 0.
-- uses clock base identity record; goes on when memory is full
local answers = {}
for i, id in ipairs(ARGV) do
  local record = call('HGET', END, id)
  local state, job, _
  if record then state, _, _, _, _, _, _, _, job = unfold(record) end
  if state == 4 then
    local _, queue = route(job)
    if has_key(job) then
      local field = identity(job)
      if call('HGET', KEY, field) == id then call('HDEL', KEY, field) end
    end
    call('HDEL', END, id)
    call('ZREM', DEAD .. queue, id)
    call('DEL', HISTORY .. id)
  end
  answers[i] = state == 4 and 1 or 0
end
return answers
