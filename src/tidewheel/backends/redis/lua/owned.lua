-- What a worker holds, or the first of it. ARGV: worker, most (0: all). Answers id, job, state of each.
-- uses clock base; only reads
local ids = ARGV[2] == '0' and call('SMEMBERS', OWN .. ARGV[1]) or call('SRANDMEMBER', OWN .. ARGV[1], ARGV[2])
local answer = {}
for from = 1, #ids, 1000 do
  local some = {unpack(ids, from, math.min(from + 999, #ids))}
  local jobs, runs = call('HMGET', JOB, unpack(some)), call('HMGET', RUN, unpack(some))
  for i = 1, #some do
    local at = #answer
    answer[at + 1], answer[at + 2], answer[at + 3] = some[i], jobs[i], runs[i]
  end
end
return answer
