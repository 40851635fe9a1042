"""What is no answer: every probe raises ProbeError then, in one line, and never says zero."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import redis

from lifeline.errors import UsageError
from lifeline.scaling import plugins
from lifeline.scaling.sample import Sample
from support import probing
from support.probing import refused
from support.servers import Server, free_port, postgres, valkey
from support.waiting import eventually

IN_REDIS = ["arq", "celery-redis", "dramatiq", "huey", "rq", "saq"]
IN_POSTGRES = [
    *("delayed-job", "django-q2", "django-tasks-db", "good-job", "huey"),
    *("pgqueuer", "procrastinate", "solid-queue"),
]
# A key of each that must not be a plain text.
KEYS = {
    "arq": "arq:queue",
    "celery-redis": "celery",
    "dramatiq": "dramatiq:default",
    "huey": "huey.redis.huey",
    "rq": "rq:queue:default",
    "saq": "saq:default:queued",
}
QUICK: dict[str, dict[str, Any]] = {"celery-redis": {"listen": 0}}


def probe(kind: str, **options: Any) -> Callable[[], Sample]:
    return probing.probe(kind, **{**QUICK.get(kind, {}), **options})


@pytest.fixture
def guarded() -> Iterator[Server]:
    """A Valkey that wants a password."""
    server = valkey.new_server("--requirepass", "hush")
    yield server
    server.close()


@pytest.fixture(scope="module")
def frozen() -> Iterator[Server]:
    """A Valkey that does not answer."""
    server = valkey.new_server()
    server.freeze()
    yield server
    server.close()


@pytest.mark.parametrize("kind", IN_REDIS)
def test_no_trace_of_a_queue_is_an_error_unless_that_is_allowed(kind: str, redis_url: str) -> None:
    """An empty Redis is what a wrong database number or lost data look like."""
    assert "allow_missing" in refused(probe(kind, url=redis_url))
    assert probe(kind, url=redis_url, allow_missing=True)() == Sample(0)


@pytest.mark.parametrize("kind", IN_REDIS)
def test_a_key_of_another_type_is_an_error(kind: str, redis_url: str) -> None:
    """Somebody else's data under a queue's name counts nothing."""
    redis.Redis.from_url(redis_url).set(KEYS[kind], "mine")
    assert "WRONGTYPE" in refused(probe(kind, url=redis_url, allow_missing=True))


@pytest.mark.parametrize("kind", IN_REDIS)
def test_a_redis_that_is_not_there_is_an_error(kind: str) -> None:
    """A refused connection is told at once, with the host and without the password."""
    url = f"redis://user:hush@127.0.0.1:{free_port()}/0"
    assert "user@127.0.0.1" in refused(probe(kind, url=url, allow_missing=True))


@pytest.mark.parametrize("kind", IN_REDIS)
def test_a_redis_that_does_not_answer_is_an_error(kind: str, frozen: Server) -> None:
    """A frozen server is given up after the timeout, without another try."""
    url = f"redis://127.0.0.1:{frozen.port}/0"
    told = refused(probe(kind, url=url, allow_missing=True, timeout="100ms"))
    assert "no answer within 0.1 s" in told


def test_a_wrong_redis_password_is_an_error(guarded: Server) -> None:
    """The message names neither the right password nor the wrong one."""
    url = f"redis://:hush-hush@127.0.0.1:{guarded.port}/0"
    assert "password" in refused(probe("rq", url=url, allow_missing=True))


def test_a_missing_redis_right_is_an_error(broker: Server) -> None:
    """A user who may not read the keys sees an error and not an empty queue."""
    owner = redis.Redis(port=broker.port)
    owner.execute_command("ACL SETUSER reader on >hush +@all ~other:*")
    url = f"redis://reader:hush@127.0.0.1:{broker.port}/0"
    assert "permission" in refused(probe("rq", url=url, allow_missing=True)).lower()


def test_a_celery_message_that_is_none_is_an_error(redis_url: str) -> None:
    """What cannot be read may be ready or not: nobody knows."""
    redis.Redis.from_url(redis_url).lpush("celery", "{")
    assert "no JSON" in refused(probe("celery-redis", url=redis_url))


@pytest.mark.needs("postgres")
@pytest.mark.parametrize("kind", IN_POSTGRES)
def test_a_missing_table_is_an_error(kind: str, database: str) -> None:
    """Also one that was never migrated: a wrong database is not an empty queue."""
    assert "does not exist" in refused(probe(kind, url=database))


@pytest.mark.parametrize("kind", IN_POSTGRES)
def test_a_postgres_that_is_not_there_is_an_error(kind: str) -> None:
    """The message shows no password."""
    url = f"postgresql://user:hush@127.0.0.1:{free_port()}/nowhere"
    assert "user@127.0.0.1" in refused(probe(kind, url=url))


@pytest.mark.needs("postgres")
def test_a_wrong_postgres_password_is_an_error() -> None:
    """The role `locked` has to give a password; the message shows neither."""
    server = postgres.server()
    url = server.url(user="locked:hush")
    assert "password" in refused(probe("sql", url=url, query="SELECT 1"))


@pytest.fixture
def frail() -> Iterator[postgres.Postgres]:
    """A PostgreSQL that a test may freeze."""
    server = postgres.new_server()
    yield server
    server.thaw()
    server.close()


@pytest.mark.needs("postgres")
def test_a_postgres_that_does_not_answer_is_an_error(frail: postgres.Postgres) -> None:
    """A query that takes too long is ended by the server; a frozen server is given up."""
    slow = probe("sql", url=frail.url(), query="SELECT 1 FROM pg_sleep(60)", timeout="200ms")
    told = refused(slow)
    assert "statement timeout" in told or "no answer within 0.2 s" in told  # whoever came first
    assert probe("sql", url=frail.url(), query="SELECT 1", timeout="1m")() == Sample(1)
    frail.freeze()
    assert refused(slow)


@pytest.mark.needs("postgres")
def test_a_postgres_that_freezes_amid_a_query_is_given_up(frail: postgres.Postgres) -> None:
    """The server cannot end it then, and the driver would wait for ever."""
    query = "SELECT 1 FROM pg_sleep(60)"
    found = probe("sql", url=frail.url(), query=query, timeout="2s")
    runs = f"SELECT 1 FROM pg_stat_activity WHERE query = '{query}' AND state = 'active'"
    told: list[str] = []

    def is_amid_it() -> bool:
        """A machine too busy to look within the 2 s asks anew."""
        told.clear()
        threading.Thread(target=lambda: told.append(refused(found)), daemon=True).start()
        return bool(eventually(lambda: frail.execute(runs) or told, within=120)) and not told

    eventually(is_amid_it, within=120)
    frail.freeze()
    eventually(lambda: told, within=120)
    assert "no answer within 2 s" in told[0]


@pytest.mark.needs("postgres")
def test_rows_that_are_hidden_are_an_error(database: str) -> None:
    """Row-level security would make a queue look empty to a role that may not see its rows."""
    role = "r_" + database.rpartition("_")[2]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE queue AS SELECT 1 AS job")
        connection.execute("ALTER TABLE queue ENABLE ROW LEVEL SECURITY")
        connection.execute(f"CREATE ROLE {role} LOGIN; GRANT SELECT ON queue TO {role}")
    url = database.replace("postgres@", f"{role}@")
    told = refused(probe("sql", url=url, query="SELECT count(*) FROM queue"))
    assert "row-level security" in told


@pytest.mark.needs("postgres")
def test_a_query_cannot_write(database: str) -> None:
    """The transaction is read-only, and there is only one statement in it."""
    assert "read-only" in refused(probe("sql", url=database, query="CREATE TABLE t (n int)"))
    several = "SELECT 1; COMMIT; CREATE TABLE t (n int)"
    assert "multiple commands" in refused(probe("sql", url=database, query=several))
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('t')").fetchone() == (None,)


@pytest.mark.parametrize("scheme", [pytest.param("p", marks=pytest.mark.needs("postgres")), "s"])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT NULL",
        "SELECT sum(n) FROM (SELECT 1 AS n) AS t WHERE n > 1",
        "SELECT -1",
        "SELECT 1 WHERE 1 = 2",
        "SELECT 1 UNION ALL SELECT 2",
        "SELECT 'many'",
        "SELECT 1 AS a, 2 AS b",
        "SELECT 1 AS ready, NULL AS busy",
        "SELECT 9e999",
        "SELECT",
        "nonsense",
    ],
)
def test_an_answer_that_is_no_number_is_an_error(
    request: Any, tmp_path: Any, scheme: str, query: str
) -> None:
    """NULL, nothing, several rows, less than nothing and text: none of them is zero."""
    refused(probe("sql", url=_place(request, tmp_path, scheme), query=query))


@pytest.mark.parametrize("scheme", [pytest.param("p", marks=pytest.mark.needs("postgres")), "s"])
def test_a_query_of_your_own(request: Any, tmp_path: Any, scheme: str) -> None:
    """One number, or several with names; a percent sign is only that; NULL is no age."""
    url = _place(request, tmp_path, scheme)
    assert probe("sql", url=url, query="SELECT 3 WHERE 'a%s' LIKE 'a%'")() == Sample(3)
    query = "SELECT sum(n) AS ready, 2 AS busy, NULL AS oldest_age FROM (SELECT 4 AS n) AS t"
    assert probe("sql", url=url, query=query)() == Sample(4, 2)
    assert probe("sql", url=url, query="SELECT 1 AS ready, 2.5 AS oldest_age")() == Sample(
        1, oldest_age=2.5
    )


def _place(request: Any, tmp_path: Any, scheme: str) -> str:
    if scheme == "p":
        url: str = request.getfixturevalue("database")
        return url
    (tmp_path / "file.db").touch()
    return f"sqlite:{tmp_path}/file.db"


def test_an_sqlite_file_that_is_not_there_is_an_error_and_is_not_made(tmp_path: Any) -> None:
    """Opening is for reading only."""
    refused(probe("sql", url=f"sqlite:{tmp_path}/none.db", query="SELECT 1"))
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kind": "rq"}, "url is missing"),
        ({"kind": "rq", "url": "env:NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE"),
        ({"kind": "rq", "url": "postgresql://user:hush@host/d"}, "url is redis://"),
        ({"kind": "rq", "url": "redis://user:hush@host:port/"}, "url is redis://"),
        ({"kind": "rq", "url": "redis://h", "queue": ["a"]}, "did you mean 'queues'"),
        ({"kind": "rq", "url": "redis://h", "queues": "a"}, "list of names"),
        ({"kind": "rq", "url": "redis://h", "queues": []}, "list of names"),
        ({"kind": "rq", "url": "redis://h", "queues": ["a", "a"]}, "twice"),
        ({"kind": "rq", "url": "redis://h", "timeout": 0}, "timeout"),
        ({"kind": "rq", "url": "redis://h", "allow_missing": "yes"}, "true or false"),
        ({"kind": "celery-redis", "url": "redis://h", "priority_steps": 3}, "priority_steps"),
        ({"kind": "celery-redis", "url": "redis://h", "peek": 0}, "peek"),
        ({"kind": "delayed-job", "url": "redis://h"}, "url is postgresql://"),
        ({"kind": "delayed-job", "url": "postgresql://u:hush@h/d?x=1"}, "url is postgresql://"),
        ({"kind": "pgqueuer", "url": "postgresql://h/d", "table": 'a"b'}, "plain name"),
        ({"kind": "huey", "url": "mysql://h"}, "url is redis://"),
        ({"kind": "sql", "url": "postgresql://h/d"}, "query"),
        ({"kind": "sql", "query": "SELECT 1", "url": "postgresql://u:x@hush@h/d"}, "with %XX"),
        ({"kind": "sql", "query": "SELECT 1", "url": "postgresql://u:x/hush@h/d"}, "with %XX"),
        ({"kind": "rq", "url": "redis://u:12#hush@h"}, "with %XX"),
        ({"kind": "rq", "url": "redis://u:12?hush@h"}, "with %XX"),
        ({"kind": "rq", "url": "redis://:x@hush@h"}, "with %XX"),
        ({"kind": "celery-rabbitmq", "url": "http://u:12/hush@h:15672"}, "with %XX"),
        ({"kind": "celery-rabbitmq", "url": "amqp://guest:hush@h"}, "url is http"),
        ({"kind": "celery-rabbitmq", "url": "http://guest:hush@h:x"}, "url is http"),
        ({"kind": "sqs"}, "queues is missing"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_in_one_line(
    options: dict[str, Any], told: str
) -> None:
    """A usage error, exit 2, that shows nothing of a URL's password."""
    with pytest.raises(UsageError) as caught:
        plugins.make(plugins.PROBE, options)
    said = str(caught.value)
    assert told in said and "\n" not in said and "hush" not in said
    assert caught.value.exit_code == 2
