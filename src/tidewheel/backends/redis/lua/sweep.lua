-- Upkeep in one small step. ARGV: most of each kind. Answers how many were promoted and pruned; whether any waits and is too late; worker and beat of those whose lease is over; and those who are dead but not yet buried.
-- uses clock base identity record ring promote; goes on when memory is full
local most = tonumber(ARGV[1])
local promoted, pruned, archived = 0, 0, 0
local late = call('ZRANGEBYSCORE', LATE, '-inf', now, 'LIMIT', 0, 1)
for _, queue in ipairs(call('SMEMBERS', QUEUES)) do
  if promoted < most then
    local some = promote(queue, most - promoted)
    promoted = promoted + some
    if some > 0 then ring(queue)
    elseif call('EXISTS', READY .. queue, DUE .. queue, DEAD .. queue) == 0 and call('HEXISTS', RUNNING, queue) == 0 then
      call('SREM', QUEUES, queue)
    end
  end
end
while pruned < most do
  local bucket = call('ZRANGE', KEEP, 0, 0)[1]
  if not bucket or bucket * GRAIN > now then break end
  local list = KEEP .. ':' .. bucket
  local ids = call('LRANGE', list, 0, math.min(63, most - pruned - 1))
  if #ids == 0 then
    call('ZREM', KEEP, bucket)
  else
    local records, over, gone, histories = call('HMGET', END, unpack(ids)), #ids, {}, {}
    for i = 1, #ids do
      local record = records[i]
      if record then
        local state, _, _, keep, _, _, _, _, job = unfold(record)
        -- Filed anew since: then this entry is an old one.
        if math.floor(keep / GRAIN) == tonumber(bucket) then
          if keep > now then over = i - 1; break end
          gone[#gone + 1], histories[#histories + 1] = ids[i], HISTORY .. ids[i]
          if state == 4 then
            local _, queue = route(job)
            call('ZREM', DEAD .. queue, ids[i])
          end
          if has_key(job) then
            local field = identity(job)
            if call('HGET', KEY, field) == ids[i] then call('HDEL', KEY, field) end
          end
        end
      elseif #ids[i] == 17 then
        local id = sub(ids[i], 2)
        local kept = call('HGET', ARCHIVE, id)
        if kept then
          local _, untill = parse('>I4d', kept)
          if math.floor(untill / GRAIN) == tonumber(bucket) then
            if untill > now then over = i - 1; break end
            call('HDEL', ARCHIVE, id)
            archived = archived + 1
          end
        elseif call('HEXISTS', JOB, id) == 0 then
          call('HDEL', WAIT, id)
        end
      end
    end
    call('LTRIM', list, over, -1)
    pruned, archived = pruned + archived, 0
    if #gone > 0 then
      call('HDEL', END, unpack(gone))
      call('DEL', unpack(histories))
      pruned = pruned + #gone
    end
    if over < #ids then break end
  end
end
local suspects = {}
local beats = call('HGETALL', WORKER)
for i = 1, #beats, 2 do
  local _, seen, lease = parse('>I4dd', beats[i + 1])
  -- In the future: the server's clock was set back. Who beats is not harmed, for it takes two looks.
  if seen + lease < now or seen > now + 1 then
    suspects[#suspects + 1], suspects[#suspects + 2] = beats[i], beats[i + 1]
  end
end
return {promoted, pruned, #late, suspects, call('SMEMBERS', DYING)}
