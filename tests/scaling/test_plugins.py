"""Probes and targets of other packages, found by their entry points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lifeline.errors import UsageError
from lifeline.scaling import config, plugins

MODULE = """\
class Paper:
    def __init__(self, options):
        self.pages = options["pages"]
    def read(self):
        return self.pages
    def write(self, n):
        self.pages = n

def count(options):
    return lambda: options["ready"]

def fail(options):
    raise RuntimeError("redis://user:hunter2@host")

make = Paper
number = 3
"""
POINTS = """\
[lifeline.probes]
paper = paper_queue:count
paper-fails = paper_queue:fail
paper-number = paper_queue:number
paper-gone = paper_elsewhere
[lifeline.targets]
paper = paper_queue
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with probes and a target, as pip leaves it."""
    (tmp_path / "paper_queue.py").write_text(MODULE)
    about = tmp_path / "paper_queue-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: paper-queue\nVersion: 1\n")
    (about / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_another_package_can_bring_a_probe_and_a_target(configured: Callable[[str], int]) -> None:
    """A function of the options, or a module that has one called make; both by their names."""
    assert plugins.make(plugins.PROBE, {"kind": "paper", "ready": 4})() == 4
    target = plugins.make(plugins.TARGET, {"kind": "paper", "pages": 2})
    target.write(7)
    assert target.read() == 7
    assert "paper" in plugins.kinds(plugins.PROBE) and "rq" in plugins.kinds(plugins.PROBE)
    assert configured('{ kind = "paper", ready = 25 }') == 10


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("papr", "did you mean 'paper'?"),
        ("paper-number", "'paper-number' is no probe: it has no make(options)"),
        ("paper-gone", "the probe paper-gone cannot be loaded: ModuleNotFoundError"),
        ("paper-fails", "the probe paper-fails cannot be made: RuntimeError"),
    ],
)
def test_one_that_does_not_work_is_one_line(
    configured: Callable[[str], int], kind: str, told: str
) -> None:
    """With the line of the configuration, and nothing of what somebody else's error says."""
    with pytest.raises(UsageError) as refused:
        configured(f'{{ kind = "{kind}" }}')
    message = str(refused.value)
    assert told in message and "lifeline.toml:2: " in message
    assert "\n" not in message and "hunter2" not in message


def test_what_probes_share_is_no_kind() -> None:
    """Modules beside them without `make`."""
    assert not {"keys", "tables", "settings", "eta"} & set(plugins.kinds(plugins.PROBE))
    with pytest.raises(UsageError, match="unknown kind of probe 'settings'"):
        plugins.make(plugins.PROBE, {"kind": "settings"})


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], int]:
    """How many workers there should be, with a probe as lifeline.toml has it."""

    def desired(probe: str) -> int:
        path = tmp_path / "lifeline.toml"
        path.write_text(
            f"[scale.mail]\nprobe = {probe}\n"
            'target = { kind = "paper", pages = 1 }\n'
            "rules = [{ at_least = 0, dynos = 1 }, { at_least = 20, dynos = 10 }]\n"
        )
        decision = config.read(str(path))["mail"].scaler().tick()
        assert decision.desired is not None
        return decision.desired

    return desired
