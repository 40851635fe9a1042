"""Ruby's queues in PostgreSQL: tables as their migrations make them, with a row in every state.

Rails writes UTC into columns without a time zone. The sessions of these databases live in New York,
so a probe that asked for `now()` would be hours off.
"""

from __future__ import annotations

import psycopg
import pytest

from lifeline.scaling.errors import ProbeError
from lifeline.scaling.sample import Sample
from support.probing import assert_counts, probe

pytestmark = pytest.mark.needs("postgres")

UTC = "(now() AT TIME ZONE 'UTC')"
PAST, LATER = f"{UTC} - interval '90 seconds'", f"{UTC} + interval '1 day'"
LONG_AGO = f"{UTC} - interval '5 hours'"

DELAYED_JOB = """
CREATE TABLE delayed_jobs (
    id bigserial PRIMARY KEY, priority integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0, handler text NOT NULL, last_error text,
    run_at timestamp, locked_at timestamp, failed_at timestamp, locked_by varchar, queue varchar,
    created_at timestamp, updated_at timestamp
)
"""
GOOD_JOB = """
CREATE TABLE good_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), queue_name text, priority integer,
    serialized_params jsonb, scheduled_at timestamp, performed_at timestamp, finished_at timestamp,
    error text, created_at timestamp NOT NULL DEFAULT now(),
    updated_at timestamp NOT NULL DEFAULT now(), active_job_id uuid, executions_count integer,
    job_class text, labels text[], locked_by_id uuid, locked_at timestamp, lock_type smallint
);
CREATE TABLE good_job_processes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL, state jsonb, lock_type smallint
);
CREATE TABLE good_job_settings (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL, key text UNIQUE, value jsonb
)
"""
SOLID_QUEUE = """
CREATE TABLE solid_queue_jobs (
    id bigserial PRIMARY KEY, queue_name varchar NOT NULL, class_name varchar NOT NULL,
    arguments text, priority integer NOT NULL DEFAULT 0, active_job_id varchar,
    scheduled_at timestamp, finished_at timestamp, concurrency_key varchar,
    created_at timestamp NOT NULL, updated_at timestamp NOT NULL
);
CREATE TABLE solid_queue_ready_executions (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE, queue_name varchar NOT NULL,
    priority integer NOT NULL DEFAULT 0, created_at timestamp NOT NULL
);
CREATE TABLE solid_queue_scheduled_executions (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE, queue_name varchar NOT NULL,
    priority integer NOT NULL DEFAULT 0, scheduled_at timestamp NOT NULL,
    created_at timestamp NOT NULL
);
CREATE TABLE solid_queue_claimed_executions (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE, process_id bigint,
    created_at timestamp NOT NULL
);
CREATE TABLE solid_queue_blocked_executions (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE, queue_name varchar NOT NULL,
    priority integer NOT NULL DEFAULT 0, concurrency_key varchar NOT NULL,
    expires_at timestamp NOT NULL, created_at timestamp NOT NULL
);
CREATE TABLE solid_queue_failed_executions (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL UNIQUE, error text,
    created_at timestamp NOT NULL
);
CREATE TABLE solid_queue_pauses (
    id bigserial PRIMARY KEY, queue_name varchar NOT NULL UNIQUE, created_at timestamp NOT NULL
)
"""


