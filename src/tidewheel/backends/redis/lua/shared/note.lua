-- One entry into a job's history, of which only the last ones are kept.
local function note(id, event, worker, detail)
  call('RPUSH', HISTORY .. id, pack('>dHH', now, #event, #worker) .. event .. worker .. detail)
  call('LTRIM', HISTORY .. id, -20, -1)
end
