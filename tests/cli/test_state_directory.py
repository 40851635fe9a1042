"""A state directory that cannot be used, is full, or holds what nobody wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lifeline.processes import records
from lifeline.processes.identity import named
from support.lifelines import LIFELINE, lifeline, run, tick
from support.stage import WITHOUT_RIGHTS, Stage, assert_one_line

HOW = pytest.mark.parametrize("how", [[], ["--exec"]], ids=["supervised", "exec"])
READERS = [["status", "NAME"], ["explain", "NAME"], ["terminate", "NAME"]]
WRITERS = [["hold", "NAME"], ["terminate", "--hold", "NAME"]]


def called(stage: Stage, words: list[str]) -> list[str]:
    """The words, with the name of this test's lifeline in them."""
    return [stage.name if word == "NAME" else word for word in words]


# --- not to be trusted ------------------------------------------------------------------------


def open_to_all(state: Path, home: Path) -> str:
    state.mkdir()
    state.chmod(0o777)
    return "open to others"


def a_link(state: Path, home: Path) -> str:
    (home / "elsewhere").mkdir(mode=0o700)
    state.symlink_to(home / "elsewhere")
    return "symbolic link"


def a_dangling_link(state: Path, home: Path) -> str:
    state.symlink_to(home / "nothing")
    return "symbolic link"


def a_file(state: Path, home: Path) -> str:
    state.write_text("")
    return "is not a directory"


def a_fifo(state: Path, home: Path) -> str:
    os.mkfifo(state)
    return "is not a directory"


def somebody_elses(state: Path, home: Path) -> str:
    if os.geteuid() == 0:
        state.mkdir(mode=0o700)
        os.chown(state, 65534, 65534)
    else:
        state.symlink_to("/")  # a stand-in where nothing can be given away
        return "symbolic link"
    return "belongs to user 65534"


UNTRUSTED = [open_to_all, a_link, a_dangling_link, a_file, a_fifo, somebody_elses]


@pytest.mark.parametrize("spoil", UNTRUSTED)
@HOW
def test_nothing_starts_where_the_state_cannot_be_trusted(
    stage: Stage, state_dir: Path, how: list[str], spoil: object
) -> None:
    """Exit 75, one line that says what is wrong, and the directory is left as it was."""
    assert callable(spoil)
    reason = spoil(state_dir, stage.directory)
    before = sorted(path.name for path in stage.directory.rglob("*"))
    job = stage.sleeper()
    ended = tick(stage.spawn, *how, "--", job)
    assert ended.returncode == 75
    assert_one_line(ended, reason, str(state_dir), "LIFELINE_STATE_DIR")
    assert sorted(path.name for path in stage.directory.rglob("*")) == sorted([*before, stage.name])


@pytest.mark.parametrize("spoil", UNTRUSTED)
def test_no_verb_believes_a_state_that_cannot_be_trusted(
    stage: Stage, state_dir: Path, spoil: object
) -> None:
    """Neither those that read nor those that write it."""
    assert callable(spoil)
    reason = spoil(state_dir, stage.directory)
    for words in (*READERS, *WRITERS, ["release", "NAME"]):
        ended = lifeline(stage.spawn, *called(stage, words))
        assert ended.returncode == 75, words
        assert_one_line(ended, reason)


@HOW
def test_a_relative_state_directory_is_refused(stage: Stage, how: list[str]) -> None:
    """It would be another one in every working directory."""
    environment = {"LIFELINE_STATE_DIR": "state"}
    job = stage.sleeper()
    ended = stage.spawn.run(*run(*how, "--", job), env=environment)
    assert ended.returncode == 75
    assert_one_line(ended, "state directory state is relative")
    assert not (stage.directory / "state").exists()
    for words in (*READERS, *WRITERS, ["release", "NAME"]):
        assert lifeline(stage.spawn, *called(stage, words), env=environment).returncode == 75


# --- not to be written ------------------------------------------------------------------------


def cannot_be_made(state: Path) -> Path:
    state.parent.chmod(0o500)
    return state.parent


def cannot_be_filled(state: Path) -> Path:
    state.mkdir(mode=0o500)
    return state


