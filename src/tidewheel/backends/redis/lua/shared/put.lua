-- Storing new jobs. ARGV from `i` to `stop` holds runs: queue, -priority, how many, special; then for each job its id and its bytes, and
-- if special is '1' also its times (delay, due, lifetime, expires as doubles, '' for none) and the field of its key ('' for none).
-- Answers, in `receipts`, 1 for a job that is new, 0 for an id that is known, or the id of who has its key; and whether all are new.
local function put(i, stop, receipts)
  local stamp = pack('>d', now)
  local all = true
  while i <= stop do
    local queue, rank, n, special = ARGV[i], tonumber(ARGV[i + 1]) * STEP, tonumber(ARGV[i + 2]), ARGV[i + 3] == '1'
    i = i + 4
    local step = special and 4 or 2
    local ids = {}
    for j = 1, n do ids[j] = ARGV[i + (j - 1) * step] end
    local known, ended = call('HMGET', JOB, unpack(ids)), call('HMGET', END, unpack(ids))
    local seq = call('INCRBY', SEQ, n) - n
    local places, last = {}, nil
    if special then
      for j = 1, n do
        local id, job, times, key = ids[j], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
        i = i + 4
        local receipt = 1
        if known[j] or ended[j] or (n > 1 and call('HEXISTS', JOB, id) == 1) then
          receipt = 0
        elseif key ~= '' then
          local holder = call('HGET', KEY, key)
          if holder then
            local record = call('HGET', END, holder)
            if record then
              local _, finished, _, _, _, _, _, _, other = unfold(record)
              local _, window = identity(other)
              if finished + window > now then receipt = holder end
            elseif call('HEXISTS', JOB, holder) == 1 then
              receipt = holder
            end
          end
        end
        if receipt == 1 then
          local due, late = now, 0
          if times ~= '' then
            local delay, moment, lifetime, expires = parse('>dddd', times)
            due = math.max(now + delay, moment)
            if lifetime >= 0 then late = now + lifetime end
            if expires ~= 0 and (late == 0 or expires < late) then late = expires end
            job = stamp .. sub(job, 1, 1) .. pack('>dd', due, late) .. sub(job, 18)
            if late ~= 0 then call('ZADD', LATE, late, id) end
          else
            job = stamp .. job
          end
          call('HSET', JOB, id, job)
          if key ~= '' then call('HSET', KEY, key, id) end
          if due > now then wait_until(queue, id, due)
          else places[#places + 1] = rank + seq + j; places[#places + 1] = id; last = job end
        else
          all = false
        end
        receipts[#receipts + 1] = receipt
      end
    else
      local fields = {}
      for j = 1, n do
        if known[j] or ended[j] then
          receipts[#receipts + 1] = 0
          all = false
        else
          receipts[#receipts + 1] = 1
          local at = #fields
          last = stamp .. ARGV[i + 1]
          fields[at + 1], fields[at + 2] = ids[j], last
          places[at + 1], places[at + 2] = rank + seq + j, ids[j]
        end
        i = i + 2
      end
      if #fields > 0 then call('HSET', JOB, unpack(fields)) end
    end
    call('SADD', QUEUES, queue)
    if #places == 2 and call('EXISTS', READY .. queue) == 0 then
      if hand(queue, places[2], last, places[1]) ~= 'handed' then call('ZADD', READY .. queue, unpack(places)) end
    elseif #places > 0 then
      call('ZADD', READY .. queue, unpack(places))
      ring(queue)
    end
  end
  return all
end
