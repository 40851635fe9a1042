"""Heroku's formation: one process type, a list of names, and the account's limits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from lifeline.errors import UsageError
from lifeline.scaling import Scaler, TargetError
from lifeline.scaling.plugins import make
from support.fleet import START
from support.vendors import TOKEN, Answer, Heroku

NAMES = ["worker1", "worker2", "worker3"]


def target_at(server: Heroku, **more: object) -> Any:
    given = {"kind": "heroku", "app": "shop", "token": TOKEN, "url": server.url, **more}
    return make("target", given)


def saying(directory: Path, text: str, code: int = 0) -> list[str]:
    """A command that prints `text`, and notes that it was asked."""
    note = directory / "asked"
    return [
        sys.executable,
        "-c",
        f"open({str(note)!r}, 'a').close(); print({text!r}); exit({code})",
    ]


# --- one process type -------------------------------------------------------------------------


def test_one_type_is_set_in_one_call(heroku: Heroku) -> None:
    """PATCH of the process type with the quantity, nothing else, nothing before it."""
    target_at(heroku).write(7)
    assert [(r.method, r.path, r.body) for r in heroku.requests] == [
        ("PATCH", "/apps/shop/formation/worker", {"quantity": 7})
    ]
    assert heroku.quantities["web"] == 1


def test_a_manual_change_is_seen(heroku: Heroku) -> None:
    """read() asks each time: what somebody set by hand is the truth (issue: defect 7)."""
    target = target_at(heroku)
    target.write(10)
    heroku.quantities["worker"] = 1
    assert target.read() == 1


@pytest.mark.parametrize("size", ["Eco", "Basic"])
def test_a_dyno_size_of_one_each_is_told_without_a_call(heroku: Heroku, size: str) -> None:
    """More than one Eco or Basic dyno of a type cannot be: the message names the way out."""
    heroku.sizes["worker"] = size
    target = target_at(heroku)
    target.read()
    with pytest.raises(TargetError, match="names ="):
        target.write(2)
    assert heroku.writes() == []
    target.write(1)
    assert heroku.quantities["worker"] == 1


# --- names ------------------------------------------------------------------------------------


def test_the_first_names_are_on_and_the_rest_off_in_one_call(heroku: Heroku) -> None:
    """One batch for all names (dynomatic made one call for each)."""
    target = target_at(heroku, names=NAMES)
    assert target.read() == 0
    target.write(2)
    assert [r.body for r in heroku.writes()] == [
        {
            "updates": [
                {"type": "worker1", "quantity": 1},
                {"type": "worker2", "quantity": 1},
                {"type": "worker3", "quantity": 0},
            ]
        }
    ]
    assert target.read() == 2


def test_idle_names_are_turned_off_first(heroku: Heroku, tmp_path: Path) -> None:
    """A busy name stays on, wherever it stands in the list; DYNO's number is not part of it."""
    heroku.quantities.update(worker1=1, worker2=1, worker3=1)
    target = target_at(heroku, names=NAMES, busy=saying(tmp_path, "worker3.1 web.1"))
    target.read()
    target.write(1)
    assert [heroku.quantities[name] for name in NAMES] == [0, 0, 1]
    target.write(2)
    assert [heroku.quantities[name] for name in NAMES] == [1, 0, 1]


def test_names_that_are_on_stay_on(heroku: Heroku) -> None:
    """Up or down: none goes off for one that is earlier in the list."""
    heroku.quantities.update(worker2=1, worker3=1)
    target = target_at(heroku, names=NAMES)
    assert target.read() == 2
    target.write(1)
    assert [heroku.quantities[name] for name in NAMES] == [0, 1, 0]
    heroku.quantities.update(worker3=1, worker4=1)
    target = target_at(heroku, names=[*NAMES, "worker4"])
    target.read()
    target.write(4)
    heroku.quantities.update(worker1=0, worker2=0)
    target.read()
    target.write(3)
    assert [heroku.quantities[name] for name in (*NAMES, "worker4")] == [1, 0, 1, 1]


