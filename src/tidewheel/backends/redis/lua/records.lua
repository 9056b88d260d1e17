-- What is known of the outcome of some jobs. ARGV: id… Answers for each three: the record of its end, while it is to be shown, or '';
-- else its state (0 scheduled, 1 ready, 2 running, 9 unknown) and its progress.
-- uses clock base; only reads
local answer = {}
local ends = call('HMGET', END, unpack(ARGV))
if call('EXISTS', ARCHIVE) == 1 then
  for i, kept in ipairs(call('HMGET', ARCHIVE, unpack(ARGV))) do
    if kept and (parse('>d', kept, 5)) > now then ends[i] = sub(kept, 13) end
  end
end
local jobs, runs, reports = {}, {}, {}
for i, record in ipairs(ends) do
  if not record then
    jobs, runs, reports = call('HMGET', JOB, unpack(ARGV)), call('HMGET', RUN, unpack(ARGV)), call('HMGET', PROGRESS, unpack(ARGV))
    break
  end
end
for i, id in ipairs(ARGV) do
  local at = #answer
  local record, state = ends[i], 9
  if record and (parse('>d', record, 10)) <= now then record = '' end
  if not record and jobs[i] then
    if runs[i] and #runs[i] >= FENCE then state = 2
    else
      local _, queue = route(jobs[i])
      state = call('ZSCORE', DUE .. queue, id) and 0 or 1
    end
  end
  answer[at + 1], answer[at + 2], answer[at + 3] = record or '', state, runs[i] and (sub(runs[i], 5, 8) .. (reports[i] or '')) or ''
end
return answer
