"""lifeline.toml: every mistake in one line, with the line that it stands on."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifeline.errors import LifelineError, UsageError
from lifeline.scaling import config

GOOD = """\
[scale.mailers]
probe = { kind = "command", run = ["echo", "25"] }
target = { kind = "command", get = ["echo", "1"], set = ["true"] }
rules = [
  { at_least = 0, dynos = 1 },
  { at_least = 10, dynos = 5, until_below = 7 },
  { latency = "60s", dynos = 10 },
]
min = 0
max = 15
every = "10s"
down_window = "5m"
cooldown_up = "45s"
max_down = "50%/1m"
protect_busy = true
on_error = { after = "10m", at_least = 3 }
"""


def read(tmp_path: Path, text: str) -> dict[str, config.Plan]:
    path = tmp_path / "lifeline.toml"
    path.write_text(text)
    return config.read(str(path))


def test_a_configuration_becomes_a_scaler(tmp_path: Path) -> None:
    """Dry run, because nothing else is said."""
    plan = read(tmp_path, GOOD)["mailers"]
    assert (plan.apply, plan.lock, plan.policy.max, plan.policy.every) == (False, None, 15, 10.0)
    decision = plan.scaler().tick()
    assert (decision.desired, decision.actual, decision.applied) == (5, 1, False)


def test_several_probes_are_a_list(tmp_path: Path) -> None:
    """Of tables like the one; `combine` says what they come to."""
    probe = 'probes = [{ kind = "command", run = ["echo", "6"] }, '
    probe += '{ kind = "command", run = ["echo", "5"] }]\ncombine = "sum"'
    text = GOOD.replace(GOOD.splitlines()[1], probe)
    assert read(tmp_path, text)["mailers"].scaler().tick().desired == 5


REFUSED = [
    ("min = 0", "mni = 0", 9, "unknown key 'mni'; did you mean 'min'?"),
    ("min = 0", "min = -1", 9, "min = -1 is negative"),
    ("max = 15", "max = 0\nmin_active = 3", 11, "min_active = 3 is more than max = 0"),
    ("min = 0\nmax = 15", "max = 1\nmin = 2", 9, "max = 1 is less than min = 2"),
    ("at_least = 10", "at_lest = 10", 6, "unknown key 'at_lest'; did you mean 'at_least'?"),
    (
        "at_least = 10, dynos = 5, until_below = 7",
        "at_least = 0, dynos = 5",
        6,
        "at_least = 0 stands in two rules",
    ),
    ("until_below = 7", "until_below = 70", 6, "until_below = 70 is above at_least"),
    ("dynos = 10", "dynos = -10", 7, "dynos = -10 is negative"),
    ('latency = "60s"', 'latency = "60x"', 7, "'60x' is not a duration"),
    ('every = "10s"', 'every = "0s"', 11, "every has to be more than nothing"),
    ('"50%/1m"', '"50%"', 14, "max_down is written"),
    ('{ kind = "command", run', '{ kind = "comand", run', 2, "did you mean 'command'?"),
    ('run = ["echo", "25"]', 'rum = ["echo"]', 2, "command needs run"),
    ('run = ["echo", "25"]', 'run = ["a"], timout = 1', 2, "did you mean 'timeout'?"),
    ('run = ["echo", "25"]', "run = 25", 2, "run is a list of words"),
    (', set = ["true"]', "", 3, "command needs set"),
    ("probe = {", "prob = {", 2, "unknown key 'prob'; did you mean 'probe'?"),
    ("target = {", "probes = {", 1, "write probe = { kind = … } or probes"),
    ("min = 0", 'apply = "yes"', 9, "apply is true or false"),
    ("min = 0", "lock = 3", 9, "lock is the URL of a store"),
    ("[scale.mailers]", '[scale."a/b"]', 1, "a name has no slash"),
    ("[scale.mailers]", "[scales.mailers]", 1, ""),
    ("max = 15", "max = ", 10, ""),
]


@pytest.mark.parametrize(("old", "new", "line", "told"), REFUSED, ids=[each[1] for each in REFUSED])
def test_a_mistake_is_told_with_its_line(
    old: str, new: str, line: int, told: str, tmp_path: Path
) -> None:
    """File, line, table and what is wrong; the right key where one is near."""
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    with pytest.raises(UsageError) as refused:
        for plan in read(tmp_path, text).values():
            plan.scaler()
    message = str(refused.value)
    assert message.startswith(f"{tmp_path}/lifeline.toml:{line}: "), message
    assert told in message
    assert "\n" not in message


HEROKU = 'target = { kind = "heroku", app = "shop", token = "x" }'


@pytest.mark.parametrize(
    ("one", "other", "fights"),
    [
        (HEROKU, HEROKU.replace(" }", ', type = "worker", timeout = 3 }'), True),
        (HEROKU, HEROKU.replace(" }", ', type = "mailer" }'), False),
        (HEROKU, GOOD.splitlines()[2], False),
        (GOOD.splitlines()[2], GOOD.splitlines()[2], True),
        (
            'target = { kind = "pool", name = "mail", command = ["a"] }',
            'target = { kind = "pool", name = "mail", command = ["b"], busy = "children" }',
            True,
        ),
    ],
)
def test_two_scalers_of_the_same_workers_are_refused(
    tmp_path: Path, one: str, other: str, fights: bool
) -> None:
    """If both may apply what they decide; one of them may try other rules beside it."""
    tables = [GOOD.replace(GOOD.splitlines()[2], target) for target in (one, other)]
    tables[1] = tables[1].replace("[scale.mailers]", "[scale.others]")
    assert len(read(tmp_path, tables[0] + "apply = true\n" + tables[1])) == 2
    both = "".join(table + "apply = true\n" for table in tables)
    if not fights:
        assert len(read(tmp_path, both)) == 2
        return
    with pytest.raises(UsageError) as refused:
        read(tmp_path, both)
    assert f"{tmp_path}/lifeline.toml:20: [scale.others] sets the same workers as" in str(
        refused.value
    )


def test_a_probe_without_a_kind_names_those_there_are(tmp_path: Path) -> None:
    """The two plain ones among them."""
    text = GOOD.replace('kind = "command", run', "run", 1)
    with pytest.raises(UsageError, match=r"a probe needs kind = .*command.*http"):
        read(tmp_path, text)


def test_rules_without_a_floor_are_refused(tmp_path: Path) -> None:
    """Unless `min` is one."""
    text = GOOD.replace("  { at_least = 0, dynos = 1 },\n", "")
    assert read(tmp_path, text)["mailers"].policy.min == 0
    with pytest.raises(UsageError, match=r":4: .*no rule says how many workers run"):
        read(tmp_path, text.replace("min = 0\n", ""))


def test_a_configuration_that_is_missing_is_told(tmp_path: Path) -> None:
    """In one line."""
    with pytest.raises(LifelineError, match="cannot be read"):
        config.read(str(tmp_path / "missing.toml"))


def test_a_secret_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a mistake beside it, nor by a failing probe."""
    monkeypatch.setenv("QUEUE_URL", "http://user:hunter2@127.0.0.1:1/x")
    old = 'probe = { kind = "command", run = ["echo", "25"] }'
    text = GOOD.replace(old, 'probe = { kind = "http", url = "env:QUEUE_URL" }')
    told = str(read(tmp_path, text)["mailers"].scaler().tick().reasons)
    assert "failed" in told
    assert "hunter2" not in told
    with pytest.raises(UsageError) as refused:
        plan = read(tmp_path, text.replace('"env:QUEUE_URL"', '"env:QUEUE_URL", hedaers = {}'))
        plan["mailers"].scaler()
    assert "did you mean 'headers'?" in str(refused.value)
    assert "hunter2" not in str(refused.value)
