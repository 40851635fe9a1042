"""What a Redis URL or server can get wrong: one line, what to do, no secret."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from traceback import format_exception

import pytest
import redis as driver

from lifeline.backends.redis import backend as redis
from lifeline.backends.redis.scripts import Keys
from lifeline.backends.redlock import backend as redlock
from lifeline.errors import StoreError, StoreRefused, StoreUnreachable, UsageError
from lifeline.leases.port import BAD, GOOD, WARNING
from lifeline.leases.urls import redact
from support.needs import require
from support.redis_leases import hasty, opened, request, take
from support.servers import Server, free_port, valkey
from support.tls import TlsFront
from support.waiting import eventually

SECRET = "s3cr3t:/%40word"
QUOTED = "s3cr3t%3A%2F%2540word"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server with a password, and a user without rights beside it."""
    server = valkey.new_server("--requirepass", SECRET)
    with driver.Redis(port=server.port, password=SECRET) as client:
        for user in (
            "poor on >poor ~* &* +ping +info",
            "quiet on >quiet ~{lifeline* resetchannels +@all",
            "blind on >blind ~* &* +@all -info -config",
        ):
            client.execute_command("ACL", "SETUSER", *user.split())
    yield server
    server.close()


def told(error: BaseException) -> str:
    """All that a log could show of it; it must not hold the secret and the message is a line."""
    assert "\n" not in str(error)
    everything = "".join(format_exception(error))
    for secret in (SECRET, QUOTED, "s3cr3t"):
        assert secret not in everything
    return str(error)


def test_the_right_password_is_let_in(guarded: Server) -> None:
    """A password in the URL is percent-decoded."""
    with opened(f"redis://:{QUOTED}@127.0.0.1:{guarded.port}?restart_delay=0") as store:
        take(store)


@pytest.mark.parametrize("account", ["", "default:s3cr3tly-wrong@", "nobody:s3cr3t@"])
def test_a_wrong_or_missing_password_is_refused(guarded: Server, account: str) -> None:
    """Definitely, with the way to say it."""
    with (
        opened(f"redis://{account}127.0.0.1:{guarded.port}?restart_delay=0") as store,
        pytest.raises(StoreRefused, match="user or the password") as caught,
    ):
        store.try_acquire(request())
    assert str(guarded.port) in told(caught.value)


def test_a_missing_right_is_refused(guarded: Server) -> None:
    """A user that may not run scripts is told which rights it takes."""
    with (
        opened(f"redis://poor:poor@127.0.0.1:{guarded.port}?restart_delay=0") as store,
        pytest.raises(StoreRefused, match="EVALSHA") as caught,
    ):
        store.try_acquire(request())
    told(caught.value)


def test_without_rights_to_channels_a_lease_works_and_nobody_is_woken(guarded: Server) -> None:
    """The default of new users: release works, and a watch is not to be had."""
    with opened(
        f"redis://quiet:quiet@127.0.0.1:{guarded.port}?restart_delay=0&namespace=q"
    ) as store:
        mine = take(store)
        assert store.watch("job") is None
        store.release(mine)
        assert store.holders("job") == []


def test_without_info_a_restart_would_not_be_noticed(guarded: Server) -> None:
    """So that is refused, unless the URL accepts it."""
    url = f"redis://blind:blind@127.0.0.1:{guarded.port}?namespace=blind"
    with opened(url) as store, pytest.raises(StoreRefused, match="INFO"):
        store.try_acquire(request())
    with opened(f"{url}&restart_delay=0") as store:
        take(store)
        assert BAD in {finding.level for finding in store.check()}


