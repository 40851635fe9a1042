"""Queues in PostgreSQL: real libraries fill them, their own workers take from them."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from lifeline.scaling.sample import Sample
from support.probing import assert_counts, probe
from support.waiting import eventually

pytestmark = pytest.mark.needs("postgres")


def test_procrastinate_counts_what_its_workers_could_fetch_at_once(
    app: Any, database: str, settles: Any
) -> None:
    """3 now, 1 overdue, 1 of 3 that share a lock, 1 in another queue; 2 later; 1 failed.

    What a worker held that was killed is given to nobody, and keeps no other worker.
    """
    procrastinate = app("procrastinate_app", database)
    procrastinate.run("enqueue")
    assert_counts(probe("procrastinate", url=database)(), Sample(6, 0, 2), waits=90)
    mine = probe("procrastinate", url=database, queues=["default"])
    assert mine().ready == 5
    pid = procrastinate.start("work")
    procrastinate.wait_for_jobs(1)
    settles(mine, Sample(4, 1, 2))
    os.killpg(pid, signal.SIGKILL)
    silent = probe("procrastinate", url=database, queues=["default"], heartbeat_timeout="1ms")
    settles(silent, Sample(4, 0, 2))


def test_pgqueuer_counts_entrypoints_and_gives_back_what_a_dead_worker_held(
    app: Any, database: str, settles: Any
) -> None:
    """3 of one entrypoint now, 1 later, 1 of another, 1 that fails; picked ones come back."""
    pgqueuer = app("pgqueuer_app", database)
    pgqueuer.run("enqueue")
    settles(probe("pgqueuer", url=database), Sample(5, 0, 1))
    here = {"url": database, "entrypoints": ["stay"]}
    settles(probe("pgqueuer", **here), Sample(3, 0, 1))
    pid = pgqueuer.start("work")
    pgqueuer.wait_for_jobs(1)
    settles(probe("pgqueuer", **here), Sample(1, 2, 1))
    settles(probe("pgqueuer", url=database), Sample(2, 2, 1))
    os.killpg(pid, signal.SIGKILL)
    settles(probe("pgqueuer", **here, heartbeat_timeout="1ms"), Sample(3, 0, 1))


def test_django_tasks_counts_those_that_may_run_at_once(
    app: Any, database: str, settles: Any
) -> None:
    """4 at once (stored as the year 9999), 1 overdue, 1 in another queue; 1 later; 1 failed."""
    django = app("django_app", database)
    django.run("tasks")
    assert_counts(probe("django-tasks-db", url=database)(), Sample(6, 0, 1), waits=90)
    mine = probe("django-tasks-db", url=database, queues=["default"], backend="default")
    assert mine().ready == 5
    django.start("work-tasks")
    django.wait_for_jobs(1)
    settles(mine, Sample(4, 1, 1))
    # The row that a worker leaves which was killed says RUNNING for ever, as this one does.
    settles(probe("django-tasks-db", url=database, max_run_time="1ms"), Sample(5, 0, 1))


def test_django_q2_counts_schedules_that_only_a_cluster_would_start(
    app: Any, database: str, settles: Any
) -> None:
    """4 jobs and 1 schedule that is due; 1 is for later, and one has ended.

    At work, one job runs and one waits for the only worker. Of the rest one is the schedule's,
    which is for tomorrow, too, once it has become a job.
    """
    django = app("django_app", database)
    django.run("q2")
    mine = probe("django-q2", url=database, cluster="mine")
    assert mine().oldest_age is not None
    settles(mine, Sample(5, 0, 1))
    settles(probe("django-q2", url=database, cluster="mine", is_default=False), Sample(4, 0, 0))
    django.start("work-q2")
    django.wait_for_jobs(1)

    def is_so() -> bool:
        seen = mine()
        return (seen.ready, seen.busy) == (3, 2) and seen.future in (1, 2)

    eventually(is_so, within=120)


@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_huey_counts_its_tables(
    app: Any, database: str, settles: Any, storage: str, tmp_path: Any
) -> None:
    """As in Redis: 7 listed; after a consumer was there 2 are listed, 1 due and 2 for later."""
    url = database if storage == "postgres" else f"sqlite:{tmp_path}/huey.db"
    huey = app("huey_app", url, STORAGE=storage)
    huey.run("enqueue")
    found = probe("huey", url=url, name="my.queue-x")
    assert found() == Sample(7, exact=False)
    pid = huey.start("work")
    huey.wait_for_jobs(1)
    os.killpg(pid, signal.SIGKILL)
    settles(found, Sample(3, future=2, exact=False))
