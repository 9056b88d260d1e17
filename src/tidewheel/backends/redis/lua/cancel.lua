-- Cancel jobs. ARGV: visible and keep of what had not started, id… Answers 0 cancelled, 1 requested, 2 ended, 3 unknown for each.
-- uses clock base identity record filing telling ending withdraw; goes on when memory is full
local answers = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local job, run = call('HGET', JOB, id), call('HGET', RUN, id)
  if not job then
    answers[#answers + 1] = call('HEXISTS', END, id) == 1 and 2 or 3
  elseif run and #run >= FENCE then
    local worker = sub(run, FENCE + 4)
    call('HSET', RUN, id, sub(run, 1, 16) .. '\1' .. sub(run, 18))
    call('SADD', STOP .. worker, id)
    call('PUBLISH', K .. ':worker:' .. worker, 'news')
    answers[#answers + 1] = 1
  else
    withdraw(id, job)
    finish(id, job, run or '', 5, tonumber(ARGV[1]), tonumber(ARGV[2]), '', '', nil)
    flush()
    answers[#answers + 1] = 0
  end
end
return answers
