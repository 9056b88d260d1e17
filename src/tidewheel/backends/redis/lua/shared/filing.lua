-- Ended jobs by the moment until which they are kept: `file` gathers, `refile` writes.
local filed = {}

local function file(id, keep)
  local bucket = math.floor(keep / GRAIN)
  local ids = filed[bucket]
  if not ids then ids = {}; filed[bucket] = ids end
  ids[#ids + 1] = id
end

local function refile()
  for bucket, ids in pairs(filed) do
    call('RPUSH', KEEP .. ':' .. bucket, unpack(ids))
    call('ZADD', KEEP, bucket, bucket)
  end
  filed = {}
end
