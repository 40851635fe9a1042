"""From what a user writes to a store: options, secrets, drivers, keys."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.errors import LifelineError, StoreRefused, UsageError
from lifeline.leases.keys import key, slot_order
from lifeline.leases.stores import open_store, shown
from lifeline.leases.urls import redact, resolve, scheme_of, take_options

SECRET = "hunter2"

# --- where the URL comes from -----------------------------------------------------------------


def test_a_url_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks around it do not count; a variable that is empty or missing is an error."""
    monkeypatch.setenv("LOCKS", " redis://one \n")
    assert resolve("env:LOCKS") == "redis://one"
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("LOCKS")
        else:
            monkeypatch.setenv("LOCKS", value)
        with pytest.raises(UsageError, match="LOCKS"):
            resolve("env:LOCKS")


def test_a_url_may_come_from_a_file_of_one_user(tmp_path: Path) -> None:
    """The first line of it; what everybody can read is no secret and refused."""
    path = tmp_path / "url"
    path.write_text(f"redis://:{SECRET}@one\nsecond line\n")
    path.chmod(0o640)
    assert resolve(f"secret-file:{path}") == f"redis://:{SECRET}@one"
    path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod o-r") as caught:
        resolve(f"secret-file:{path}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"  \nredis://one", b"\xff\xfe"])
def test_a_file_without_a_url_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, blank, or not text."""
    path = tmp_path / "url"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="holds no URL"):
        resolve(f"secret-file:{path}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(UsageError, match=r"none.*No such file"):
        resolve(f"secret-file:{tmp_path}/none")
    with pytest.raises(UsageError, match="directory"):
        resolve(f"secret-file:{tmp_path}")


# --- what stands in it ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["", ":", "redis", "//host", "1redis://x", "RE DIS:x", "-x:y", "/a:b"]
)
def test_what_has_no_scheme_is_no_url(url: str) -> None:
    """And it is not repeated: it may be a password that came to the wrong place."""
    with pytest.raises(UsageError, match="no scheme") as caught:
        scheme_of(url)
    assert not url or url == ":" or url not in str(caught.value).replace("redis://…", "")


def test_options_of_ours_are_taken_out_and_others_stay() -> None:
    """In their order, and as they were meant."""
    url, ours = take_options("redis://h/0?a=1&namespace=x%20y&b=%26&c=", frozenset({"namespace"}))
    assert ours == {"namespace": "x y"}
    assert url == "redis://h/0?a=1&b=%26&c="
    assert take_options("redis://h/0?namespace=", frozenset({"namespace"})) == (
        "redis://h/0",
        {"namespace": ""},
    )
    assert take_options("redis://h/0", frozenset({"namespace"})) == ("redis://h/0", {})


def test_an_option_of_ours_cannot_be_given_twice() -> None:
    """Which one would count is anybody's guess."""
    with pytest.raises(UsageError, match="'namespace' twice"):
        take_options("redis://h?namespace=a&namespace=b", frozenset({"namespace"}))


# --- nothing secret is shown ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        (f"redis://:{SECRET}@host/0", "redis://host/0"),
        (f"postgresql://me:{SECRET}@host/db?sslpassword={SECRET}", "postgresql://me@host/db"),
        (f"postgresql://me:{SECRET}@{SECRET}@host/db", "postgresql://me@host/db"),
        (f"postgresql:///db?host=/run&password={SECRET}", "postgresql:///db"),
        (
            f"redlock:redis://:{SECRET}@a,rediss://u:{SECRET},{SECRET}@b:1?x={SECRET}",
            "redlock:redis://a,rediss://u@b:1",
        ),
        ("file:/var/lib/locks?namespace=x", "file:/var/lib/locks"),
        ("dynamodb://table?region=eu-west-1", "dynamodb://table"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, expected: str) -> None:
    """The user, the host and the path stay, the password and the query go."""
    assert redact(url) == expected
    assert shown(url) == expected


@given(
    st.sampled_from(["redis", "rediss", "postgresql", "dynamodb", "redlock:redis"]),
    st.sampled_from(["", "user"]),
    st.text("?#@/:,%&=+ abc\u00e9", max_size=6),
    st.text("?#@/:,%&=+ abc\u00e9", max_size=6),
)
def test_a_password_is_not_shown_whatever_is_in_it(
    scheme: str, user: str, before: str, after: str
) -> None:
    """Characters that should have been encoded included."""
    url = f"{scheme}://{user}:{before}{SECRET}{after}@host/db"
    assert SECRET not in redact(url)


@pytest.mark.parametrize("cut", "/?#")
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:{}@127.0.0.1/db",
        "postgresql://u:{}@127.0.0.1/db?mode=lease",
        "redis://u:{}@127.0.0.1/0",
        "rediss://u:{}@127.0.0.1",
        "redis+sentinel://u:{}@127.0.0.1:1/service",
        "redlock:redis://u:{}@127.0.0.1:1,redis://127.0.0.1:2,redis://127.0.0.1:3",
        "redlock:redis://127.0.0.1:1,redis://127.0.0.1:2,redis://u:{}@127.0.0.1:3",
        "dynamodb://u:{}@table",
        "dynamodb://table?endpoint=http://u:{}@127.0.0.1",
        "dynamodb://table?endpoint=http%3A//u%3A{}%40127.0.0.1",
    ],
)
def test_a_password_that_is_cut_off_is_not_taken_for_a_port_and_a_path(url: str, cut: str) -> None:
    """`12/hunter2` before an @ would be port 12 and a database that messages name."""
    with pytest.raises(UsageError) as caught:
        open_store(url.format(f"12{cut}{SECRET}"))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "dynamodb://table?endpoint=http://[x",
        "dynamodb://table?endpoint=http://a%20b",
        "dynamodb://table?endpoint=http://a:b",
        "dynamodb://table?endpoint=http://a:99999",
        "redis://h:1/0?namespace=\udcff",
        "redis://h:1/0?other=\udcff",
        "postgresql://h/d?namespace=\udcff",
        "postgresql://\udcff/d",
        "dynamodb://table?namespace=\udcff",
        "dynamodb://table?region=\udcff",
    ],
)
def test_what_no_driver_could_take_is_wrong_use(url: str) -> None:
    """It is said before anything is asked, without a traceback."""
    with pytest.raises(UsageError):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        f"{SECRET}{SECRET}",
        f"redis://:{SECRET}@host:port/0",
        f"redis://:{SECRET}@host/0?namespace=a&namespace=b",
        f"redis://:{SECRET}@host/0?no_such_option={SECRET}",
        f"redis://:{SECRET}@host/nonsense",
        f"redlock:redis://:{SECRET}@a",
        f"redlock:{SECRET}",
        f"postgresql://u:{SECRET}@host/db?mode=nonsense",
        f"postgresql://u:{SECRET}@[::1/db",
        f"postgresql://u:{SECRET}@host/db?no_such_option={SECRET}",
        f"dynamodb://u:{SECRET}@table",
        f"dynamodb://table?endpoint=http://u:{SECRET}@host",
        f"dynamodb://table?secret={SECRET}",
        f"file:relative?{SECRET}",
        f"file:/x?password={SECRET}",
        f"nosuch://u:{SECRET}@host",
    ],
)
def test_a_malformed_url_is_refused_in_a_line_without_its_secrets(url: str) -> None:
    """Neither in the message nor in an error behind it."""
    with pytest.raises(LifelineError) as caught:
        open_store(url)
    error: BaseException | None = caught.value
    assert "\n" not in str(error)
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


