"""The file store: a lock on a file is the lease, and whoever has its descriptor keeps it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from lifeline.backends.file import FileStore, open_backend
from lifeline.backends.file import place as file_place
from lifeline.backends.file import slot as file_slot
from lifeline.errors import LifelineError, SlotsMismatch, StoreRefused, StoreUnreachable, UsageError
from lifeline.leases.port import BAD, LOST, RENEWED, Claim, Taken
from support.spawning import Spawner
from support.waiting import eventually

from .conftest import Party


class FileParty(Party):
    """A party whose store is known to be a file store."""

    backend: FileStore


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file:{tmp_path}/locks"


@pytest.fixture
def one(url: str) -> Iterator[FileParty]:
    store = open_backend(url)
    yield FileParty(store)
    store.forget()


@pytest.fixture
def two(url: str) -> Iterator[FileParty]:
    store = open_backend(url)
    yield FileParty(store)
    store.forget()


def slot_file(tmp_path: Path, slot: int = 0) -> Path:
    (found,) = (tmp_path / "locks").glob(f"*/{slot}.lock")
    return found


# --- who keeps it -----------------------------------------------------------------------------


def test_a_job_that_inherits_the_descriptor_keeps_the_lease_after_its_supervisor(
    url: str, one: FileParty, spawn: Spawner
) -> None:
    """An orphan keeps others away; when it ends, the lease is free."""
    code = (
        "import os, subprocess, sys\n"
        "from lifeline.leases.port import Claim, Request\n"
        "from lifeline.leases.stores import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "granted = store.try_acquire(Request('turn', 1, (0,), '0' * 32, 30.0))\n"
        "fd = store.fd_of(Claim('turn', 0, 1, '0' * 32, granted.fence, 30.0))\n"
        "job = subprocess.Popen(['sleep', '600'], pass_fds=[fd])\n"
        "print(job.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    supervisor = spawn(sys.executable, "-c", code, url)
    assert supervisor.stdout is not None
    job = int(supervisor.stdout.readline())
    assert supervisor.wait() == -9
    assert isinstance(one.ask("turn"), Taken)
    assert [seen.owner for seen in one.backend.holders("turn")] == ["0" * 32]
    os.kill(job, 9)
    one.await_turn("turn")


def test_a_job_that_does_not_inherit_it_keeps_nothing(one: FileParty, two: FileParty) -> None:
    """The descriptor is closed when a program is executed: only `pass_fds` hands it on."""
    claim = one.take("turn")
    assert not os.get_inheritable(one.backend.fd_of(claim))
    job = subprocess.Popen(["sleep", "600"], close_fds=False)
    try:
        one.backend.forget()  # as if this process had died
        two.take("turn")
    finally:
        job.kill()
        job.wait()


def test_a_release_frees_the_slot_though_a_copy_is_still_open(
    one: FileParty, two: FileParty
) -> None:
    """A child that was forked for something else does not keep what its parent has released."""
    claim = one.take("turn")
    copy = os.dup(one.backend.fd_of(claim))
    try:
        one.backend.release(claim)
        two.take("turn")
    finally:
        os.close(copy)


def test_closing_the_store_keeps_what_is_held(one: FileParty, two: FileParty) -> None:
    """There is no connection to let go of: the descriptors are the leases."""
    claim = one.take("turn")
    one.backend.close()
    assert isinstance(two.ask("turn"), Taken)
    assert one.renew(claim) == [RENEWED]


def test_flock_of_util_linux_sees_the_lock(one: FileParty, tmp_path: Path) -> None:
    """It is a plain flock(2), on a file that is found by the name's own letters."""
    claim = one.take("nightly report")
    path = slot_file(tmp_path)
    assert path.parent.name.endswith("-nightly_report")
    assert subprocess.run(["flock", "-n", path, "true"], check=False).returncode == 1
    one.backend.release(claim)
    assert subprocess.run(["flock", "-n", path, "true"], check=False).returncode == 0


# --- the file itself --------------------------------------------------------------------------


def test_a_removed_file_is_a_lost_lease(one: FileParty, two: FileParty, tmp_path: Path) -> None:
    """Another can lock a new file of that name: the old holder is told, and takes nothing back."""
    claim = one.take("turn")
    slot_file(tmp_path).unlink()
    assert one.renew(claim) == [LOST]
    two.take("turn")
    assert one.renew(claim) == [LOST]