def cannot_be_added_to(state: Path) -> Path:
    for kind in ("runs", "holds", "passive"):
        (state / kind).mkdir(mode=0o500, parents=True)
    state.chmod(0o500)
    return state


def cannot_be_entered(state: Path) -> Path:
    state.mkdir(mode=0o000)
    return state


NOT_WRITABLE = [cannot_be_made, cannot_be_filled, cannot_be_added_to, cannot_be_entered]


@pytest.fixture
def below(stage: Stage) -> Path:
    """A state directory with a directory of its own above it."""
    (stage.directory / "above").mkdir()
    return stage.directory / "above" / "state"


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize("spoil", NOT_WRITABLE)
@HOW
def test_nothing_starts_where_the_state_cannot_be_written(
    stage: Stage, below: Path, how: list[str], spoil: object
) -> None:
    """By permission: that is a mistake to mend, and not a full disk. No job, no file."""
    assert callable(spoil)
    spoilt = spoil(below)
    ended = stage.spawn.run(
        *WITHOUT_RIGHTS,
        *run(*how, "--", stage.sleeper()),
        env={"LIFELINE_STATE_DIR": str(below)},
    )
    assert ended.returncode == 75
    assert_one_line(ended, str(below), "Permission denied")
    assert not stage.started.exists()
    spoilt.chmod(0o700)
    assert [path for path in below.parent.rglob("*") if path.is_file()] == []


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize("spoil", NOT_WRITABLE[:3])
def test_what_only_reads_works_where_the_state_cannot_be_written(
    stage: Stage, below: Path, spoil: object
) -> None:
    """And what has to write says so."""
    assert callable(spoil)
    spoil(below)
    environment = {"LIFELINE_STATE_DIR": str(below)}
    for words in READERS:
        ended = stage.spawn.run(*WITHOUT_RIGHTS, LIFELINE, *called(stage, words), env=environment)
        assert ended.returncode == (3 if words[0] == "status" else 0), ended.stderr
        assert ended.stderr == ""
    for words in WRITERS:
        ended = stage.spawn.run(*WITHOUT_RIGHTS, LIFELINE, *called(stage, words), env=environment)
        assert ended.returncode == 75
        assert_one_line(ended, "cannot be written (Permission denied)")


@pytest.mark.needs("setpriv")
def test_a_twin_is_found_where_the_state_cannot_be_written(stage: Stage, below: Path) -> None:
    """To stand down nothing has to be written."""
    job = stage.sleeper()
    environment = {"LIFELINE_STATE_DIR": str(below)}
    stage.running(job)
    cannot_be_made(below)
    ended = stage.spawn.run(
        *WITHOUT_RIGHTS, *run("--exit-code-if-running=9", "--", job), env=environment
    )
    assert (ended.returncode, ended.stderr) == (9, "")


@pytest.mark.needs("setpriv")
def test_the_jobs_code_is_passed_on_if_the_state_becomes_unwritable_meanwhile(
    stage: Stage, state_dir: Path
) -> None:
    """What became of the job counts more than that its record cannot be removed."""
    go = stage.directory / "go"
    os.mkfifo(go)
    job = stage.shell(f"echo >{stage.started}; read word <{go}; exit 42")
    running = stage.running(*WITHOUT_RIGHTS, *run("--", job))
    (state_dir / "runs").chmod(0o500)
    go.write_text("go\n")
    out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (42, "")
    assert "cannot be written" in err and err.count("\n") == 1


# --- full -------------------------------------------------------------------------------------

FULL = {
    # directories are there, no block is left
    "no blocks": "mount -t tmpfs -o size=64k,mode=700 tmpfs $D && mkdir $D/runs $D/holds $D/passive"
    " && { head -c 1000000 /dev/zero >$D/fill 2>/dev/null; true; }",
    # not even a directory can be made
    "no inodes": "mount -t tmpfs -o nr_inodes=1,mode=700 tmpfs $D",
}


def on_full(how: str, state: Path, *words: str) -> list[str]:
    """The words that start a command where the state directory is full."""
    script = f'mkdir -p $D && {FULL[how]} && exec "$@"'
    return ["env", f"D={state}", "unshare", "--mount", "sh", "-c", script, "sh", *words]


