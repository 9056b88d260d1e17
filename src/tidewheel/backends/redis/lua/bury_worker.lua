-- Forget a dead worker that holds nothing any more. ARGV: worker. Answers 1 to the one who did it.
-- uses clock base; goes on when memory is full
if call('EXISTS', OWN .. ARGV[1]) == 1 then return 0 end
call('DEL', STOP .. ARGV[1])
return call('SREM', DYING, ARGV[1])
