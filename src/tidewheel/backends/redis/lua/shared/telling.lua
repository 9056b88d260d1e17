-- Send records to those who wait for them; `pairs_` is id, record, id, record …
local function tell(ids, pairs_)
  if call('EXISTS', WAIT) == 0 then return end
  local waiters = call('HMGET', WAIT, unpack(ids))
  for i, id in ipairs(ids) do
    local who, record = waiters[i], pairs_[2 * i]
    if who then
      -- A long one would fill the buffer of a slow listener, and that ends its connection: it comes and gets it.
      local news = id .. (#record <= 16384 and record or '')
      for at = 1, #who, 8 do call('PUBLISH', K .. ':waiter:' .. sub(who, at, at + 7), news) end
    end
  end
  call('HDEL', WAIT, unpack(ids))
end
