-- The little of shared/base.lua that a job without times and key needs. To make all of its names costs as much as storing the job.
local K = KEYS[1]
local JOB, RUN, READY, IDLE, OFFER, WORKER, OWN, RUNNING =
  K .. ':job', K .. ':run', K .. ':ready:', K .. ':idle:', K .. ':offer', K .. ':worker', K .. ':own:', K .. ':running'
local LATE
local call, pack = redis.call, struct.pack
local now = clock()

local function has_times() return false end
