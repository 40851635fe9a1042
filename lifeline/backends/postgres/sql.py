"""The statements. `lifeline_lock` has one row for each slot that was ever held.

`stop_by`: when the holder has to be gone at the latest. `start_at`: when it may begin at the
earliest, which is when those before it have to be gone. `owner` is empty if nobody holds the slot;
`clean` says that the last one to hold it had ended. All times are the server's clock_timestamp():
now() stands still in a transaction.

Fences start at the transaction counter, so that one made without the table is never above one made
with it later.
"""

from __future__ import annotations

FORMAT = "lifeline/1"

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS lifeline_lock (
  key bigint PRIMARY KEY,
  namespace text NOT NULL,
  name text NOT NULL,
  slot integer NOT NULL,
  slots integer NOT NULL,
  mode text NOT NULL,
  fence bigint NOT NULL,
  owner text NOT NULL,
  ttl double precision NOT NULL,
  start_at timestamptz NOT NULL,
  stop_by timestamptz NOT NULL,
  clean boolean NOT NULL,
  info json NOT NULL
) WITH (fillfactor = 50)"""
CREATE_INDEX = """
CREATE INDEX IF NOT EXISTS lifeline_lock_name ON lifeline_lock (namespace, name)"""
COMMENT = f"COMMENT ON TABLE lifeline_lock IS '{FORMAT}: leases of lifeline'"

# One acquisition of a name at a time: the next one sees what this one wrote.
TURN = "SELECT set_config('lock_timeout', '2s', true), pg_advisory_xact_lock($1::bigint)"
READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"

_HERE = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
# Keys of 64 bits are shown in two halves, with objsubid 1; pairs of 32 bits with objsubid 2.
_KEY = "((classid::bigint << 32) | objid::bigint)"
_HELD = f"""SELECT {_KEY} AS key, pid FROM pg_locks
  WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND {_HERE}"""
_OWN = f"{_HELD} AND pid = pg_backend_pid()"

_ACQUIRE = """
WITH now AS MATERIALIZED (SELECT clock_timestamp() AS at),
there AS MATERIALIZED (
  SELECT * FROM lifeline_lock
  WHERE key = ANY($1::bigint[]) OR (namespace = $3 AND name = $4)),
wrong AS MATERIALIZED (
  SELECT there.* FROM there, now WHERE namespace <> $3 OR name <> $4
    OR (owner NOT IN ('', $7) AND stop_by > at AND (slots <> $5::int OR mode <> $6)) LIMIT 1),
pick AS MATERIALIZED (
  SELECT key, slot FROM (
    SELECT u.key, u.slot FROM now,
      unnest($1::bigint[], $2::int[]) WITH ORDINALITY u(key, slot, nth)
      LEFT JOIN there l ON l.key = u.key
    WHERE NOT EXISTS (SELECT FROM wrong) AND {free}
    ORDER BY (l.owner = $7) IS TRUE DESC, (NOT l.clean AND l.stop_by > at) IS TRUE, nth
    OFFSET 0) candidate
  WHERE {take} LIMIT 1),
record AS (
  INSERT INTO lifeline_lock AS l
    (key, namespace, name, slot, slots, mode, fence, owner, ttl, start_at, stop_by, clean, info)
  SELECT key, $3, $4, slot, $5::int, $6, txid_current(), $7, $8::float8, at,
    clock_timestamp() + $8::float8 * interval '1 second', false, $9::json FROM pick, now
  ON CONFLICT (key) DO UPDATE SET
    fence = CASE WHEN l.owner = excluded.owner THEN l.fence
      ELSE greatest(l.fence + 1, excluded.fence) END,
    start_at = greatest(l.start_at, CASE WHEN NOT l.clean AND l.owner <> excluded.owner
      THEN least(l.stop_by, clock_timestamp() + l.ttl * interval '1 second') END),
    slots = excluded.slots, mode = excluded.mode, owner = excluded.owner, ttl = excluded.ttl,
    stop_by = excluded.stop_by, clean = false, info = excluded.info
  WHERE {still}
  RETURNING l.slot, l.fence,
    greatest(0, extract(epoch FROM l.start_at - clock_timestamp())) AS wait)
