-- Let a job wait for its moment.
local function wait_until(queue, id, due)
  call('ZADD', DUE .. queue, due, id)
  -- Who sleeps until the next job is due has to set its alarm anew.
  if call('ZRANGE', DUE .. queue, 0, 0)[1] == id then ring(queue) end
end
