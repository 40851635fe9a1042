"""--max-memory: a run whose whole tree holds too much is ended, exit 137.

The runner looks every five seconds; but for one of these tests, more often.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.lifelines import Work, changed, run
from support.scripts import happened
from support.spawning import Spawner
from support.waiting import eventually

MIB = 1 << 20
# Two of these are below the limit, four are above it. One comes after the other.
HOLDS = f"""
def hold():
    global held
    held = bytearray({60 * MIB})
    for at in range(0, len(held), 4096):
        held[at] = 1
    say("holds")


def until_it_holds(number):
    while open(HERE + "/log").read().count("holds") <= number:
        time.sleep(0.01)


"""
LIMIT = ("--max-memory", "200MiB", "--grace", "10s")
OFTEN = (
    "import sys; from lifeline.supervision import guards; guards._MEMORY_EVERY = 0.5; "
    "from lifeline.__main__ import main; sys.exit(main())"
)


def often(directory: Path, *words: str) -> list[str]:
    """The words of a `lifeline run` that looks twice a second."""
    return changed(directory, OFTEN, "run", *words)


GROWS = {
    "the job": """
many = []
for _ in range(4):
    hold()
    many.append(held)
stand_by("up")
""",
    "its children": """
for number in range(4):
    if os.fork() == 0:
        hold()
        stand_by("up")
    until_it_holds(number)
stand_by("up")
""",
    "grandchildren": """
if os.fork() == 0:
    for number in range(4):
        if os.fork() == 0:
            hold()
            stand_by("up")
        until_it_holds(number)
stand_by("up")
""",
    "what got away": """
for number in range(4):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        hold()
        stand_by("up")
    os.wait()
    until_it_holds(number)
stand_by("up")
""",
}


@pytest.mark.parametrize("who", GROWS)
def test_a_tree_that_grows(tmp_path: Path, spawn: Spawner, who: str) -> None:
    """Job, children and orphans count together; above the limit all are ended: 137."""
    work = Work(tmp_path / "job", HOLDS + GROWS[who])
    words = (*LIMIT, "--", *work.argv)
    ended = spawn.run(*(run(*words) if who == "the job" else often(tmp_path, *words)))
    assert ended.returncode == 137, ended.stderr
    assert len(work.said("holds")) >= 2  # so none is above the limit alone
    assert [seen for seen in spawn.mine() if seen.state not in "ZX"] == []
    (end,) = [each for each in happened(spawn) if each["event"] == "end"]
    assert (end["code"], end["reason"]) == (137, "memory")


def test_a_tree_that_does_not(tmp_path: Path, spawn: Spawner) -> None:
    """Below the limit it is looked at again and again, and let be."""
    work = Work(tmp_path / "job", HOLDS + "hold()\nstand_by('up', until='go')\nsys.exit(3)\n")
    runner = spawn(*often(tmp_path, *LIMIT, "--", *work.argv))
    work.wait_for("up")
    before = _wakes(runner.pid)
    eventually(lambda: _wakes(runner.pid) >= before + 2, within=120, every=0.1)
    work.make("go")
    assert runner.wait(120) == 3


def test_it_is_started_again(tmp_path: Path, spawn: Spawner) -> None:
    """With --restart on-failure a run that grew too big is started again."""
    grow = GROWS["the job"]
    body = f"{HOLDS}\nif os.path.exists(HERE + '/second'):\n    sys.exit(0)\n"
    body += "open(HERE + '/second', 'w').close()\n" + grow
    work = Work(tmp_path / "job", body)
    options = ("--restart", "on-failure", "--backoff", "1ms")
    assert spawn.run(*often(tmp_path, *LIMIT, *options, "--", *work.argv)).returncode == 0
    codes = [each["code"] for each in happened(spawn) if each["event"] == "end"]
    assert codes == [137, 0]


def _wakes(pid: int) -> int:
    """How often the process has gone to sleep: an idle runner wakes only to look."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("nonvoluntary")[0].split("voluntary_ctxt_switches:")[1])