def execute(url: str, *statements: str) -> None:
    """As Rails does it, which sets the zone of its sessions to UTC."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET timezone TO 'UTC'")
        for statement in statements:
            connection.execute(statement)


def delayed(run_at: str, locked_at: str = "NULL", failed_at: str = "NULL", queue: str = "q") -> str:
    columns = "handler, run_at, locked_at, failed_at, queue"
    values = f"'--- x', {run_at}, {locked_at}, {failed_at}, '{queue}'"
    return f"INSERT INTO delayed_jobs ({columns}) VALUES ({values})"


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_delayed_job_counts_as_its_own_workers_do(database: str, kind: str) -> None:
    """Due ones, due retries and those locked too long ago; not running, failed or later ones.

    Whether Rails is set to write times with a zone or without.
    """
    execute(
        database,
        DELAYED_JOB.replace("timestamp", kind),
        delayed(PAST),
        delayed(PAST, queue="mail"),
        delayed(PAST, locked_at=LONG_AGO),
        delayed(PAST, locked_at=PAST),
        delayed(PAST, failed_at=PAST),
        delayed(PAST, locked_at=LONG_AGO, failed_at=PAST),
        delayed(LATER),
        delayed(f"{UTC} + interval '2 hours'"),
    )
    assert_counts(probe("delayed-job", url=database)(), Sample(3, 1, 2), waits=90)
    assert probe("delayed-job", url=database, queues=["mail"])().ready == 1
    assert probe("delayed-job", url=database, max_run_time="10h")().busy == 2


def good(scheduled_at: str, **columns: str) -> str:
    given = {"queue_name": "'q'", "job_class": "'A'", "scheduled_at": scheduled_at, **columns}
    return f"INSERT INTO good_jobs ({', '.join(given)}) VALUES ({', '.join(given.values())})"


def test_good_job_counts_queued_and_abandoned_jobs_but_no_paused_ones(database: str) -> None:
    """2 queued, 1 whose process is silent and 1 whose process is gone; 1 runs; 1 is for later."""
    alive, silent, gone = (f"'{digit * 8}-0000-4000-8000-000000000000'" for digit in "123")
    pauses = """'{"queues": ["slow"], "job_classes": ["B"], "labels": ["l"]}'"""
    execute(
        database,
        GOOD_JOB,
        f"INSERT INTO good_job_processes (id, created_at, updated_at) "
        f"VALUES ({alive}, {LONG_AGO}, {PAST}), ({silent}, {LONG_AGO}, {LONG_AGO})",
        good(PAST),
        good(PAST, queue_name="'mail'", labels="'{x}'"),
        good(PAST, performed_at=PAST, locked_by_id=alive),
        good(PAST, performed_at=PAST, locked_by_id=silent),
        good(PAST, performed_at=PAST, locked_by_id=gone),
        good(PAST, performed_at=PAST, finished_at=PAST, locked_by_id=alive),
        good(PAST, performed_at=PAST, finished_at=PAST, error="'it failed'"),
        good(LATER),
        good(PAST, queue_name="'slow'"),
        good(PAST, job_class="'B'"),
        good(PAST, labels="'{k,l}'"),
        f"INSERT INTO good_job_settings (created_at, updated_at, key, value) "
        f"VALUES ({PAST}, {PAST}, 'pauses', {pauses})",
    )
    assert_counts(probe("good-job", url=database)(), Sample(4, 1, 1), waits=90)
    assert probe("good-job", url=database, queues=["mail"])().ready == 1
    assert probe("good-job", url=database, pauses=False)().ready == 7


def solid(table: str, job: int, queue: str = "q", **columns: str) -> str:
    given = {"job_id": str(job), "created_at": PAST, **columns}
    if table != "claimed" and table != "failed":
        given["queue_name"] = f"'{queue}'"
    names = ", ".join(given)
    return (
        f"INSERT INTO solid_queue_jobs (id, queue_name, class_name, created_at, updated_at) "
        f"VALUES ({job}, '{queue}', 'A', {PAST}, {PAST}); "
        f"INSERT INTO solid_queue_{table}_executions ({names}) VALUES ({', '.join(given.values())})"
    )


def test_solid_queue_counts_due_jobs_that_only_a_dispatcher_would_move(database: str) -> None:
    """2 ready and 1 due; 2 claimed; 1 later; blocked, failed and paused ones count nowhere."""
    execute(
        database,
        SOLID_QUEUE,
        solid("ready", 1),
        solid("ready", 2, "mail_urgent"),
        solid("ready", 3, "stopped"),
        solid("scheduled", 4, scheduled_at=PAST),
        solid("scheduled", 5, scheduled_at=LATER),
        solid("scheduled", 6, "stopped", scheduled_at=PAST),
        solid("claimed", 7),
        solid("claimed", 8, "stopped"),
        solid("blocked", 9, concurrency_key="'k'", expires_at=LATER),
        solid("failed", 10),
        f"INSERT INTO solid_queue_pauses (queue_name, created_at) VALUES ('stopped', {PAST})",
    )
    assert_counts(probe("solid-queue", url=database)(), Sample(3, 2, 1), waits=90)
    assert probe("solid-queue", url=database, queues=["q"])().ready == 2
    assert probe("solid-queue", url=database, queues=["mail*"])().ready == 1
    assert probe("solid-queue", url=database, queues=["mail"])().ready == 0


@pytest.mark.parametrize(
    ("kind", "tables"),
    [("delayed-job", DELAYED_JOB), ("good-job", GOOD_JOB), ("solid-queue", SOLID_QUEUE)],
)
def test_empty_tables_are_zero_and_missing_ones_are_not(
    database: str, kind: str, tables: str
) -> None:
    """A table is what shows that a queue exists: also in a schema of its own."""
    with pytest.raises(ProbeError, match="does not exist"):
        probe(kind, url=database)()
    execute(database, "CREATE SCHEMA own", "SET search_path TO own; " + tables)
    with pytest.raises(ProbeError, match="does not exist"):
        probe(kind, url=database)()
    assert probe(kind, url=database, schema="own")() == Sample(0)
