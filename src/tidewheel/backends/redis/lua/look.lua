-- Everything about some jobs. ARGV: id… Answers for each five: record of its end, job, state, when it is due, progress; '' for what is not.
-- uses clock base; only reads
local answer = {}
if #ARGV == 0 then return answer end
local jobs, runs, ends, reports = call('HMGET', JOB, unpack(ARGV)), call('HMGET', RUN, unpack(ARGV)), call('HMGET', END, unpack(ARGV)),
  call('HMGET', PROGRESS, unpack(ARGV))
for i, id in ipairs(ARGV) do
  local due = false
  if jobs[i] and (not runs[i] or #runs[i] < FENCE) then
    local _, queue = route(jobs[i])
    due = call('ZSCORE', DUE .. queue, id)
  end
  local at = #answer
  answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4], answer[at + 5] = ends[i] or '', jobs[i] or '', runs[i] or '', due or '',
    reports[i] or ''
end
return answer
