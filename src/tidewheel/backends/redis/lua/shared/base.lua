-- Where everything is. KEYS[1] names the slot ("{tidewheel}"); every other key is made from it here, so that all lie in one slot
-- whatever queues and workers a call is about. The types and contents are in layout.py.
local K = KEYS[1]
local JOB, RUN, END = K .. ':job', K .. ':run', K .. ':end'
local READY, DUE, LATE, DEAD = K .. ':ready:', K .. ':due:', K .. ':late', K .. ':dead:'
local WORKER, INFO, OWN, STOP, DYING = K .. ':worker', K .. ':info', K .. ':own:', K .. ':stop:', K .. ':dying'
local QUEUES, RUNNING, IDLE, SEQ, KEY = K .. ':queues', K .. ':running', K .. ':idle:', K .. ':seq', K .. ':key'
local OFFER = K .. ':offer'
local KEEP, HISTORY, PROGRESS, WAIT, ARCHIVE = K .. ':keep', K .. ':history:', K .. ':progress', K .. ':wait', K .. ':archive'
local call, sub, byte, pack, parse = redis.call, string.sub, string.byte, struct.pack, struct.unpack
local now = clock()

local FENCE = 42    -- where the fence begins in the state of a job; it is empty while the job waits
local STEP = 17592186044416  -- 2^44: a place in a queue is -priority * STEP + a running number
local GRAIN = 10    -- seconds: ended jobs are filed by the moment until which they are kept, so coarsely

-- priority, queue, where the body begins, where the task begins
local function route(job)
  local priority, body, n, at = parse('>bI4H', job, byte(job, 9) % 2 == 1 and 26 or 10)
  return priority, sub(job, at, at + n - 1), body, at + n
end

local function has_key(job) return byte(job, 9) >= 2 end

local function has_times(job) return byte(job, 9) % 2 == 1 end