# --- drivers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "module", "driver", "extra"),
    [
        ("postgresql://h/d", "postgres", "psycopg", "postgres"),
        ("redis://h", "redis", "redis", "redis"),
        ("redlock:redis://a,redis://b,redis://c", "redlock", "redis", "redis"),
        ("dynamodb://table", "dynamodb", "boto3", "dynamodb"),
    ],
)
def test_a_missing_driver_is_named_with_what_brings_it(
    url: str, module: str, driver: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that can be pasted into a shell."""
    for name in list(sys.modules):
        if name.startswith("lifeline.backends.") or name.partition(".")[0] == driver:
            monkeypatch.delitem(sys.modules, name)
    import lifeline.backends

    monkeypatch.delattr(lifeline.backends, module, raising=False)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(StoreRefused) as caught:
        open_store(url)
    assert f"pip install lifeline-run[{extra}]" in str(caught.value)
    assert caught.value.exit_code == 75


def test_another_package_can_bring_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an entry point that is called like its scheme."""
    (tmp_path / "paper_store.py").write_text("def open(url):\n    return ('paper', url)\n")
    about = tmp_path / "paper_store-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: paper-store\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[lifeline.stores]\npaper = paper_store:open\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert open_store("paper://pad") == ("paper", "paper://pad")  # type: ignore[comparison-overlap]


def test_a_store_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    """The scheme is shown, the rest is not."""
    with pytest.raises(UsageError, match=r"'mysql'.*dynamodb, file, postgres") as caught:
        open_store(f"mysql://u:{SECRET}@h/d")
    assert SECRET not in str(caught.value)


def test_opening_a_store_asks_nobody() -> None:
    """An address where nothing listens is found out at the first verb, not before."""
    for url in ("postgresql://127.0.0.1:1/x", "redis://127.0.0.1:1", "file:/nowhere/at/all"):
        open_store(url)
    assert not os.path.exists("/nowhere")


# --- keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("", "job", 0), 6352494099093480146),
        (("", "job", 1), -6034663431569749123),
        (("team", "job", 0), 8000860955644614837),
        (("", "d\xe9j\xe0 vu", 7), -5287570304294047014),
    ],
)
def test_keys_are_a_format(parts: tuple[str, str, int], expected: int) -> None:
    """Two versions of lifeline on two machines must call a lease the same."""
    assert key(*parts) == expected


WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(WORDS, WORDS, st.integers(0, 999), WORDS, WORDS, st.integers(0, 999))
def test_what_differs_has_another_key(
    space: str, name: str, slot: int, space2: str, name2: str, slot2: int
) -> None:
    """In 64 signed bits, as advisory locks take them; a slot is no part of the name."""
    one, two = (space, name, slot), (space2, name2, slot2)
    assert (key(*one) == key(*two)) == (one == two)
    assert -(2**63) <= key(*one) < 2**63


@given(st.integers(0, 2**128 - 1), st.integers(1, 1000))
def test_every_slot_is_tried_once(owner: int, slots: int) -> None:
    """From one of the owner's own, so that starters seldom meet."""
    order = slot_order(f"{owner:032x}", slots)
    assert sorted(order) == list(range(slots))
    assert order == slot_order(f"{owner:032x}", slots)
