"""The bare engine: what a Redis server and redis-py (with hiredis) do with the smallest scripts that could be called a queue.

`python engine_redis.py URL MODE COUNT`, one line of JSON. It runs in Tidewheel's environment and stands beside Tidewheel in the same run:
jobs of 200 bytes, a list with the ids that are ready. No due times, no priorities, no keys, no duplicates looked for, nobody is woken.

The jobs are in a hash each, as in most designs on Redis, or all in one (`together`), which is cheaper and what Tidewheel does.
"""

from __future__ import annotations

import functools
import itertools
import json
import statistics
import sys
import time
from typing import Any

import redis

BODY = b"x" * 200
STEP = 256
ENQUEUE = """
redis.call('HSET', KEYS[1], 'd', ARGV[2])
return redis.call('RPUSH', KEYS[2], ARGV[1])
"""
FILL = """
for i = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1] .. ':' .. ARGV[i], 'd', ARGV[i + 1])
  redis.call('RPUSH', KEYS[2], ARGV[i])
end
return #ARGV / 2
"""
TOGETHER = """
for i = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('RPUSH', KEYS[2], ARGV[i])
end
return #ARGV / 2
"""
CLAIM = """
local ids = redis.call('LPOP', KEYS[2], ARGV[1])
if not ids then return {} end
local jobs = redis.call('HMGET', KEYS[1], unpack(ids))
local answer = {}
for i, id in ipairs(ids) do
  redis.call('HSET', KEYS[3], id, ARGV[2])
  answer[2 * i - 1], answer[2 * i] = id, jobs[i]
end
return answer
"""
SETTLE = """
local settled = 0
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
    settled = settled + 1
  end
end
return settled
"""
"""Fenced: only who claimed a job may settle it; with its result."""


def numbers(count: int) -> list[str]:
    """Ids of 32 characters."""
    return [f"{n:032x}" for n in range(count)]


def enqueue(server: redis.Redis, count: int) -> dict[str, Any]:
    """One job a call."""
    sha, clock, times = server.script_load(ENQUEUE), time.perf_counter, []
    ids = numbers(count)
    before = clock()
    for id_ in ids:
        server.evalsha(sha, 2, f"jobs:{id_}", "ready", id_, BODY)
        now = clock()
        times.append(now - before)
        before = now
    return {"us": statistics.fmean(times) * 1e6, "p50": statistics.median(times) * 1e6}


def fill(server: redis.Redis, count: int, script: str = FILL) -> dict[str, Any]:
    """256 jobs a call."""
    sha, ids = server.script_load(script), numbers(count)
    started = time.perf_counter()
    for n in range(0, count, STEP):
        server.evalsha(sha, 2, "jobs", "ready", *itertools.chain.from_iterable((id_, BODY) for id_ in ids[n : n + STEP]))
    return {"per_s": count / (time.perf_counter() - started)}


def drain(server: redis.Redis, count: int) -> dict[str, Any]:
    """Claim 256 with one script, settle them with another, until nothing is left. All jobs in one hash."""
    fill(server, count, TOGETHER)
    claim, settle = server.script_load(CLAIM), server.script_load(SETTLE)
    started, done = time.perf_counter(), 0
    while True:
        found: Any = server.evalsha(claim, 3, "jobs", "ready", "running", STEP, "me")
        if not found:
            return {"per_s": done / (time.perf_counter() - started), "n": done}
        outcomes = itertools.chain.from_iterable((id_, b"1") for id_ in found[::2])
        done += int(server.evalsha(settle, 3, "jobs", "running", "results", "me", *outcomes))


if __name__ == "__main__":
    url, mode, number = sys.argv[1:]
    modes = {"enqueue": enqueue, "fill": fill, "fill-together": functools.partial(fill, script=TOGETHER), "drain": drain}
    print(json.dumps(modes[mode](redis.Redis.from_url(url), int(number))))
