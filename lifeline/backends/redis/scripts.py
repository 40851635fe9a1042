"""What a Redis or Valkey server runs for lifeline: one script for each verb, all or nothing.

Four kinds of keys, which share a hash tag for each namespace:

* `{lifeline:NS}` the set of the slots that may be held (an index: nothing ever walks all keys);
* `{lifeline:NS}:born` when lifeline first met this data set, in the server's milliseconds;
* `{lifeline:NS}:NAME` a hash without a ttl: the newest fence of each slot, the clear name, N, and
  `broken:SLOT`, the owner that the slot was last taken from by force;
* `{lifeline:NS}:NAME:SLOT` a hash with the lease's ttl: owner, fence, slots, ttl, info, run.

NS and NAME are `leases.keys.key` in hexadecimal, so a name may hold anything.

A fence is the greater of "one more than the last" and the server's clock in microseconds. So it
rises within a data set whatever the clock does, and over a lost or rolled-back data set (FLUSHALL,
a restart from an old dump, a failover) as long as the clock does not go back.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from ...leases.keys import key as key_of

Word = bytes | str | int

_WRITE = """
local function fence_after(fences, slot, least)
  local last = tonumber(redis.call('HGET', fences, slot) or 0)
  local seed = tonumber(least)
  if seed == 0 then
    local now = redis.call('TIME')
    seed = now[1] * 1000000 + now[2]
  end
  return string.format('%.0f', math.max(last + 1, seed))
end
local function raise(fences, slot, fence)
  if tonumber(redis.call('HGET', fences, slot) or 0) < tonumber(fence) then
    redis.call('HSET', fences, slot, fence)
  end
end
local function write(index, key, c)
  redis.call('HSET', key, 'owner', c.owner, 'fence', c.fence, 'name', c.name, 'slot', c.slot,
    'slots', c.slots, 'ttl', c.ttl, 'info', c.info, 'run', c.run)
  redis.call('PEXPIRE', key, c.ttl)
  redis.call('SADD', index, key)
end
"""

_SEEN = """
local function seen(key)
  local row = redis.call('HMGET', key, 'name', 'slot', 'slots', 'owner', 'fence', 'ttl', 'info')
  if not row[4] then return nil end
  row[8] = redis.call('PTTL', key)
  return row
end
"""

# KEYS: fences, index, born, the slots' keys in order.
# ARGV: owner, ttl (ms), N, name, info, run, least fence (0: by the clock), the age of what
# is wanted (none, data: the data set, server: that and the server's run), the slots.
_ACQUIRE = """
local fences, index = KEYS[1], KEYS[2]
local age = -1
if ARGV[8] ~= 'none' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local born = tonumber(redis.call('GET', KEYS[3]))
  if not born then
    born = now
    redis.call('SET', KEYS[3], string.format('%.0f', now))
  end
  age = math.max(math.floor((now - born) / 1000), 0)
end
if ARGV[8] == 'server' then
  local uptime = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')
  age = math.min(age, tonumber(uptime))
end
local function granted(slot, fence) -- in one piece: a client takes in a list slowly
  return string.format('granted %s %s %d', slot, fence, age)
end
local known = redis.call('HMGET', fences, 'name', 'slots')
if known[1] and known[1] ~= ARGV[4] then return {'name', known[1]} end
local free
for i = 4, #KEYS do
  local owner = redis.call('HGET', KEYS[i], 'owner')
  if owner == ARGV[1] then -- the same request again: its answer was lost
    redis.call('PEXPIRE', KEYS[i], ARGV[2])
    redis.call('HSET', KEYS[i], 'run', ARGV[6])
    return granted(ARGV[i + 5], redis.call('HGET', KEYS[i], 'fence'))
  end
  if not owner and not free then free = i end
end
if known[2] and known[2] ~= ARGV[3] then
  for _, slot in ipairs(redis.call('HKEYS', fences)) do
    local n = tonumber(slot) and redis.call('HGET', fences .. ':' .. slot, 'slots')
    if n and n ~= ARGV[3] then return {'slots', n} end
  end
end
if not free then
  local rows = {}
  for i = 4, #KEYS do rows[#rows + 1] = seen(KEYS[i]) end
  return {'taken', rows}
end
local slot = ARGV[free + 5]
local fence = fence_after(fences, slot, ARGV[7])
redis.call('HSET', fences, slot, fence, 'name', ARGV[4], 'slots', ARGV[3])
write(index, KEYS[free], {owner = ARGV[1], ttl = ARGV[2], slots = ARGV[3], name = ARGV[4],
  info = ARGV[5], run = ARGV[6], slot = slot, fence = fence})
return granted(slot, fence)
"""

# KEYS: the slots' keys. ARGV: run ('' for any), then owner and ttl (ms) for each key.
_RENEW = """
local answers = {}
for i, key in ipairs(KEYS) do
  local held = redis.call('HMGET', key, 'owner', 'run')
  local mine = held[1] == ARGV[2 * i] and (ARGV[1] == '' or held[2] == ARGV[1])
  if mine then redis.call('PEXPIRE', key, ARGV[2 * i + 1]) end
  answers[i] = mine and 1 or 0
