-- Delete the results of ended jobs. ARGV: keep of what has no result (seconds from its end), id… Answers how many.
-- uses clock base identity record filing; goes on when memory is full
local many = 0
for i = 2, #ARGV do
  local id = ARGV[i]
  local record, kept = call('HGET', END, id), call('HGET', ARCHIVE, id)
  if kept then
    call('HDEL', ARCHIVE, id)
    if (parse('>d', kept, 5)) > now then many = many + 1 end
  end
  if record then
    local state, finished, untill, keep, _, reason, error, run, job = unfold(record)
    if untill > now then
      if state ~= 4 then
        error, keep = '', finished + tonumber(ARGV[1])
        if has_key(job) then
          local _, window = identity(job)
          keep = math.max(keep, finished + window)
        end
        file(id, keep)
      end
      call('HSET', END, id, fold(state, finished, 0, keep, 0, reason, error, run, job, ''))
      many = many + 1
    end
  end
end
refile()
return many
