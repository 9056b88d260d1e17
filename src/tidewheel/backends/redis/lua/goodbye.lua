-- A worker ends, having given back what it held. ARGV: worker, queue… for which it may be signed up as idle.
-- uses clock base ring; goes on when memory is full
call('HDEL', WORKER, ARGV[1])
call('HDEL', INFO, ARGV[1])
call('HDEL', OFFER, ARGV[1])
call('DEL', OWN .. ARGV[1], STOP .. ARGV[1])
for i = 2, #ARGV do
  -- It may have been rung for work just now, and will not come: the next one is.
  if call('ZREM', IDLE .. ARGV[i], ARGV[1]) == 0 and call('EXISTS', READY .. ARGV[i]) == 1 then ring(ARGV[i]) end
end
return 1
