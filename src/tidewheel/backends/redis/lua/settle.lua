-- Write how deliveries ended. ARGV: how many, visible and keep of what was to be cancelled; for each: id, fence, what, bytes; then the
-- follow-ups: for each settlement that has some its number, how many ARGV they take, and these (shared/put.lua).
-- `what` is 'S' visible keep valued; 'F' state visible keep counted reason; 'A' delay counted event. Counted: 0 nothing, 1 attempts,
-- 2 strikes, 3 losses. Answers nothing when all were written, else one number each: 0 written, 1 stale, 2 gone.
-- uses clock base identity record filing telling ending note ring hand due put; goes on when memory is full
local n, visible, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ids = {}
for i = 1, n do ids[i] = ARGV[4 * i] end
local runs, jobs = call('HMGET', RUN, unpack(ids)), call('HMGET', JOB, unpack(ids))
local verdicts, well, seen, owned, running, rung, back = {}, true, {}, {}, {}, {}, {}

local function count(run, counted, due)
  local handed, attempts, strikes, losses, cancel, started, before, place = parse('>I4I4I4I4Bddd', run)
  if counted == 1 then attempts = attempts + 1 elseif counted == 2 then strikes = strikes + 1 elseif counted == 3 then losses = losses + 1 end
  return pack('>I4I4I4I4Bddd', handed, attempts, strikes, losses, cancel, started, due or before, place), place
end

for i = 1, n do
  local id, fence, what, run, job = ids[i], ARGV[4 * i + 1], ARGV[4 * i + 2], runs[i], jobs[i]
  local verdict = 0
  if not run or not job or #run < FENCE or seen[id] then
    verdict = 2
  elseif sub(run, FENCE) ~= fence then
    verdict = 1
  else
    seen[id] = true
    local kind, worker, queue = byte(what), sub(fence, 5), nil
    if kind == 83 then  -- S
      local shown, kept, valued = parse('>ddB', what, 2)
      queue = finish(id, job, run, 3, shown, kept, '', '', valued == 1 and ARGV[4 * i + 3] or nil)
    elseif kind == 70 then  -- F
      local state, shown, kept, counted, at = parse('>BddB', what, 2)
      run = counted == 0 and run or (count(run, counted) .. fence)
      queue = finish(id, job, run, state, shown, kept, sub(what, at), ARGV[4 * i + 3], nil)
      if state == 4 then note(id, 'dead', worker, ARGV[4 * i + 3]) end
    else
      local delay, counted, at = parse('>dB', what, 2)
      if byte(run, 17) == 1 then
        -- Its cancellation was asked for between the worker's decision and now: it must not run once more.
        queue = finish(id, job, count(run, counted) .. fence, 5, visible, keep, '', '', nil)
      else
        local event, priority = sub(what, at), nil
        if event ~= '' then note(id, event, worker, ARGV[4 * i + 3]) end
        priority, queue = route(job)
        local place
        run, place = count(run, counted, now + delay)
        back[#back + 1], back[#back + 2] = id, run
        if delay > 0 then wait_until(queue, id, now + delay)
        else call('ZADD', READY .. queue, place, id); rung[queue] = true end
        if has_times(job) then
          local _, late = parse('>dd', job, 10)
          if late ~= 0 then call('ZADD', LATE, late, id) end
        end
      end
    end
    local mine = owned[worker]
    if not mine then mine = {}; owned[worker] = mine end
    mine[#mine + 1] = id
    running[queue] = (running[queue] or 0) + 1
  end
  verdicts[i] = verdict
  if verdict ~= 0 then well = false end
end
if #back > 0 then
  call('HSET', RUN, unpack(back))
  local waiting = {}
  for i = 1, #back, 2 do waiting[#waiting + 1] = back[i] end
  call('HDEL', PROGRESS, unpack(waiting))
end
flush()
for worker, mine in pairs(owned) do
  call('SREM', OWN .. worker, unpack(mine))
  call('SREM', STOP .. worker, unpack(mine))
end
for queue, many in pairs(running) do
  if call('HINCRBY', RUNNING, queue, -many) <= 0 then call('HDEL', RUNNING, queue) end
end
for queue in pairs(rung) do ring(queue) end
local i = 4 * n + 4
while i < #ARGV do
  local which, many = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if verdicts[which] == 0 then put(i + 2, i + 1 + many, {}) end
  i = i + 2 + many
end
if well then return false end
return verdicts
