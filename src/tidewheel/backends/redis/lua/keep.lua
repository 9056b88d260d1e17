-- Keep results of jobs that another engine carries. ARGV for each: id; deliveries, state, visible, attempts, valued, reason; error; value.
-- uses clock base record filing telling; goes on when memory is full
local ids, fields = {}, {}
for i = 1, #ARGV, 4 do
  local id = ARGV[i]
  local deliveries, state, visible, attempts, valued, at = parse('>I4BdI4B', ARGV[i + 1])
  local known = call('HGET', ARCHIVE, id)
  local before, untill
  if known then before, untill = parse('>I4d', known) end
  if not known or before <= deliveries or untill <= now then
    local run = pack('>I4I4I4I4Bddd', deliveries, attempts, 0, 0, 0, 0, 0, 0)
    local record = fold(state, now, now + visible, now + visible, valued, sub(ARGV[i + 1], at), ARGV[i + 2], run, '', ARGV[i + 3])
    call('HSET', ARCHIVE, id, pack('>I4d', deliveries, now + visible) .. record)
    file('a' .. id, now + visible)
    ids[#ids + 1] = id
    fields[#fields + 1], fields[#fields + 2] = id, record
  end
end
refile()
if #ids > 0 then tell(ids, fields) end
return #ids