def test_of_idle_names_one_that_is_on_stays(heroku: Heroku, tmp_path: Path) -> None:
    """Beside the busy one: nobody is started to have another one go."""
    heroku.quantities.update(worker2=1, worker3=1, worker4=1)
    names = [*NAMES, "worker4"]
    target = target_at(heroku, names=names, busy=saying(tmp_path, "worker3.1"))
    assert target.read() == 3
    target.write(2)
    assert [heroku.quantities[name] for name in names] == [0, 1, 1, 0]


def test_a_name_that_is_off_is_not_kept_for_being_called_busy(
    heroku: Heroku, tmp_path: Path
) -> None:
    """Only what runs can be at work."""
    heroku.quantities.update(worker1=1, worker2=1)
    target = target_at(heroku, names=NAMES, busy=saying(tmp_path, "worker3"))
    target.write(1)
    assert [heroku.quantities[name] for name in NAMES] == [1, 0, 0]


def test_without_an_answer_nobody_is_turned_off(heroku: Heroku, tmp_path: Path) -> None:
    """If it cannot be told who is busy, no name goes off; turning more on needs no answer."""
    heroku.quantities.update(worker1=1, worker2=1)
    target = target_at(heroku, names=NAMES, busy=saying(tmp_path, "worker2", code=3))
    with pytest.raises(TargetError, match="which workers are busy"):
        target.write(1)
    assert heroku.writes() == []
    target.write(3)
    assert [heroku.quantities[name] for name in NAMES] == [1, 1, 1]


def test_who_is_busy_is_asked_only_when_it_matters(heroku: Heroku, tmp_path: Path) -> None:
    """Upwards the command does not run."""
    target = target_at(heroku, names=NAMES, busy=saying(tmp_path, ""))
    target.write(2)
    assert not (tmp_path / "asked").exists()
    target.write(1)
    assert (tmp_path / "asked").exists()


def test_more_than_there_are_names_is_told(heroku: Heroku) -> None:
    """All are turned on, and the error says that there is none for the rest (issue: defect 11)."""
    target = target_at(heroku, names=NAMES)
    assert target.most == 3
    with pytest.raises(TargetError, match="all 3 names are on: there is none for 5"):
        target.write(5)
    assert target.read() == 3


def test_a_name_that_the_app_has_not_is_told(heroku: Heroku) -> None:
    """A Procfile without it is an error, not a worker that is off."""
    target = target_at(heroku, names=["worker1", "mailer"])
    with pytest.raises(TargetError, match="no process type 'mailer'"):
        target.read()


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"names": NAMES}])
def test_above_the_limit_it_is_tried_once_more_at_the_limit(
    heroku: Heroku, more: dict[str, object]
) -> None:
    """What the account allows runs, and the error says so; the next read tells the same."""
    heroku.quantities.update(web=0, worker=0)
    target = target_at(heroku, **more)
    assert target.read() == 0
    heroku.most = 2
    with pytest.raises(TargetError, match=r"2 of 3 run: .*Cannot run more than 2"):
        target.write(3)
    assert len(heroku.writes()) == 2
    assert target.read() == 2


def test_at_the_limit_the_same_is_not_asked_again(heroku: Heroku) -> None:
    """Once there, the second call is saved."""
    heroku.quantities.update(web=0)
    heroku.most = 2
    target = target_at(heroku)
    target.read()
    for _ in range(2):
        with pytest.raises(TargetError, match="2 of 9 run"):
            target.write(9)
    assert len(heroku.writes()) == 2


def test_other_dynos_count_to_the_limit(heroku: Heroku) -> None:
    """The limit is one for all: beside a web dyno, there are fewer for workers."""
    heroku.most = 5
    target = target_at(heroku)
    assert target.read() == 2
    with pytest.raises(TargetError, match="4 of 9 run"):
        target.write(9)
    assert heroku.quantities == {**heroku.quantities, "web": 1, "worker": 4}


def test_a_limit_stops_nobody_who_runs(heroku: Heroku) -> None:
    """An account that may run fewer than it does is no reason to cut what works, asked for more."""
    heroku.quantities.update(web=0, worker=5)
    heroku.most = 2
    for target in (target_at(heroku), target_at(heroku)):
        with pytest.raises(TargetError, match="5 of 9 run"):
            target.write(9)
    assert heroku.quantities["worker"] == 5


