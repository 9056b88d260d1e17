-- Depths. ARGV: queue…, or none for all that have any. Answers for each: queue, ready, scheduled, running, dead, age of the oldest ('': none).
-- uses clock base; only reads
local queues = #ARGV > 0 and ARGV or call('SMEMBERS', QUEUES)
local answer = {}
for _, queue in ipairs(queues) do
  local ready, scheduled, dead = call('ZCARD', READY .. queue), call('ZCARD', DUE .. queue), call('ZCARD', DEAD .. queue)
  local running = tonumber(call('HGET', RUNNING, queue) or 0)
  if #ARGV > 0 or ready + scheduled + dead + running > 0 then
    local since
    local first = call('ZRANGE', READY .. queue, 0, 0, 'WITHSCORES')
    while #first > 0 do  -- the first of each priority
      local job, run, id = call('HGET', JOB, first[1]), call('HGET', RUN, first[1]), first[1]
      local moment = parse('>d', job)
      if has_times(job) then moment = math.max(moment, (parse('>d', job, 10))) end
      if run then moment = math.max(moment, (parse('>d', run, 26))) end
      if not since or moment < since then since = moment end
      local priority = route(job)
      first = call('ZRANGEBYSCORE', READY .. queue, (1 - priority) * STEP, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    end
    local at = #answer
    answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4], answer[at + 5] = queue, ready, scheduled, running, dead
    answer[at + 6] = since and string.format('%.6f', math.max(0, now - since)) or ''
  end
end
return answer