SELECT 'granted', slot, fence, wait, NULL::int, NULL, NULL, NULL::float8, NULL, NULL::float8, NULL
  FROM record
UNION ALL SELECT 'wrong', slot, fence, 0, slots, owner, mode, ttl, info::text, NULL, name FROM wrong
UNION ALL SELECT 'seen', slot, fence, 0, slots, owner, mode, ttl, info::text,
  extract(epoch FROM stop_by - at), name FROM there, now
  WHERE owner <> '' AND NOT EXISTS (SELECT FROM record)"""

_EXPIRED = "(l.owner IN ('', $7) OR l.stop_by < {now})"
# The rows decide, looked at once more when the row is locked: a renewal may have come first.
ACQUIRE_LEASE = _ACQUIRE.format(
    free=f"(l.key IS NULL OR {_EXPIRED.format(now='at')})",
    take="true",
    still=_EXPIRED.format(now="clock_timestamp()"),
)
# The lock decides. Never asked for a key that this session holds: it would stack.
ACQUIRE_SESSION = _ACQUIRE.format(free="true", take="pg_try_advisory_lock(key)", still="true")
# The lock is held by another transaction of ours.
ACQUIRE_XACT = _ACQUIRE.format(free="true", take="true", still="true")

_RENEW = """
UPDATE lifeline_lock l
SET ttl = c.ttl, stop_by = clock_timestamp() + c.ttl * interval '1 second'
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::float8[]) c(key, owner, fence, ttl)
WHERE l.key = c.key AND l.owner = c.owner AND l.fence = c.fence AND {still} RETURNING l.key"""
RENEW_LEASE = _RENEW.format(still="l.stop_by > clock_timestamp()")
RENEW_SESSION = _RENEW.format(still=f"l.key IN (SELECT key FROM ({_OWN}) own)")
RENEW_XACT = _RENEW.format(still="true")
RENEW_LOCKS = f"SELECT key FROM ({_OWN}) own WHERE key = ANY($1::bigint[])"

AGAIN = """
UPDATE lifeline_lock SET stop_by = clock_timestamp() + $4::float8 * interval '1 second'
WHERE key = $1::bigint AND owner = $2 AND fence = $3::bigint
RETURNING greatest(0, extract(epoch FROM start_at - clock_timestamp()))"""

# Done twice, it says the same: a break and every acquisition move the fence on.
FREE = """
UPDATE lifeline_lock SET owner = '', clean = true, stop_by = clock_timestamp()
WHERE key = $1::bigint AND owner IN ($2, '') AND fence = $3::bigint RETURNING slot"""
TELL = "SELECT pg_notify($1, $2)"
UNLOCK = "SELECT pg_advisory_unlock($1::bigint)"
UNLOCK_STRAY = f"""
SELECT pg_advisory_unlock(key)
FROM (SELECT key FROM ({_OWN}) own WHERE key = ANY($1::bigint[]) OFFSET 0) stray"""

# Without the table. The number of slots is in the low twelve bits of a shared lock on the name.
_COUNTS = f"""SELECT (objid::bigint & 4095)::int AS slots FROM pg_locks
  WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND {_HERE}
  AND classid::bigint = %s::bigint & 4294967295
  AND objid::bigint >> 12 = (%s::bigint & 4294967295) >> 12"""
_BARE = f"""
WITH wrong AS MATERIALIZED (
  SELECT slots FROM ({_COUNTS % ("$3", "$4")}) counts
  WHERE slots <> ($4::bigint & 4095)::int LIMIT 1),
