-- Some dead letters, newest first. ARGV: most; ids from here on are skipped ('': none); queue or ''.
-- uses clock base; only reads
local answer = {}
for _, queue in ipairs(ARGV[3] ~= '' and {ARGV[3]} or call('SMEMBERS', QUEUES)) do
  local from = ARGV[2] == '' and '+' or '(' .. ARGV[2]
  for _, id in ipairs(call('ZREVRANGEBYLEX', DEAD .. queue, from, '-', 'LIMIT', 0, ARGV[1])) do answer[#answer + 1] = id end
end
return answer