@pytest.mark.parametrize("limit", [None, 9, 10, -1, True, "2"])
def test_a_limit_that_makes_no_sense_is_not_tried(heroku: Heroku, limit: object) -> None:
    """Only a lower whole number is; anything else is a refusal like others."""
    said = {"id": "cannot_run_above_limit", "message": "no", "limit": limit}
    heroku.instead = [Answer(422, said)]
    with pytest.raises(TargetError, match="422"):
        target_at(heroku).write(9)
    assert len(heroku.requests) == 1


def test_429_without_a_time_asks_for_one(heroku: Heroku) -> None:
    """Heroku's 429 has no Retry-After: its budget's refill says how long."""
    heroku.instead = [Answer(429, {"id": "rate_limit", "message": "m"})]
    with pytest.raises(TargetError, match="429 rate_limit") as caught:
        target_at(heroku).write(3)
    assert caught.value.retry_after == 20


def test_the_last_calls_are_left_to_others(heroku: Heroku) -> None:
    """With few calls left nothing is asked until some have come back, by no scaler of that name;
    what is to be written still is."""
    heroku.more_headers = {"RateLimit-Remaining": "5"}
    now = [START]

    def tick(later: float) -> tuple[bool, int]:
        """By a new scaler each time, as cron has it: was it written, and how many calls came."""
        now[0] += later
        rules = [{"at_least": 0, "dynos": 4}]
        target = target_at(heroku)
        made = Scaler(lambda: 1, target, rules, name="x", apply=True, clock=lambda: now[0])
        return made.tick().applied, len(heroku.requests)

    assert tick(0) == (True, 2)
    assert tick(15) == (False, 2)
    assert tick(1) == (False, 3)
    assert tick(15) == (False, 3)
    heroku.more_headers = {}
    assert tick(1) == (False, 4)
    assert tick(1) == (False, 5)


def test_with_calls_left_nothing_is_held_back(heroku: Heroku) -> None:
    """A budget that is not nearly out changes nothing."""
    target = target_at(heroku)
    for remaining in ("4500", "25", "nonsense"):
        heroku.more_headers = {"RateLimit-Remaining": remaining}
        assert (target.read(), target.rest) == (2, None)


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"app": None}, "needs app"),
        ({"ap": "x"}, "did you mean 'app'"),
        ({"app": ""}, "app"),
        ({"app": "a/b"}, "app is no name"),
        ({"app": 7}, "app has to be text"),
        ({"token": "env:NO_SUCH_TOKEN"}, "NO_SUCH_TOKEN"),
        ({"token": "two\nlines"}, "token"),
        ({"names": []}, "names"),
        ({"names": "worker1"}, "names"),
        ({"names": ["w", "w"]}, "twice"),
        ({"names": ["w/x"]}, "no name"),
        ({"names": ["w"], "type": "worker"}, "not both"),
        ({"busy": ["true"]}, "busy needs names"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"url": "http://api.example"}, "https://"),
        ({"url": "ftp://x"}, "https://"),
        ({"url": "https://user:hunter2@api.example"}, "token has its own option"),
        ({"url": "https://:99999999"}, "url"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], part: str) -> None:
    """One line and exit code 2, before any call; no secret in it."""
    given = {"kind": "heroku", "app": "shop", "token": TOKEN, **options}
    given = {name: value for name, value in given.items() if value is not None}
    with pytest.raises(UsageError) as caught:
        make("target", given)
    message = str(caught.value)
    assert part in message
    assert message.isprintable() and "hunter2" not in message and caught.value.exit_code == 2


def test_a_missing_token_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the option it is HEROKU_API_KEY's, and without that one line says so."""
    monkeypatch.delenv("HEROKU_API_KEY", raising=False)
    with pytest.raises(UsageError, match="HEROKU_API_KEY"):
        make("target", {"kind": "heroku", "app": "shop"})


def test_the_token_comes_from_the_environment(
    heroku: Heroku, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEROKU_API_KEY is what the heroku command uses, too; the app may come from there as well."""
    monkeypatch.setenv("HEROKU_API_KEY", TOKEN)
    monkeypatch.setenv("APP", "shop")
    assert make("target", {"kind": "heroku", "app": "env:APP", "url": heroku.url}).read() == 2
