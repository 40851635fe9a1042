"""The state directory: ours alone, or not used at all."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

import pytest

from lifeline.errors import DiskFull, StateUnusable
from lifeline.processes.state import HOLDS, PASSIVE, RUNS, State
from lifeline.statedir import default_directory


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(os.fsencode(tmp_path / "a" / "state"))


def test_opening_it_makes_nothing(state: State, tmp_path: Path) -> None:
    """A look leaves no trace; the first write makes the directory, for its user alone."""
    assert state.check() is False
    assert state.read(RUNS, b"x") is None
    assert state.names(RUNS) == []
    assert state.remove(RUNS, b"x") is False
    assert list(tmp_path.iterdir()) == []
    state.write(RUNS, b"x", b"1")
    assert state.check() is True
    for path in (state.directory, *(state.directory + b"/" + kind for kind in (RUNS, HOLDS))):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 1000, b"y" * 65536])
def test_a_file_is_read_as_it_was_written(state: State, content: bytes) -> None:
    """Of any length; what was there before is replaced; nothing is left beside it."""
    for durable in (False, True):
        state.write(HOLDS, b"x", b"something longer than what follows")
        state.write(HOLDS, b"x", content, durable=durable)
        assert state.read(HOLDS, b"x") == content
    assert os.listdir(state.directory + b"/holds") == [b"x"]
    assert stat.S_IMODE(os.stat(state.path(HOLDS, b"x")).st_mode) == 0o600


def test_names_are_sorted_and_without_what_is_being_written(state: State) -> None:
    """A dot is the mark of a file that is not whole yet."""
    for name in (b"b", b"a", b".c.123"):
        state.write(PASSIVE, name, b"")
    assert state.names(PASSIVE) == [b"a", b"b"]
    assert state.names(RUNS) == []


def test_what_was_removed_is_gone(state: State) -> None:
    """And removing it again does nothing."""
    state.write(RUNS, b"x", b"1")
    assert state.remove(RUNS, b"x") is True
    assert state.remove(RUNS, b"x") is False
    assert state.read(RUNS, b"x") is None


@pytest.mark.parametrize("mode", [0o777, 0o710, 0o701, 0o755, 0o770])
def test_a_directory_that_others_can_use_is_refused(state: State, mode: int) -> None:
    """Whoever can write it could make a lifeline stand down for ever."""
    state.prepare()
    os.chmod(state.directory, mode)
    for ask in (state.check, state.prepare, lambda: state.write(RUNS, b"x", b"")):
        with pytest.raises(StateUnusable, match=r"open to others \(chmod 700 it\)"):
            ask()
    assert not os.path.exists(state.path(RUNS, b"x"))


def test_a_link_is_not_followed(state: State, tmp_path: Path) -> None:
    """Neither one to a good directory nor one to nowhere."""
    good = State(os.fsencode(tmp_path / "good"))
    good.prepare()
    for target in (good.directory, b"/nowhere"):
        link = State(os.fsencode(tmp_path / f"link-{os.path.basename(target).decode()}"))
        os.symlink(target, link.directory)
        with pytest.raises(StateUnusable, match="symbolic link"):
            link.write(RUNS, b"x", b"")
    assert good.names(RUNS) == []


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    """A file, a FIFO, or a file where a directory above it should be."""
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    for path, reason in (
        ("file", "not a dir"),
        ("fifo", "not a dir"),
        ("file/x", "Not a directory"),
    ):
        with pytest.raises(StateUnusable, match=reason):
            State(os.fsencode(tmp_path / path)).check()


def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    """Even if it could be written."""
    if os.geteuid() == 0:
        os.mkdir(tmp_path / "theirs", 0o700)
        os.chown(tmp_path / "theirs", 65534, 65534)
        theirs = tmp_path / "theirs"
    else:
        theirs = Path("/usr")
    with pytest.raises(StateUnusable, match="belongs to user"):
        State(os.fsencode(theirs)).check()


@pytest.mark.parametrize("kind", ["directory", "link"])
def test_what_is_no_file_is_said_by_name(state: State, kind: str) -> None:
    """A directory or a link in place of a file is neither read nor replaced in silence."""
    state.prepare()
    if kind == "directory":
        os.mkdir(state.path(RUNS, b"x"))
    else:
        os.symlink("/etc/passwd", state.path(RUNS, b"x"))
    with pytest.raises(StateUnusable, match=r"cannot be read \(runs/x: "):
        state.read(RUNS, b"x")


def test_a_fifo_in_place_of_a_file_does_not_hang(state: State) -> None:
    """It reads as empty, and the next write puts a file there."""
    state.prepare()
    os.mkfifo(state.path(RUNS, b"x"))
    assert state.read(RUNS, b"x") == b""
    state.write(RUNS, b"x", b"1")
    assert state.read(RUNS, b"x") == b"1"


def test_a_write_that_fails_leaves_nothing(state: State) -> None:
    """A name that is too long for the file system: no file, also no half one."""
    state.prepare()
    with pytest.raises(DiskFull, match=os.strerror(errno.ENAMETOOLONG)):
        state.write(RUNS, b"x" * 300, b"1")
    os.mkdir(state.path(RUNS, b"there"))
    with pytest.raises(StateUnusable, match="cannot be written"):
        state.write(RUNS, b"there", b"1")
    assert os.listdir(state.directory + b"/runs") == [b"there"]


# --- where it is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "expected"),
    [(b"/srv/state", b"/srv/state"), (b"/srv/./a//../state/", b"/srv/state")],
)
def test_the_variable_says_where_it_is(
    override: bytes, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LIFELINE_STATE_DIR comes before everything else."""
    monkeypatch.setitem(os.environb, b"LIFELINE_STATE_DIR", override)
    assert default_directory() == expected


@pytest.mark.parametrize("override", [b"state", b"./state", b"../state", b"~/state"])
def test_a_relative_place_is_refused(override: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be another memory in every directory that a lifeline is started in."""
    monkeypatch.setitem(os.environb, b"LIFELINE_STATE_DIR", override)
    with pytest.raises(StateUnusable, match="relative") as caught:
        State()
    assert caught.value.exit_code == 75


def test_without_the_variable_it_is_in_the_home_of_the_password_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HOME does not count: cron and a shell may disagree about it. Root's is in /var/lib."""
    monkeypatch.setenv("LIFELINE_STATE_DIR", "")
    monkeypatch.setenv("HOME", "/somewhere/else")
    if os.geteuid() == 0:
        assert default_directory() == b"/var/lib/lifeline"
    else:
        home = pwd.getpwuid(os.geteuid()).pw_dir
        assert default_directory() == os.fsencode(home) + b"/.local/state/lifeline"
