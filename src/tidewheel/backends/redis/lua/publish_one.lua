-- Store one job that has no times and no key: what `publish` does, in half of its time, for most publications are of one such job.
-- ARGV: queue, -priority, id, bytes. Answers as `publish` does.
-- uses clock lone ring hand; is refused when memory is full
local queue, id = ARGV[1], ARGV[3]
if call('HEXISTS', JOB, id) == 1 or call('HEXISTS', K .. ':end', id) == 1 then return {0} end
local place = tonumber(ARGV[2]) * 17592186044416 + call('INCR', K .. ':seq')  -- STEP in shared/base.lua
local job = pack('>d', now) .. ARGV[4]
call('HSET', JOB, id, job)
call('SADD', K .. ':queues', queue)
if call('EXISTS', READY .. queue) == 1 then
  call('ZADD', READY .. queue, place, id)
  ring(queue)
elseif hand(queue, id, job, place) ~= 'handed' then
  call('ZADD', READY .. queue, place, id)
end
return false