@pytest.mark.needs("root", "unshare")
@pytest.mark.parametrize("full", FULL)
def test_a_full_disk_does_not_keep_a_supervised_job_from_running(
    stage: Stage, state_dir: Path, full: str
) -> None:
    """A line says that there is no record; the runner and the job show in the process table."""
    job = stage.shell("exit 42")
    ended = stage.spawn.run(*on_full(full, state_dir, *run("--", job)))
    assert ended.returncode == 42
    assert_one_line(ended, "no run record", "No space left on device")


@pytest.mark.needs("root", "unshare")
@pytest.mark.parametrize("full", FULL)
def test_without_a_record_the_twin_of_a_supervised_job_is_still_found(
    stage: Stage, state_dir: Path, full: str
) -> None:
    """By the process table alone."""
    job = stage.sleeper()
    stage.running(*on_full(full, state_dir, *run("--", job)))
    ended = stage.spawn.run(*on_full(full, state_dir, *run("--exit-code-if-running=9", "--", job)))
    assert (ended.returncode, ended.stderr) == (9, "")


@pytest.mark.needs("root", "unshare")
@pytest.mark.parametrize("full", FULL)
def test_on_a_full_disk_exec_and_hold_are_refused(stage: Stage, state_dir: Path, full: str) -> None:
    """After --exec the record may be all that tells, and a hold is nothing but its file."""
    for words in (run("--exec", "--", stage.sleeper()), [LIFELINE, "hold", stage.name]):
        ended = stage.spawn.run(*on_full(full, state_dir, *words))
        assert ended.returncode == 75
        assert_one_line(ended, "cannot be written (No space left on device)")
    assert not stage.started.exists()


@pytest.mark.needs("root", "unshare")
def test_on_a_read_only_disk_nothing_starts(stage: Stage, state_dir: Path) -> None:
    """It is no full one: somebody has to mend it."""
    mount = 'mkdir -p $D && mount -t tmpfs -o ro,mode=700 tmpfs $D && exec "$@"'
    words = ["env", f"D={state_dir}", "unshare", "--mount", "sh", "-c", mount, "sh"]
    for run_words in (run("--", stage.sleeper()), run("--exec", "--", stage.sleeper())):
        ended = stage.spawn.run(*words, *run_words)
        assert ended.returncode == 75
        assert_one_line(ended, "Read-only file system")
    assert not stage.started.exists()


# --- broken files -----------------------------------------------------------------------------

FILES = ["cut short", "empty", "binary", "huge", "fifo", "without rights"]
NO_FILES = ["directory", "link"]


def broken(path: Path, how: str) -> None:
    """Put something in place of the file at `path`, which may be there."""
    whole = path.read_bytes() if path.is_file() else b"lifeline 1\nword name\n"
    path.unlink(missing_ok=True)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if how == "fifo":
        os.mkfifo(path)
    elif how == "directory":
        (path / "x").mkdir(parents=True)
    elif how == "link":
        path.symlink_to("/etc/passwd")
    else:
        contents = {"cut short": whole[:-5], "empty": b"", "binary": os.urandom(3000)}
        path.write_bytes(contents.get(how, b"lifeline 1\n" + b"word x\n" * 100_000))


def file_of(state_dir: Path, kind: str, name: str) -> Path:
    (state_dir).mkdir(mode=0o700, exist_ok=True)
    return state_dir / kind / os.fsdecode(records.key(named(name.encode())))


@pytest.mark.parametrize("kind", ["runs", "holds"])
@pytest.mark.parametrize("how", FILES[:-1])
def test_a_broken_file_is_none(stage: Stage, state_dir: Path, how: str, kind: str) -> None:
    """The job runs, and its twin is found; no verb fails or hangs."""
    broken(file_of(state_dir, kind, stage.name), how)
    for words in (*READERS, ["release", "NAME"], ["release", "NAME"]):
        ended = lifeline(stage.spawn, *called(stage, words), timeout=30)
        assert ended.returncode == (3 if words[0] == "status" else 0), ended.stderr
        assert ended.stderr == ""
        broken(file_of(state_dir, kind, stage.name), how)
    job = stage.sleeper()
    stage.start("--name", stage.name, "--", job)
    assert (
        tick(stage.spawn, "--name", stage.name, "--exit-code-if-running=9", "--", job).returncode
        == 9
    )
    held = lifeline(stage.spawn, "terminate", "--hold", stage.name)
    assert held.returncode == 0, held.stderr
    assert stage.code("--name", stage.name, "--", job) == 0