end
return answers
"""

# KEYS: slot, index. ARGV: owner, channel ('' to tell nobody).
# A user without rights to the channel still releases: hence pcall.
_RELEASE = """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], KEYS[1])
if ARGV[2] ~= '' then redis.pcall('PUBLISH', ARGV[2], 'released') end
return 1
"""

# KEYS: fences, index, slot. ARGV: slot, channel.
_BREAK = """
if redis.call('EXISTS', KEYS[3]) == 0 then return false end
local fence = fence_after(KEYS[1], ARGV[1], 0)
raise(KEYS[1], ARGV[1], fence)
redis.call('HSET', KEYS[1], 'broken:' .. ARGV[1], redis.call('HGET', KEYS[3], 'owner'))
redis.call('DEL', KEYS[3])
redis.call('SREM', KEYS[2], KEYS[3])
redis.pcall('PUBLISH', ARGV[2], 'released')
return fence
"""

# KEYS: index. What has expired is taken out of it on the way.
_HOLDERS = """
local rows = {}
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local row = seen(key)
  if row then rows[#rows + 1] = row else redis.call('SREM', KEYS[1], key) end
end
return rows
"""

# KEYS: fences.
_HOLDERS_OF = """
local rows = {}
for _, slot in ipairs(redis.call('HKEYS', KEYS[1])) do
  if tonumber(slot) then rows[#rows + 1] = seen(KEYS[1] .. ':' .. slot) end
end
return rows
"""

# Redlock. KEYS: fences, slot. ARGV: slot, fence, owner ('' for whoever has it).
_RAISE = """
if ARGV[3] ~= '' then
  if redis.call('HGET', KEYS[2], 'owner') ~= ARGV[3] then return 0 end
  redis.call('HSET', KEYS[2], 'fence', ARGV[2])
end
raise(KEYS[1], ARGV[1], ARGV[2])
return 1
"""

# Redlock. A break reaches one node after another: what it took from an owner is not set again.
# KEYS: index, then fences and slot for each claim.
# ARGV: run, then owner, ttl (ms), N, name, info, slot, fence for each claim.
_HEAL = """
for i = 2, #KEYS, 2 do
  local a = (i - 2) / 2 * 7 + 2
  local owner = redis.call('HGET', KEYS[i + 1], 'owner')
  local broken = redis.call('HGET', KEYS[i], 'broken:' .. ARGV[a + 5])
  if broken ~= ARGV[a] and (not owner or owner == ARGV[a]) then
    raise(KEYS[i], ARGV[a + 5], ARGV[a + 6])
    redis.call('HSET', KEYS[i], 'name', ARGV[a + 3], 'slots', ARGV[a + 2])
    write(KEYS[1], KEYS[i + 1], {owner = ARGV[a], ttl = ARGV[a + 1], slots = ARGV[a + 2],
      name = ARGV[a + 3], info = ARGV[a + 4], slot = ARGV[a + 5], fence = ARGV[a + 6],
      run = ARGV[1]})
  end
end
return 1
"""


def pack(*words: Word) -> bytes:
    """One command as the server reads it (RESP2: an array of bulk strings)."""
    return b"*%d\r\n" % len(words) + b"".join([_bulk(word) for word in words])


@lru_cache(maxsize=512)  # most words of a lock are those of its last request
def _bulk(word: Word) -> bytes:
    data = word if isinstance(word, bytes) else str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


class Call:
    """One run of a script: `short` names it by its digest, `whole()` brings it along."""

    __slots__ = ("script", "short", "words")

    def __init__(self, script: Script, keys: list[bytes], args: list[Word]) -> None:
        self.script = script
        self.words: tuple[Word, ...] = (len(keys), *keys, *args)
        self.short = pack(b"EVALSHA", script.digest, *self.words)

    def whole(self) -> bytes:
        return pack(b"EVAL", self.script.text, *self.words)


class Script:
    """A script and its digest; calling it makes a `Call`."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()

    def __call__(self, keys: list[bytes], args: list[Word]) -> Call:
        return Call(self, keys, args)


ACQUIRE = Script(_WRITE + _SEEN + _ACQUIRE)
RENEW = Script(_RENEW)
RELEASE = Script(_RELEASE)
BREAK = Script(_WRITE + _BREAK)
HOLDERS = Script(_SEEN + _HOLDERS)
HOLDERS_OF = Script(_SEEN + _HOLDERS_OF)
RAISE = Script(_WRITE + _RAISE)
HEAL = Script(_WRITE + _HEAL)


class Keys:
    """The keys of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.index = b"{lifeline:%b}" % _hexadecimal(namespace, "", "namespace")
        self.born = self.index + b":born"
        self.fences = lru_cache(maxsize=4096)(self._fences)
        self._namespace = namespace

    def _fences(self, name: str) -> bytes:
        return b"%b:%b" % (self.index, _hexadecimal(self._namespace, name, "name"))

    def slot(self, name: str, slot: int) -> bytes:
        return b"%b:%d" % (self.fences(name), slot)

    def channel(self, name: str) -> bytes:
        return b"%b:released" % self.fences(name)


def _hexadecimal(namespace: str, name: str, part: str) -> bytes:
    return b"%016x" % (key_of(namespace, name, part) % 2**64)
