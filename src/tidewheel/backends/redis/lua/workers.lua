-- The workers that have not been declared dead. Answers for each: what it says of itself, its beat, how much it holds.
-- uses clock base; only reads
local answer = {}
local infos = call('HGETALL', INFO)
for i = 1, #infos, 2 do
  local at = #answer
  answer[at + 1], answer[at + 2] = infos[i + 1], call('HGET', WORKER, infos[i]) or ''
  answer[at + 3] = call('SCARD', OWN .. infos[i])
end
return answer