@pytest.mark.parametrize("kind", ["runs", "holds"])
@pytest.mark.parametrize("how", NO_FILES)
def test_what_is_no_file_cannot_be_told(stage: Stage, state_dir: Path, how: str, kind: str) -> None:
    """Nobody but a person put it there: 75, and its name, and nothing is started."""
    path = file_of(state_dir, kind, stage.name)
    broken(path, how)
    for words in (["run", "--name", stage.name, "--", stage.sleeper()], ["explain", stage.name]):
        ended = lifeline(stage.spawn, *called(stage, words))
        assert ended.returncode == 75
        assert_one_line(ended, f"{kind}/{path.name}: ")
    ended = lifeline(stage.spawn, "status")
    assert ended.returncode == 75
    assert_one_line(ended, f"{kind}/{path.name}: ")
    assert not stage.started.exists()


@pytest.mark.parametrize("how", ["cut short", "binary"])
def test_a_record_broken_while_its_run_lives_costs_only_speed(
    stage: Stage, state_dir: Path, how: str
) -> None:
    """The process table still decides; and at the end the job's code is passed on."""
    go = stage.directory / "go"
    os.mkfifo(go)
    job = stage.shell(f"echo >{stage.started}; read word <{go}; exit 42")
    running = stage.start("--", job)
    (record,) = (state_dir / "runs").iterdir()
    broken(record, how)
    assert tick(stage.spawn, "--exit-code-if-running=9", "--", job).returncode == 9
    assert f" {running.pid} " in lifeline(stage.spawn, "status", "--", job).stdout
    go.write_text("go\n")
    out, err = running.communicate(timeout=120)
    assert (running.returncode, out, err) == (42, "", "")


def test_files_that_nobody_knows_are_left_alone(stage: Stage, state_dir: Path) -> None:
    """Notes, backups, and markers with odd names do no harm and are not removed."""
    inode = os.readlink("/proc/self/ns/pid")[5:-1]
    strange = [
        *("runs/README", "holds/old.bak", "passive/notes", "passive/a.b.c.d.e"),
        *(f"passive/x.00000000.{inode}.y.z", "passive/....", "runs/.hidden.1"),
    ]
    for name in strange:
        path = state_dir / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text("hello\n")
    state_dir.chmod(0o700)
    assert tick(stage.spawn, "--", stage.shell("exit 5")).returncode == 5
    assert lifeline(stage.spawn, "status").returncode in (0, 3)
    assert [name for name in strange if not (state_dir / name).exists()] == []


def test_a_dead_starters_marker_is_swept(stage: Stage, state_dir: Path) -> None:
    """One of an earlier boot, and one of a process that is gone."""
    inode = os.readlink("/proc/self/ns/pid")[5:-1]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    (state_dir / "passive").mkdir(mode=0o700, parents=True)
    state_dir.chmod(0o700)
    dead = [f"x.00000000.{inode}.{os.getpid()}.1", f"x.{boot}.{inode}.{os.getpid()}.1"]
    kept = f"x.{boot}.1.{os.getpid()}.1"  # of another pid namespace: not ours to judge
    for name in (*dead, kept):
        (state_dir / "passive" / name).write_text("")
    assert tick(stage.spawn, "--", stage.shell("exit 5")).returncode == 5
    assert os.listdir(state_dir / "passive") == [kept]


def test_two_that_make_the_directory_at_once_both_can(stage: Stage, state_dir: Path) -> None:
    """Starters of different commands in the same second, on a new machine."""
    jobs = [stage.shell("exit 5", f"job{number}") for number in range(6)]
    started = [stage.spawn(*run("--", job)) for job in jobs]
    assert [process.wait(120) for process in started] == [5] * len(jobs)
    assert [process.stderr.read() for process in started] == [""] * len(jobs)