def test_a_server_that_repeats_the_password_is_not_quoted() -> None:
    """Some answer an unknown command with its words."""
    server = valkey.new_server("--rename-command", "AUTH", "")
    try:
        url = f"redis://:{QUOTED}@127.0.0.1:{server.port}"
        with opened(url) as store, pytest.raises(StoreRefused, match="unknown command") as caught:
            store.holders()
        told(caught.value)
    finally:
        server.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:s3cr3t@host/1",
        "redis://me:s3c?r3t@host",
        "redis://me:s3c#r3t@host",
        "redis://me:s3c@x#r3t@host",
        "redlock:redis://:s3c,r3t@a,redis://b,rediss://:s3cr3t@c",
    ],
)
def test_what_is_shown_of_a_url_holds_no_part_of_the_password(url: str) -> None:
    """Nor if its special characters are not escaped."""
    assert "s3c" not in redact(url)
    assert "r3t" not in redact(url)


def test_nobody_listens() -> None:
    """A refused connection is a transient thing."""
    with (
        opened(f"redis://:{QUOTED}@127.0.0.1:{free_port()}") as store,
        pytest.raises(StoreUnreachable, match="refused") as caught,
    ):
        store.holders()
    told(caught.value)


def test_no_such_database() -> None:
    """A number that the server does not have is refused."""
    with (
        opened(f"redis://127.0.0.1:{valkey.server().port}/4711?restart_delay=0") as store,
        pytest.raises(StoreError) as caught,
    ):
        store.try_acquire(request())
    assert "DB index" in told(caught.value)


def test_a_key_of_another_kind_in_the_way() -> None:
    """What is not lifeline's is left alone."""
    url = valkey.fresh()
    fences = Keys(url.rpartition("=")[2]).fences("job").decode()
    valkey.ask(valkey.server().port, "SET", fences, "mine")
    with opened(url) as store, pytest.raises(StoreRefused, match="namespace"):
        store.try_acquire(request())
    assert valkey.ask(valkey.server().port, "STRLEN", fences) == ":4"


def test_tls_to_a_plain_port_fails() -> None:
    """Redis answers a TLS greeting with an error or not at all: TLS is named either way."""
    store = hasty(f"rediss://:{QUOTED}@127.0.0.1:{valkey.server().port}")
    with pytest.raises(StoreError, match="TLS") as caught:
        store.holders()
    told(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    require("openssl")
    path = tmp_path_factory.mktemp("tls") / "pair.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"),
            *("subjectAltName=IP:127.0.0.1", "-keyout", path.with_suffix(".key"), "-out", path),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".key").read_text())
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[TlsFront]:
    """A port that speaks TLS before the plain server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with TlsFront(valkey.server().port, context) as front:
        yield front


def test_tls_with_a_trusted_certificate(secure: TlsFront, certificate: Path) -> None:
    """redis-py's own options in the URL apply; a watch works over TLS as well."""
    options = f"ssl_ca_certs={certificate}&restart_delay=0&namespace={secure.port}"
    with opened(f"rediss://127.0.0.1:{secure.port}?{options}") as store:
        wake = store.watch("job")
        assert wake is not None
        store.release(take(store))
        assert eventually(wake.drain)
        wake.close()


def test_a_certificate_that_nobody_vouches_for(secure: TlsFront) -> None:
    """Refused, with the option that names an authority."""
    with (
        opened(f"rediss://:{QUOTED}@127.0.0.1:{secure.port}") as store,
        pytest.raises(StoreRefused, match="ssl_ca_certs") as caught,
    ):
        store.holders()
    told(caught.value)


