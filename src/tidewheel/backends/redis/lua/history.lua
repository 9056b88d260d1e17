-- The history of a job, oldest first. ARGV: id.
-- uses clock base; only reads
return call('LRANGE', HISTORY .. ARGV[1], 0, -1)