pick AS MATERIALIZED (
  SELECT key, slot FROM (
    SELECT key, slot FROM unnest($1::bigint[], $2::int[]) WITH ORDINALITY u(key, slot, nth)
    WHERE NOT EXISTS (SELECT FROM wrong) AND to_regclass('lifeline_lock') IS NULL
    ORDER BY nth OFFSET 0) candidate
  WHERE {{lock}}(key) LIMIT 1),
fenced AS MATERIALIZED (
  SELECT slot, {{fence}} AS fence, {{count}} AS counted FROM pick)
SELECT 'granted', slot, fence, counted FROM fenced
UNION ALL SELECT 'wrong', slots, NULL, NULL FROM wrong
UNION ALL SELECT 'seen', u.slot, held.pid, NULL
  FROM unnest($1::bigint[], $2::int[]) u(key, slot) JOIN ({_HELD}) held USING (key)
  WHERE NOT EXISTS (SELECT FROM pick)"""
BARE_SESSION = _BARE.format(
    lock="pg_try_advisory_lock",
    fence="txid_current()",
    count="pg_try_advisory_lock_shared($3::bigint::int, $4::bigint::int)"
    " AND pg_notify($5, 'held ' || slot) IS NOT NULL",
)
BARE_XACT = _BARE.format(lock="pg_try_advisory_xact_lock", fence="0", count="true")
COUNT_XACT = "SELECT pg_try_advisory_xact_lock_shared($1::int, $2::int)"
PICK_XACT = """
SELECT slot FROM (SELECT key, slot FROM unnest($1::bigint[], $2::int[]) WITH ORDINALITY
  u(key, slot, nth) ORDER BY nth OFFSET 0) candidate
WHERE pg_try_advisory_xact_lock(key) LIMIT 1"""
BEGIN_XACT = "BEGIN ISOLATION LEVEL READ COMMITTED"
PING = "SELECT 1"
# A statement's snapshot lives until its portal is used again, and would hold back vacuum.
NOTHING = ""
UNCOUNT = "SELECT pg_advisory_unlock_shared($1::int, $2::int)"
FENCE = "SELECT txid_current()"

HOLDERS = f"""
SELECT l.name, l.slot, l.slots, l.owner, l.fence, l.ttl, l.info::text,
  CASE WHEN l.mode = 'lease' THEN extract(epoch FROM l.stop_by - clock_timestamp()) END
FROM lifeline_lock l
WHERE l.namespace = $1 AND ($2::text IS NULL OR l.name = $2) AND l.owner <> ''
  AND CASE WHEN l.mode = 'lease' THEN l.stop_by > clock_timestamp()
    ELSE l.key IN (SELECT key FROM ({_HELD}) held) END
ORDER BY l.name, l.slot"""
HOLDERS_COUNT = f"SELECT max(slots) FROM ({_COUNTS % ('$1', '$2')}) counts"
HOLDERS_BARE = f"""
SELECT u.slot, held.pid FROM unnest($1::bigint[], $2::int[]) u(key, slot)
JOIN ({_HELD}) held USING (key) ORDER BY u.slot"""

BREAK = """
UPDATE lifeline_lock SET fence = greatest(fence + 1, txid_current()), owner = '', clean = false
WHERE key = $1::bigint AND owner <> '' RETURNING fence, mode"""
END_SESSION = f"""
SELECT pg_terminate_backend(pid) FROM ({_HELD}) held
WHERE key = $1::bigint AND pid <> pg_backend_pid()"""
WHO_HOLDS = f"SELECT pid FROM ({_HELD}) held WHERE key = $1::bigint"

# With pg_class in it: to_regclass() alone answers from a cache that hears of nothing that was
# created since the transaction began.
TABLE = "SELECT (SELECT oid::regclass::text FROM pg_class WHERE oid = to_regclass('lifeline_lock'))"
HELLO = """
SELECT pg_backend_pid(), pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,
  current_setting('transaction_isolation'), to_regclass('lifeline_lock')::text"""