def test_the_owner_of_a_broken_lease_is_not_granted_it_again(
    one: FileParty, two: FileParty
) -> None:
    """Asking again as the same owner is no way back in."""
    claim = one.take("turn")
    two.backend.break_lease("turn", 0)
    two.take("turn")
    assert isinstance(one.ask("turn", owner=claim.owner), Taken)


def test_fences_go_on_after_the_process_and_after_a_release(
    one: FileParty, two: FileParty, tmp_path: Path
) -> None:
    """The file stays, with the newest fence on its first line."""
    for fence in range(1, 4):
        party = (one, two)[fence % 2]
        claim = party.take("turn")
        assert claim.fence == fence
        party.backend.release(claim)
    assert slot_file(tmp_path).read_bytes().startswith(b"lifeline 1 00000000000000000003\n")


@pytest.mark.parametrize("content", [b"\0" * 100, b"lifeline 2 0000", b"x", b"lifeline 1 12\n{}"])
def test_a_damaged_file_is_refused(one: FileParty, tmp_path: Path, content: bytes) -> None:
    """Beginning its fences anew would let old writers in; the message names the file."""
    one.backend.release(one.take("turn"))
    path = slot_file(tmp_path)
    path.write_bytes(content)
    with pytest.raises(StoreRefused, match=r"0\.lock is damaged; remove it if"):
        one.ask("turn")
    path.unlink()
    assert one.take("turn").fence == 1


@pytest.mark.parametrize("tail", [b"", b"{", b'{"name": "turn"', b"[]\n", b'{"other": 1}\n'])
def test_what_was_cut_off_behind_the_fence_does_no_harm(
    one: FileParty, tmp_path: Path, tail: bytes
) -> None:
    """A power cut in the middle of a write: the fence is whole, and goes on."""
    one.backend.release(one.take("turn"))
    slot_file(tmp_path).write_bytes(b"lifeline 1 00000000000000000041\n" + tail)
    assert one.take("turn").fence == 42


