-- One step through many jobs. ARGV: 'job' (live), 'run' (claimed once) or 'end'; cursor; state number or ''; queue or ''; task or ''; ids
-- from here on are skipped ('': none). Answers the next cursor and the ids that fit.
-- uses clock base record; only reads
local source, state, queue, task, before = ARGV[1], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local step = call('HSCAN', source == 'job' and JOB or source == 'run' and RUN or END, ARGV[2], 'COUNT', 500)
local answer = {step[1]}
local items = step[2]
for i = 1, #items, 2 do
  local id, job, is = items[i], items[i + 1], nil
  if before == '' or id < before then
    if source == 'end' then
      local number, _, _, _, _, _, _, _, cut = unfold(job)
      job, is = cut, number
    elseif source == 'run' then
      is = #job >= FENCE and 2
      job = is and call('HGET', JOB, id)
    elseif state ~= '' then
      local _, name = route(job)
      local run = call('HGET', RUN, id)
      is = run and #run >= FENCE and 2 or call('ZSCORE', DUE .. name, id) and 0 or 1
    end
    if job and (state == '' or is == tonumber(state)) then
      local _, name, _, at = route(job)
      local n, after = parse('>H', job, at)
      if (queue == '' or name == queue) and (task == '' or sub(job, after, after + n - 1) == task) then answer[#answer + 1] = id end
    end
  end
end
return answer
