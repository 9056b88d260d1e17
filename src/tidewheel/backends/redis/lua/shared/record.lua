-- The record of an ended job (layout.py).
local function unfold(record)
  local state, finished, untill, keep, valued, a, b, c, d, at = parse('>BdddBHI4HI4', record)
  local reason, error = sub(record, at, at + a - 1), sub(record, at + a, at + a + b - 1)
  at = at + a + b
  return state, finished, untill, keep, valued, reason, error, sub(record, at, at + c - 1), sub(record, at + c, at + c + d - 1),
    sub(record, at + c + d)
end

local function fold(state, finished, untill, keep, valued, reason, error, run, job, value)
  return pack('>BdddBHI4HI4', state, finished, untill, keep, valued, #reason, #error, #run, #job) .. reason .. error .. run .. job .. value
end