def test_another_name_in_the_same_place_is_refused(one: FileParty, tmp_path: Path) -> None:
    """Two names of one key: neither gets the other's fence."""
    one.backend.release(one.take("turn"))
    path = slot_file(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"turn"', b'"else"'))
    with pytest.raises(StoreRefused, match="'else', which has the same key as 'turn'"):
        one.ask("turn")


def test_one_who_only_looks_is_no_holder(
    one: FileParty, two: FileParty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look takes no lock, not for an instant: whoever asks for a free slot then gets it."""
    claim = one.take("turn")

    def lock(*_: object) -> bool:
        raise AssertionError("a look takes a lock")

    with monkeypatch.context() as patched:
        patched.setattr(file_slot, "lock", lock)
        assert len(two.backend.holders()) == 1
        assert isinstance(two.ask("turn"), Taken)
        one.backend.release(claim)
        assert two.backend.holders() == []
    two.take("turn")


def test_what_is_broken_before_it_is_written_down_is_not_granted(
    one: FileParty, two: FileParty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The breaker has not seen the new fence: it would be the breaker's own."""
    real, broken = file_slot.write, []

    def write(fd: int, record: file_slot.Record) -> None:
        if not broken:
            broken.append(0)
            broken[0] = two.backend.break_lease("turn", 0)
        real(fd, record)

    one.backend.release(one.take("turn"))
    monkeypatch.setattr(file_slot, "write", write)
    assert isinstance(one.ask("turn"), Taken)
    assert broken == [2]
    assert one.take("turn").fence == 3


def test_breaking_while_others_take_and_release_never_gives_a_fence_twice(url: str) -> None:
    """Whoever is granted a slot has a fence of its own, though files are replaced meanwhile."""
    stop = Event()
    granted: list[int] = []
    breaker = open_backend(url)

    def client() -> None:
        party = FileParty(open_backend(url))
        while not stop.is_set():
            claim = party.ask("turn")
            if isinstance(claim, Claim):
                granted.append(claim.fence)
                party.renew(claim)
                party.backend.release(claim)

    clients = [Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    broken: list[int] = []
    try:

        def breaks() -> bool:
            try:
                if fence := breaker.break_lease("turn", 0):
                    broken.append(fence)
            except LifelineError:
                pass
            return len(broken) >= 50 and len(granted) >= 50

        eventually(breaks, within=120, every=0)
    finally:
        stop.set()
        for each in clients:
            each.join()
    fences = granted + broken
    assert len(set(fences)) == len(fences)
    assert broken == sorted(broken)


def test_two_numbers_of_slots_that_begin_at_once_are_never_both_held(url: str) -> None:
    """Each writes down its own before it looks at the other's: one of them sees it at least."""
    both = 0
    for round_ in range(50):
        parties = [FileParty(open_backend(url)) for _ in range(2)]
        claims: list[Claim] = []

        def client(party: FileParty, slots: int, name: str, into: list[Claim]) -> None:
            try:
                claim = party.ask(name, slots)
            except SlotsMismatch:
                return
            if isinstance(claim, Claim):
                into.append(claim)

        threads = [
            Thread(target=client, args=(party, slots, f"pool {round_}", claims))
            for party, slots in zip(parties, (2, 3), strict=True)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        both += len(claims) == 2
        for party in parties:
            party.backend.forget()
    assert both == 0


# --- the directory ----------------------------------------------------------------------------


def test_the_directory_is_made_for_its_user_alone(one: FileParty, tmp_path: Path) -> None:
    """When it is first needed; opening the store makes nothing."""
    assert not (tmp_path / "locks").exists()
    assert one.backend.holders() == []
    assert not (tmp_path / "locks").exists()
    one.take("turn")
    for path in ((tmp_path / "locks"), slot_file(tmp_path).parent):
        assert path.stat().st_mode & 0o777 == 0o700
    assert slot_file(tmp_path).stat().st_mode & 0o777 == 0o600


def test_without_a_path_it_is_below_the_state_directory(state_dir: Path) -> None:
    """Where holds and run records are."""
    store = open_backend("file:")
    try:
        FileParty(store).take("turn")
        assert list((state_dir / "locks").glob("*-turn/0.lock"))
    finally:
        store.forget()


@pytest.mark.parametrize("kind", ["link", "file", "open", "parent link"])
def test_a_place_that_others_could_change_is_refused(tmp_path: Path, kind: str) -> None:
    """A link, something else than a directory, a directory in which others may write."""
    place = tmp_path / "locks"
    if kind == "link":
        (tmp_path / "there").mkdir()
        place.symlink_to(tmp_path / "there")
    elif kind == "file":
        place.write_text("")
    elif kind == "open":
        place.mkdir()
        place.chmod(0o777)
    else:
        store = open_backend(f"file:{place}")
        FileParty(store).take("turn")
        store.forget()
        home = slot_file(tmp_path).parent
        home.rename(tmp_path / "elsewhere")
        home.symlink_to(tmp_path / "elsewhere")
    store = open_backend(f"file:{place}")
    with pytest.raises(StoreRefused, match="mend it or name another directory"):
        FileParty(store).ask("turn")
    if kind != "parent link":
        assert [finding.level for finding in store.check()] == [BAD]


@pytest.mark.needs("root")
def test_another_users_directory_is_refused(one: FileParty, tmp_path: Path) -> None:
    """Who owns it can put anything there."""
    (tmp_path / "locks").mkdir()
    os.chown(tmp_path / "locks", 65534, 65534)
    with pytest.raises(StoreRefused, match="belongs to user 65534"):
        one.ask("turn")


def test_a_link_in_place_of_a_slot_is_not_followed(one: FileParty, tmp_path: Path) -> None:
    """Nothing is written where it points."""
    one.backend.release(one.take("turn"))
    slot_file(tmp_path).unlink()
    (slot,) = (tmp_path / "locks").glob("*-turn")
    (slot / "0.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreRefused):
        one.ask("turn")
    assert not (tmp_path / "victim").exists()


def test_a_full_disk_is_no_refusal_and_leaves_no_lock(tmp_path: Path) -> None:
    """It may be over in a moment; nobody is kept out by the attempt."""
    code = (
        "import resource, signal, sys\n"
        "from lifeline.errors import StoreUnreachable\n"
        "from lifeline.leases.port import Request\n"
        "from lifeline.leases.stores import open_store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store, request = open_store(sys.argv[1]), Request('turn', 1, (0,), '0' * 32, 30.0)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    store.try_acquire(request)\n"
        "except StoreUnreachable as error:\n"
        "    print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "print(store.holders('turn'))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, f"file:{tmp_path}/locks"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == [f"file:{tmp_path}/locks: File too large", "[]"]


@pytest.mark.parametrize("kind", ["nfs4", "cifs"])
def test_a_network_file_system_is_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to use instead, by check and by every acquisition. (Only the name of the type is
    played: none can be mounted here.)"""
    real = file_place.file_system(os.fspath(tmp_path))
    assert real and real not in file_place.REMOTE
    monkeypatch.setattr(file_place, "file_system", lambda path: kind)
    store = open_backend(f"file:{tmp_path}/locks")
    for _ in range(2):
        with pytest.raises(StoreRefused, match=f"is on {kind}.*a store with a server"):
            FileParty(store).ask("turn")
    (finding,) = store.check()
    assert finding.level == BAD and "local disk" in finding.advice


def test_the_type_of_a_mount_is_told_by_the_mount_not_by_the_device(tmp_path: Path) -> None:
    """As /proc/self/mountinfo has it; what cannot be opened has none."""
    assert file_place.file_system("/proc") == "proc"
    assert file_place.file_system(os.fspath(tmp_path / "none")) == ""


@pytest.mark.parametrize("url", ["file:here", "file:./here", "file://host/dir", "file:/x?ttl=3"])
def test_a_path_that_depends_on_something_is_refused(url: str) -> None:
    """On the working directory or on a host; and options that there are not."""
    with pytest.raises(UsageError):
        open_backend(url)


def test_namespaces_do_not_meet(url: str, one: FileParty) -> None:
    """The same name in another namespace is another lease."""
    one.take("turn")
    store = open_backend(f"{url}?namespace=team")
    try:
        FileParty(store).take("turn")
    finally:
        store.forget()


# --- hearing of it ----------------------------------------------------------------------------


def test_contenders_that_are_refused_wake_nobody(one: FileParty, two: FileParty) -> None:
    """Or those who wait would keep each other awake."""
    claim = one.take("turn")
    wake = two.backend.watch("turn")
    assert wake is not None
    for _ in range(10):
        assert isinstance(two.ask("turn"), Taken)
        two.backend.holders()
    assert wake.drain() is False
    one.backend.release(claim)
    assert wake.drain() is True
    wake.close()


def test_the_death_of_a_holder_wakes_those_who_wait(
    url: str, one: FileParty, spawn: Spawner
) -> None:
    """The kernel closes its file: that is heard like a release."""
    holder = spawn(sys.executable, Path(__file__).with_name("holder.py"), url, "turn", "1", "30")
    assert holder.stdout is not None and holder.stdout.readline()
    wake = one.backend.watch("turn")
    assert wake is not None
    assert wake.drain() is False
    holder.kill()
    eventually(wake.drain)
    one.await_turn("turn")
    wake.close()


def test_a_directory_that_goes_away_is_told(one: FileParty, tmp_path: Path) -> None:
    """Nothing will be heard from it any more: ask and listen anew."""
    one.backend.release(one.take("turn"))
    wake = one.backend.watch("turn")
    assert wake is not None
    home = slot_file(tmp_path).parent
    home.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnreachable, match="was removed"):
        wake.drain()
    wake.close()


def test_who_waits_is_told_of_a_break(one: FileParty, two: FileParty) -> None:
    """As of a release."""
    one.take("turn")
    wake = two.backend.watch("turn")
    assert wake is not None
    one.backend.break_lease("turn", 0)
    assert wake.drain() is True
    wake.close()


@pytest.mark.parametrize("command", [36, -1])
def test_a_held_slot_is_seen_with_and_without_marks(
    tmp_path: Path, command: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system knows no marks, the lock itself is asked for."""
    monkeypatch.setattr(file_slot, "_GET_MARK", command)
    path = os.fspath(tmp_path / "0.lock")
    assert file_slot.is_held(path) is False
    fd = file_slot.take(path)
    assert fd is not None
    assert file_slot.is_held(path) is True
    assert file_slot.take(path) is None
    file_slot.unlock(fd)
    assert file_slot.is_held(path) is False
