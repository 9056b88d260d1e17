-- Store jobs that only their carrier knew, with the past that it tells. ARGV: how many; for each: when it was published, deliveries,
-- attempts, strikes and losses as one string; then runs, see shared/put.lua. Answers one receipt each.
-- uses clock base identity record ring hand due put; is refused when memory is full
local n = tonumber(ARGV[1])
local ids, receipts, i = {}, {}, n + 2
while i <= #ARGV do
  local many, step = tonumber(ARGV[i + 2]), ARGV[i + 3] == '1' and 4 or 2
  for j = 1, many do ids[#ids + 1] = ARGV[i + 4 + (j - 1) * step] end
  i = i + 4 + many * step
end
put(n + 2, #ARGV, receipts)
for j, id in ipairs(ids) do
  if receipts[j] == 1 then
    local published, counts = sub(ARGV[j + 1], 1, 8), sub(ARGV[j + 1], 9)
    call('HSET', JOB, id, published .. sub(call('HGET', JOB, id), 9))
    call('HSET', RUN, id, counts .. pack('>Bddd', 0, 0, 0, 0))
  end
end
return receipts
