-- the field of a job's idempotency key, and its window in seconds; only for a job that has one
local function identity(job)
  local _, queue, _, at = route(job)
  local n, after = parse('>H', job, at)
  local window, m, key = parse('>dH', job, after + n)
  return queue .. '\0' .. sub(job, key, key + m - 1), window
end
