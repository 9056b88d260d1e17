-- Hand exactly these jobs to a worker, to whom a carrier has delivered them. ARGV: worker, claim (4 bytes); seconds until a job that runs is
-- looked at again; how many beats its holder must have missed; visible and keep of what ends as expired; then id and the carrier's
-- count of losses for each. Answers three for each: 'taken', job, state; 'wait', seconds, ''; 'over', '', ''; 'unknown', '', '';
-- 'lost', '', state (its holder must be taken for dead first). Or nothing when the lease of the worker is over.
-- uses clock base identity record filing telling ending withdraw; goes on when memory is full
local worker, fence, elsewhere, missed = ARGV[1], ARGV[2] .. ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
if call('HEXISTS', WORKER, worker) == 0 then return false end

-- Seconds until the holder of a job counts as silent, if it goes on like that. One that was declared dead is silent.
local function silent_in(holder)
  local beat = call('HGET', WORKER, holder)
  if not beat then return 0 end
  local _, seen, _, every = parse('>I4ddd', beat)
  return seen + missed * every - now
end

local ids = {}
for i = 7, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
local jobs, runs = call('HMGET', JOB, unpack(ids)), call('HMGET', RUN, unpack(ids))
local answer, states, owned, running, over = {}, {}, {}, {}, {}

for i, id in ipairs(ids) do
  local job, run, what, a, b = jobs[i], runs[i], nil, '', ''
  if over[id] or not job then
    what = (over[id] or call('HEXISTS', END, id) == 1) and 'over' or 'unknown'
  elseif states[id] then
    what, a = 'wait', elsewhere
  elseif run and #run >= FENCE then
    local _, _, _, losses = parse('>I4I4I4I4', run)
    what, a = 'wait', elsewhere
    if tonumber(ARGV[6 + 2 * i]) > losses then
      local pause = silent_in(sub(run, FENCE + 4))
      if pause <= 0 then what, a, b = 'lost', '', run else a = math.min(elsewhere, pause) end
    end
  else
    local priority, queue = route(job)
    local late = 0
    if has_times(job) then local _; _, late = parse('>dd', job, 10) end
    local due = call('ZSCORE', DUE .. queue, id)
    if late ~= 0 and late <= now then
      withdraw(id, job)
      finish(id, job, run or '', 6, tonumber(ARGV[5]), tonumber(ARGV[6]), '', '', nil)
      what, over[id] = 'over', true
    elseif due and tonumber(due) > now then
      what, a = 'wait', tonumber(due) - now
    else
      local place = call('ZSCORE', READY .. queue, id) or -priority * STEP + call('INCR', SEQ)
      withdraw(id, job)
      local handed, attempts, strikes, losses, before = 0, 0, 0, 0, 0
      if run then local _; handed, attempts, strikes, losses, _, _, before = parse('>I4I4I4I4Bdd', run) end
      b = pack('>I4I4I4I4Bddd', handed + 1, attempts, strikes, losses, 0, now, before, tonumber(place)) .. fence
      what, a, states[id] = 'taken', job, b
      owned[#owned + 1] = id
      running[queue] = (running[queue] or 0) + 1
    end
  end
  local at = #answer
  answer[at + 1], answer[at + 2], answer[at + 3] = what, type(a) == 'number' and string.format('%.6f', a) or a, b
end
flush()
if #owned > 0 then
  local fields = {}
  for id, state in pairs(states) do fields[#fields + 1], fields[#fields + 2] = id, state end
  call('HSET', RUN, unpack(fields))
  call('SADD', OWN .. worker, unpack(owned))
  for queue, many in pairs(running) do call('HINCRBY', RUNNING, queue, many) end
end
return answer
