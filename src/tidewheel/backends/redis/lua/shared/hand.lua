-- Hand a new job, the only one of its queue that is ready, to a worker that waits for one: its claim in the same step as its publication
-- (docs/decisions/0012). The number of that claim is the one that the worker has offered; it is good for one job. Answers whether somebody
-- was told: 'handed', or 'rung' (a worker that offers nothing, and claims for itself).
local function hand(queue, id, job, place)
  while true do
    local who = call('ZPOPMIN', IDLE .. queue)[1]
    if not who then return nil end
    local number = call('HGET', OFFER, who)
    if number and call('HEXISTS', WORKER, who) == 1 then
      local run = pack('>I4I4I4I4Bddd', 1, 0, 0, 0, 0, now, 0, place) .. number .. who
      -- Who has gone without a goodbye hears nothing; then nothing was handed to it.
      if call('PUBLISH', K .. ':worker:' .. who, 'job:' .. id .. pack('>H', #run) .. run .. job) > 0 then
        call('HDEL', OFFER, who)
        call('HSET', RUN, id, run)
        call('SADD', OWN .. who, id)
        call('HINCRBY', RUNNING, queue, 1)
        if has_times(job) then call('ZREM', LATE, id) end
        return 'handed'
      end
    elseif call('PUBLISH', K .. ':worker:' .. who, 'work') > 0 then
      return 'rung'
    end
  end
end
