-- End what waits and is too late, in one small step. ARGV: most, visible and keep of what ends. Answers how many.
-- uses clock base identity record filing telling ending withdraw; goes on when memory is full
local ids = call('ZRANGEBYSCORE', LATE, '-inf', now, 'LIMIT', 0, ARGV[1])
local many = 0
for _, id in ipairs(ids) do
  local job = call('HGET', JOB, id)
  if job then
    withdraw(id, job)
    finish(id, job, call('HGET', RUN, id) or '', 6, tonumber(ARGV[2]), tonumber(ARGV[3]), '', '', nil)
    many = many + 1
  end
  call('ZREM', LATE, id)
end
flush()
return many
