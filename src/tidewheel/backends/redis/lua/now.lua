-- The time, as a double.
-- uses clock base; only reads
return pack('>d', now)
