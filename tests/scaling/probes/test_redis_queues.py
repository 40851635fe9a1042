"""Queues in Redis: real libraries fill them, their own workers take from them."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import redis

from lifeline.scaling.sample import Sample
from support.probing import assert_counts, probe
from support.spawning import table


def test_celery_counts_all_priorities_and_queues_and_leaves_out_what_is_for_later(
    app: Any, redis_url: str
) -> None:
    """5 + 4 less urgent + 1 overdue + 1 in another queue are ready; 2 are for later."""
    app("celery_app", redis_url).run("enqueue")
    both = probe("celery-redis", url=redis_url, queues=["celery", "mail"], listen=0)
    assert_counts(both(), Sample(11, 0, 2), waits=60)
    # With a smaller peek the rest is judged by those that were seen, and that is said.
    seen = probe("celery-redis", url=redis_url, listen=0, peek=2)()
    assert (seen.ready + seen.future, seen.exact) == (12, False)


def test_celery_at_work_shows_what_runs_and_what_was_fetched_ahead(
    app: Any, redis_url: str, settles: Any
) -> None:
    """One task runs, one is fetched; two are held until their time, one waits to be retried.

    After the visibility timeout a fetched task is ready again, though no worker lives.
    """
    celery = app("celery_app", redis_url)
    celery.run("enqueue")
    pid = celery.start("work", "celery")
    celery.wait_for_jobs(1)
    here = {"url": redis_url, "queues": ["celery"]}
    settles(probe("celery-redis", **here, listen=0), Sample(6, 1, 3))
    settles(probe("celery-redis", **here), Sample(6, 2, 3))
    settles(probe("celery-redis", **here, workers="two@*"), Sample(6, 1, 3))
    assert probe("celery-redis", url=redis_url, queues=["mail"], listen=0)().busy == 0
    os.killpg(pid, signal.SIGKILL)
    settles(probe("celery-redis", **here, listen=0, visibility_timeout="1ms"), Sample(7, 0, 3))


def test_an_idle_celery_queue_is_known_by_its_binding(
    app: Any, redis_url: str, settles: Any
) -> None:
    """The list is gone once it is empty, and that is zero; another name is an error."""
    celery = app("celery_app", redis_url)
    celery.run("enqueue")
    celery.let_go()
    celery.start("work", "mail")
    celery.wait_for_jobs(1)
    settles(probe("celery-redis", url=redis_url, queues=["mail"], listen=0), Sample(0))


def test_rq_counts_due_jobs_that_only_a_worker_would_move(
    app: Any, redis_url: str, settles: Any
) -> None:
    """3 queued, 1 due; a later one and a retry wait; failed and dependent jobs count nowhere.

    Nothing is ready while all workers are suspended.
    """
    rq = app("rq_app", redis_url)
    rq.run("enqueue")
    assert_counts(probe("rq", url=redis_url)(), Sample(4, 0, 2), waits=90)
    assert probe("rq", url=redis_url, queues=["default", "mail"])().ready == 5
    client = redis.Redis.from_url(redis_url)
    client.set("rq:suspended", 1)  # what `rq suspend` does: no worker takes anything
    assert probe("rq", url=redis_url)() == Sample(0, 0, 2)
    client.delete("rq:suspended")
    rq.start("work")
    rq.wait_for_jobs(1)
    settles(probe("rq", url=redis_url), Sample(3, 1, 2))


def test_rq_counts_what_a_dead_worker_held(app: Any, redis_url: str, settles: Any) -> None:
    """Only a living worker puts it back: once its entry is overdue, it has to wake one.

    It is busy until then. The next worker begins it anew.
    """
    rq = app("rq_app", redis_url)
    rq.run("retry")
    mine = probe("rq", url=redis_url)
    pid = rq.start("work")
    rq.wait_for_jobs(1)
    settles(mine, Sample(0, 1))
    forked = [each.pid for each in table() if each.ppid == pid]
    for each in (pid, *forked):  # the job's process has a session of its own
        os.kill(each, signal.SIGKILL)
    client = redis.Redis.from_url(redis_url)
    for entry in client.zrange("rq:wip:default", 0, -1):
        client.zadd("rq:wip:default", {entry: 1.0})
    (rq.here / "began-1").unlink()
    assert_counts(mine(), Sample(1))
    assert mine().oldest_age is not None
    rq.start("work")
    rq.wait_for_jobs(1)
    settles(mine, Sample(0, 1))


def test_an_empty_rq_queue_is_zero_and_a_missing_one_is_not(app: Any, redis_url: str) -> None:
    """RQ keeps the names of its queues, so an empty list needs no allow_missing."""
    app("rq_app", redis_url).run("empty")
    assert probe("rq", url=redis_url)() == Sample(0)


def test_dramatiq_counts_delays_that_are_over_wherever_they_lie(
    app: Any, redis_url: str, settles: Any
) -> None:
    """3 sent, 1 delay over, 1 for later; with a worker 2 are fetched, and it holds the delay.

    Once the heartbeat of a dead worker is too old, what it fetched is ready again.
    """
    dramatiq = app("dramatiq_app", redis_url)
    dramatiq.run("enqueue")
    settles(probe("dramatiq", url=redis_url), Sample(4, 0, 1))
    assert probe("dramatiq", url=redis_url)().oldest_age is not None
    pid = _start_dramatiq(dramatiq)
    dramatiq.wait_for_jobs(1)
    settles(probe("dramatiq", url=redis_url), Sample(2, 2, 1))
    os.killpg(pid, signal.SIGKILL)
    settles(probe("dramatiq", url=redis_url, heartbeat_timeout="1s"), Sample(4, 0, 1))


def test_a_failed_dramatiq_message_counts_nowhere(app: Any, redis_url: str, settles: Any) -> None:
    """It lies in the queue of the dead. One that will be tried again is for later."""
    dramatiq = app("dramatiq_app", redis_url)
    dramatiq.run("fail")
    assert probe("dramatiq", url=redis_url)().ready == 2
    _start_dramatiq(dramatiq)
    settles(probe("dramatiq", url=redis_url), Sample(0, future=1))


@pytest.mark.parametrize("storage", ["redis", "priority"])
def test_huey_counts_what_is_listed_and_what_is_due(
    app: Any, redis_url: str, settles: Any, storage: str
) -> None:
    """Tasks for later lie in the list until a consumer has seen them; then their time counts.

    Of two that fail one is tried again tomorrow.
    """
    huey = app("huey_app", redis_url, STORAGE=storage)
    huey.run("enqueue")
    found = probe("huey", url=redis_url, name="my.queue-x")
    assert found() == Sample(7, exact=False)
    pid = huey.start("work")
    huey.wait_for_jobs(1)
    os.killpg(pid, signal.SIGKILL)
    settles(found, Sample(3, future=2, exact=False))


def test_arq_tells_running_jobs_from_waiting_ones(app: Any, redis_url: str, settles: Any) -> None:
    """Running jobs stay in the sorted set: of 4 due ones 2 run. One of 2 failed is for later."""
    arq = app("arq_app", redis_url, environment="arq")
    arq.run("enqueue")
    assert_counts(probe("arq", url=redis_url)(), Sample(6, 0, 1), waits=100)
    arq.start("work")
    arq.wait_for_jobs(2)
    settles(probe("arq", url=redis_url), Sample(2, 2, 2))
    arq.let_go()
    settles(probe("arq", url=redis_url), Sample(0, 0, 2))


def test_saq_counts_due_jobs_that_only_a_worker_would_move(
    app: Any, redis_url: str, settles: Any
) -> None:
    """3 queued and 1 due; of 2 that failed 1 is for later; a running one is busy."""
    saq = app("saq_app", redis_url)
    saq.run("enqueue")
    assert probe("saq", url=redis_url)() == Sample(4, 0, 2)
    saq.start("work")
    saq.wait_for_jobs(1)
    settles(probe("saq", url=redis_url), Sample(3, 1, 2))


def _start_dramatiq(dramatiq: Any) -> int:
    pid: int = dramatiq.start(dramatiq.bin / "dramatiq", "dramatiq_app", "-p", "1", "-t", "1")
    return pid
