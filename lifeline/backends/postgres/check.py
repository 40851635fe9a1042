"""`lifeline lock check` and `lifeline lock setup` for PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timezone

from ...errors import StoreError, StoreRefused
from ...leases.keys import key
from ...leases.port import BAD, GOOD, NOTE, WARNING, Finding
from . import sql as pg_sql
from .link import Link
from .session import Rows, Statement
from .url import LEASE

_FACTS = """
SELECT current_setting('server_version'), current_user, current_database(),
  extract(epoch FROM clock_timestamp()), to_regclass('lifeline_lock')::oid::regclass::text,
  has_schema_privilege(coalesce(current_schema(), 'public'), 'CREATE'), current_schema(),
  (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass('lifeline_lock'))"""
_TABLE = """
SELECT has_table_privilege('lifeline_lock', 'SELECT')
  AND has_table_privilege('lifeline_lock', 'INSERT')
  AND has_table_privilege('lifeline_lock', 'UPDATE'),
  obj_description('lifeline_lock'::regclass, 'pg_class')"""
_TIMEOUTS = """
SELECT name, setting FROM pg_settings WHERE setting <> '0' AND name IN
  ('idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout',
   'statement_timeout')"""
_COMMIT = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"

NOTICEABLE = 1.0  # seconds between the clocks that are worth a line


def findings(link: Link) -> list[Finding]:
    """What is right and wrong with the server, for people. Never raises StoreError."""
    try:
        link.main()
        return _looked_over(link)
    except StoreError as error:
        return [Finding(BAD, str(error))]


def _looked_over(link: Link) -> list[Finding]:
    before = _wall()
    facts, *_ = link.run(Statement(_FACTS))
    after = _wall()
    version, role, database, clock, table, may_create, schema, home = facts[0]
    found = [Finding(GOOD, f"PostgreSQL {version}, database {database}, role {role}")]
    found.append(_secrecy(link))
    found.append(_pooler(link))
    found.append(_clocks(float(clock or 0), before, after))
    if table:
        found += _table(link, f"{home}.lifeline_lock")
    else:
        found.append(_no_table(link, may_create == "t", schema or ""))
    settings, commit = link.run(Statement(_TIMEOUTS), Statement(_COMMIT))
    return found + _timeouts(settings) + _durability(commit)


def _wall() -> float:
    """This host's clock, in seconds since 1970: to be shown beside the server's, no more."""
    return datetime.now(timezone.utc).timestamp()


def _secrecy(link: Link) -> Finding:
    if link.main().encrypted:
        return Finding(GOOD, "the connection is encrypted")
    return Finding(NOTE, "the connection is not encrypted", "add sslmode=verify-full to the URL")


def _pooler(link: Link) -> Finding:
    if not link.pooled:
        return Finding(GOOD, f"direct connection, mode={link.target.mode}")
    return Finding(
        NOTE,
        f"a connection pooler is in front, mode={link.target.mode}",
        "releases cannot be told through it: who waits asks now and then; give every machine "
        "the same mode",
    )


def _clocks(server: float, before: float, after: float) -> Finding:
    offset = server - before if server < before else max(0.0, server - after)
    if abs(offset) < NOTICEABLE:
        return Finding(GOOD, "the clocks of this host and the server agree within a second")
    return Finding(
        NOTE,
        f"the server's clock is {offset:+.1f} s from this host's",
        "leases count by the server's clock alone, but let NTP set both",
    )


def _table(link: Link, name: str) -> list[Finding]:
    rights, comment = link.run(Statement(_TABLE))[0][0]
    found = [Finding(GOOD, f"the table is {name}")]
    if rights != "t":
        advice = f"GRANT SELECT, INSERT, UPDATE ON {name} TO the role"
        found.append(Finding(BAD, f"the role may not read and write {name}", advice))
    if not (comment or "").startswith(pg_sql.FORMAT + ":"):
        advice = "drop it while nothing runs, then run: lifeline lock setup URL"
        found.append(Finding(BAD, f"{name} is not of the format {pg_sql.FORMAT}", advice))
    return found


def _no_table(link: Link, may_create: bool, schema: str) -> Finding:
    advice = "run while nothing holds a lease: lifeline lock setup URL"
    if not may_create:
        advice += f", as a role that may create tables in the schema {schema or 'public'}"
    if link.target.mode == LEASE:
        return Finding(BAD, "there is no table lifeline_lock, which mode=lease needs", advice)
    told = "there is no table lifeline_lock: a taker waits a whole ttl, and nobody is named"
    return Finding(WARNING, told, advice)


def _timeouts(settings: Rows) -> list[Finding]:
    return [
        Finding(NOTE, f"the server sets {name} to {value} ms", "lifeline lifts it where it can")
        for name, value in settings
    ]


def _durability(commit: Rows) -> list[Finding]:
    fsync, synchronous = commit[0]
    if fsync == "on" and synchronous != "off":
        return []
    told = f"fsync is {fsync}, synchronous_commit {synchronous}"
    advice = "a crash of the server can take fences back: do not guard writes with them"
    return [Finding(WARNING, told, advice)]


def create_table(link: Link) -> list[str]:
    """Create the table, if there is none: what was done. Raises StoreError."""
    link.main()
    turn = Statement(pg_sql.TURN, (str(key("", "lifeline_lock", "setup")),))
    look = Statement(pg_sql.TABLE)
    try:
        answers = link.run(turn, look)
        if not answers[1][0][0]:
            creation = [pg_sql.CREATE_TABLE, pg_sql.CREATE_INDEX, pg_sql.COMMENT]
            answers = link.run(turn, look, *map(Statement, creation))
    except StoreRefused as error:
        raise StoreRefused(f"{error}; the role needs CREATE on the schema") from None
    created = not answers[1][0][0]
    link.find_table()
    return [f"created the table {link.table}"] if created else []
