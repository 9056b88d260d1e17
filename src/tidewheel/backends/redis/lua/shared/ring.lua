-- Wake one idle worker. One that has gone without a goodbye hears nothing, so the next is tried.
local function ring(queue)
  while true do
    local who = call('ZPOPMIN', IDLE .. queue)
    if #who == 0 or call('PUBLISH', K .. ':worker:' .. who[1], 'work') > 0 then return end
  end
end
