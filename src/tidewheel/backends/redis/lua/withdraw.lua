-- Delete jobs that wait, whose messages a carrier has refused. ARGV: id… Answers how many.
-- uses clock base identity withdraw; goes on when memory is full
local many = 0
for _, id in ipairs(ARGV) do
  local job, run = call('HGET', JOB, id), call('HGET', RUN, id)
  if job and not (run and #run >= FENCE) then
    withdraw(id, job)
    if has_key(job) then
      local field = identity(job)
      if call('HGET', KEY, field) == id then call('HDEL', KEY, field) end
    end
    call('HDEL', JOB, id)
    call('HDEL', RUN, id)
    call('HDEL', WAIT, id)
    call('DEL', HISTORY .. id)
    many = many + 1
  end
end
return many
