-- Declare a worker dead, if its beat is still the one that was seen twice. ARGV: worker, that beat. From now on it can claim nothing;
-- what it holds is taken back in steps, by whoever gets to it. Answers whether it is so.
-- uses clock base; goes on when memory is full
if call('HGET', WORKER, ARGV[1]) ~= ARGV[2] then return 0 end
call('HDEL', WORKER, ARGV[1])
call('HDEL', INFO, ARGV[1])
call('HDEL', OFFER, ARGV[1])
call('SADD', DYING, ARGV[1])
return 1