def test_plain_to_a_tls_port_fails(secure: TlsFront) -> None:
    """A server that hangs up on plain words is an error like any other."""
    with (
        opened(f"redis://:{QUOTED}@127.0.0.1:{secure.port}") as store,
        pytest.raises(StoreError) as caught,
    ):
        store.holders()
    told(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis:///0",
        "redis://:6379",
        "redis://host:port",
        "redis://host:99999",
        "redis://host/zero",
        "redis://host/1/2",
        "redis://host#1",
        f"redis://:{SECRET}@host",
        "redis://:s3cr3t#x@host",
        "redis://:s3cr3t?x@host",
        "redis://:s3cr3t@host?socket_timeout=1",
        "redis://:s3cr3t@host?nonsense=1",
        "redis://:s3cr3t@host?ssl_ca_certs=x",
        "redis://:s3cr3t@host?db=one",
        "redis://:s3cr3t@host?namespace=a&namespace=b",
        "redis://:s3cr3t@host?restart_delay=soon",
        "redis://:s3cr3t@host?restart_delay=-1",
        "redis://:s3cr3t@host?restart_delay=nan",
        "redis+sentinel://:s3cr3t@host",
        "redis+sentinel:///service",
        "redis+sentinel://:s3cr3t@a,b:x/service",
        "redis+sentinel://:s3cr3t@a,,b/service",
        "redis+sentinel://:s3cr3t@a/service/zero",
    ],
)
def test_a_malformed_url_is_wrong_use(url: str) -> None:
    """Told when the store is opened, before anything is connected, without its password."""
    with pytest.raises(UsageError) as caught:
        redis.open_backend(url)
    told(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redlock:",
        "redlock:redis://a",
        "redlock:redis://a,redis://b",
        "redlock:redis://a,redis://b,redis://c,redis://d",
        "redlock:redis://a,redis://b,redis://a:6379",
        "redlock:redis://a,redis://b,http://c",
        "redlock:redis://a,redis://b,redis+sentinel://c/x",
        "redlock:redis://a,redis://b,redis://:s3cr3t@c:port",
        "redlock:redis://a,redis://b,redis://:s3,cr3t#s3cr3t@c",
        "redlock:redis://a,redis://b,redis://c?namespace=x",
    ],
)
def test_a_malformed_redlock_url_is_wrong_use(url: str) -> None:
    """An even number of servers, one twice, or of another kind: not a Redlock."""
    with pytest.raises(UsageError) as caught:
        redlock.open_backend(url)
    told(caught.value)


def test_the_parts_of_a_sentinel_url() -> None:
    """Hosts, their default port, service, database, both accounts."""
    place = redis.open_backend(
        "redis+sentinel://me:p%40ss@one:1,two/my%20service/3?sentinel_password=x&namespace=n"
    )._place
    addresses = [(each["host"], each["port"]) for each in place.sentinels]
    assert addresses == [("one", 1), ("two", 26379)]
    assert [each["password"] for each in place.sentinels] == ["x", "x"]
    assert (place.service, place.namespace) == ("my service", "n")
    assert {name: place.arguments[name] for name in ("username", "password", "db")} == {
        "username": "me",
        "password": "p@ss",
        "db": 3,
    }


def findings(store: redis.RedisBackend, word: str) -> list[str]:
    return [finding.level for finding in store.check() if finding.what.startswith(word)]


def test_the_check_warns_of_what_loses_leases() -> None:
    """Eviction, no persistence, a replica: each is a warning with what to do about it."""
    server = valkey.new_server("--maxmemory-policy", "volatile-lru")
    copy = valkey.new_server(
        "--replicaof", f"127.0.0.1 {server.port}", "--repl-diskless-sync-delay", "0"
    )
    try:
        with opened(valkey.url_of(server.port)) as store:
            eventually(lambda: findings(store, "replication") == [WARNING], within=120)
            assert findings(store, "eviction") == [WARNING]
            assert findings(store, "persistence") == [WARNING]
            assert all(found.advice for found in store.check() if found.level == WARNING)
    finally:
        copy.close()
        server.close()


def test_the_check_is_content_with_a_careful_server() -> None:
    """Nothing is bad or a warning where every write is on disk first."""
    server = valkey.new_server("--appendonly", "yes", "--appendfsync", "always")
    try:
        with opened(f"redis://127.0.0.1:{server.port}") as store:
            assert findings(store, "reachable") == [GOOD]
            assert {finding.level for finding in store.check()} <= {"good", "note"}
    finally:
        server.close()


def test_the_check_tells_what_keeps_it_from_checking() -> None:
    """A server that cannot be reached is a finding."""
    with opened(f"redis://127.0.0.1:{free_port()}") as store:
        assert [finding.level for finding in store.check()] == [BAD]
