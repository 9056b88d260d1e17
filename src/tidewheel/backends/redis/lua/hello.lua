-- A worker begins. ARGV: worker, lease and beat (seconds), what it says of itself (JSON).
-- uses clock base; goes on when memory is full
call('HSET', WORKER, ARGV[1], pack('>I4ddd', 0, now, tonumber(ARGV[2]), tonumber(ARGV[3])))
call('HSET', INFO, ARGV[1], ARGV[4])
return 1
