-- Keep a lease. ARGV: worker; then for each report of progress id, fence, data. Answers: 1 if the lease is over, how many jobs it holds,
-- and those of them whose cancellation was asked for.
-- uses clock base; goes on when memory is full
local worker = ARGV[1]
for i = 2, #ARGV, 3 do
  local run = call('HGET', RUN, ARGV[i])
  if run and sub(run, FENCE) == ARGV[i + 1] then call('HSET', PROGRESS, ARGV[i], ARGV[i + 2]) end
end
local beat = call('HGET', WORKER, worker)
if beat then
  local count, _, lease, every = parse('>I4ddd', beat)
  call('HSET', WORKER, worker, pack('>I4ddd', (count + 1) % 4294967296, now, lease, every))
end
return {beat and 0 or 1, call('SCARD', OWN .. worker), call('SMEMBERS', STOP .. worker)}
