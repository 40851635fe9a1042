"""Who counts as a twin, and what follows from it: data in, a verdict out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.processes import twins
from lifeline.processes.identity import Identity
from lifeline.processes.records import RUN, Record
from lifeline.processes.table import Facts, Process
from lifeline.processes.twins import Candidate, Question, decide, difference, judge

COMMAND = Identity((b"run", b"/srv/job.py"))
OTHER = Identity((b"run", b"/srv/other.py"))
USER = 1000
CRON, SHELL, ME = Process(1, 1), Process(40, 900), Process(50, 1000)
NOW, SETTLE = 10_000, 1_000


def candidate(process: Process, identity: Identity | None = COMMAND, **given: Any) -> Candidate:
    """A process as one look saw it; what is not given is as ordinary as can be."""
    facts = Facts(
        process,
        state=given.pop("state", "S"),
        parent=given.pop("parent", 1),
        group=process.pid,
        session=given.pop("session", process.pid),
        kernel=False,
        threads=given.pop("threads", 1),
        name=b"job",
    )
    given.setdefault("user", USER)
    return Candidate(facts, (b"/srv/job.py",), identity, **given)


def question(record: Record | None = None, **given: Any) -> Question:
    return Question(
        COMMAND,
        ME,
        user=USER,
        ancestors=(SHELL, CRON),
        now=NOW,
        settle=SETTLE,
        record=record,
        alive=given.get("alive", False),
        here=given.get("here", True),
        left=given.get("left"),
        count_leftovers=given.get("count_leftovers", False),
        session_used_again=given.get("session_used_again", False),
    )


def record(process: Process, session: int = 700, own: bool = True, job: int = 700) -> Record:
    return Record(
        COMMAND,
        process,
        boot=b"boot",
        namespace=b"here",
        session=session,
        own_session=own,
        how=RUN,
        since=0.0,
        argv=(b"/srv/job.py",),
        job=Process(job, 500) if own else None,
    )


OLDER, YOUNGER = Process(60, 999), Process(60, 1001)
DEAD_RUN = Process(600, 400)


@pytest.mark.parametrize(
    ("who", "standing"),
    [
        (candidate(ME), twins.ME),
        (candidate(SHELL), twins.ANCESTOR),
        (candidate(CRON, None), twins.ANCESTOR),
        (candidate(YOUNGER, lineage=(ME, SHELL)), twins.DESCENDANT),
        (candidate(YOUNGER, lineage=(Process(55, 1000), ME)), twins.DESCENDANT),
        (candidate(OLDER, state="Z"), twins.ZOMBIE),
        (candidate(OLDER, state="X"), twins.ZOMBIE),
        (candidate(OLDER, user=None), twins.ZOMBIE),
        (candidate(OLDER, local=None), twins.ZOMBIE),
        (candidate(OLDER, user=0), twins.OTHER_USER),
        (candidate(OLDER, None, user=0), twins.OTHER_USER),
        (candidate(OLDER, local=False), twins.OTHER_NAMESPACE),
        (candidate(OLDER, None, unseen="hidden"), twins.UNKNOWN),
        (candidate(OLDER, OTHER), twins.DIFFERENT),
        (candidate(OLDER, passive=True), twins.PASSIVE),
        (candidate(OLDER, OTHER, passive=True), twins.DIFFERENT),
        (candidate(OLDER), twins.CONTENDER),
        (candidate(YOUNGER), twins.CONTENDER),
        (candidate(OLDER, state="T"), twins.CONTENDER),
        # the leader has ended, its threads go on: it lives
        (candidate(OLDER, state="Z", threads=3), twins.CONTENDER),
        # the same pid as me or as an ancestor, but another process
        (candidate(Process(ME.pid, 7)), twins.CONTENDER),
        (candidate(Process(SHELL.pid, 7)), twins.CONTENDER),
    ],
)
def test_a_process_has_the_standing_of_the_first_rule_that_applies(
    who: Candidate, standing: str
) -> None:
    """Kinship comes before visibility, visibility before the command."""
    judged = judge(who, question())
    assert judged.standing == standing
    assert judged.reason


@pytest.mark.parametrize(
    ("process", "word"), [(OLDER, "older"), (YOUNGER, "younger"), (Process(49, 1000), "older")]
)
def test_a_contender_is_older_or_younger(process: Process, word: str) -> None:
    """By start time; the pid breaks ties."""
    assert word in judge(candidate(process), question()).reason


# --- with a record ----------------------------------------------------------------------------


def test_the_recorded_process_is_a_twin_and_so_is_what_is_below_it() -> None:
    """Even if it is stopped; others of the same command stay contenders."""
    asked = question(record(OLDER), alive=True)
    assert judge(candidate(OLDER), asked).standing == twins.TWIN
    stopped = judge(candidate(OLDER, state="T"), asked)
    assert (stopped.standing, "stopped" in stopped.reason) == (twins.TWIN, True)
    below = candidate(YOUNGER, lineage=(OLDER, CRON))
    assert judge(below, asked).standing == twins.TWIN
    assert judge(candidate(YOUNGER), asked).standing == twins.CONTENDER


@pytest.mark.parametrize("here", [True, False])
def test_what_is_in_the_session_of_a_dead_run_is_left_over(here: bool) -> None:
    """If that session was made for it, and the record is of this boot and namespace."""
    asked = question(record(DEAD_RUN), here=here)
    expected = twins.LEFTOVER if here else twins.CONTENDER
    assert judge(candidate(OLDER, session=700), asked).standing == expected
    assert judge(candidate(OLDER, session=701), asked).standing == twins.CONTENDER


@pytest.mark.parametrize("own", [True, False])
def test_a_session_whose_number_may_be_used_again_proves_nothing(own: bool) -> None:
    """What is in it counts like anybody, and the reason says so."""
    asked = question(record(DEAD_RUN, own=own), session_used_again=True)
    judged = judge(candidate(LINGERS, **AN_ORPHAN), asked)
    assert (judged.standing, "may be used again" in judged.reason) == (twins.CONTENDER, True)


def test_leftovers_can_be_counted() -> None:
    """`--leftovers count` makes them twins."""
    asked = question(record(DEAD_RUN), count_leftovers=True)
    judged = judge(candidate(OLDER, session=700), asked)
    assert (judged.standing, "counted" in judged.reason) == (twins.TWIN, True)


def test_what_a_dead_run_provably_left_is_left_over_under_any_title() -> None:
    """It need not look like the command any more; the proof is what is told."""
    job = Process(700, 500)
    asked = question(record(DEAD_RUN), left={job: "the job of the dead run"})
    for identity in (COMMAND, OTHER, None):
        judged = judge(candidate(job, identity, session=700), asked)
        assert (judged.standing, judged.reason) == (twins.LEFTOVER, "the job of the dead run")
    assert judge(candidate(Process(700, 501), OTHER), asked).standing == twins.DIFFERENT


AN_ORPHAN: dict[str, Any] = {"session": 700, "parent_session": 1}
LINGERS = Process(60, NOW - SETTLE - 1)


@pytest.mark.parametrize(
    ("who", "standing"),
    [
        (candidate(LINGERS, **AN_ORPHAN), twins.LEFTOVER),
        (candidate(LINGERS, session=700, parent_session=None), twins.LEFTOVER),
        # one condition less each
        (candidate(LINGERS, session=701, parent_session=1), twins.CONTENDER),
        (candidate(LINGERS, session=700, parent_session=700), twins.CONTENDER),
        (candidate(Process(60, NOW - SETTLE), **AN_ORPHAN), twins.CONTENDER),
        (candidate(Process(60, DEAD_RUN.start - 1), **AN_ORPHAN), twins.CONTENDER),
        (
            candidate(LINGERS, Identity(COMMAND.words, runner=True), **AN_ORPHAN),
            twins.CONTENDER,
        ),
    ],
)
def test_in_a_shared_session_more_has_to_be_true(who: Candidate, standing: str) -> None:
    """An orphan that started after the dead run and is there for longer than any starter."""
    asked = question(record(DEAD_RUN, own=False))
    assert judge(who, asked).standing == standing


# --- the conclusion ---------------------------------------------------------------------------


def verdict(*who: Candidate, asked: Question | None = None) -> twins.Verdict:
    asked = asked or question()
    return decide((judge(each, asked) for each in who), asked)


NOBODY = (candidate(ME), candidate(SHELL), candidate(OLDER, OTHER), candidate(OLDER, user=0))
UNKNOWN = candidate(Process(70, 5), None, unseen="hidden")


@pytest.mark.parametrize(
    ("who", "kind"),
    [
        ((), twins.ALONE),
        (NOBODY, twins.ALONE),
        ((candidate(OLDER, passive=True), candidate(OLDER, state="Z")), twins.ALONE),
        ((candidate(OLDER),), twins.RUNNING),
        ((candidate(YOUNGER),), twins.WAIT),
        ((candidate(YOUNGER), candidate(OLDER)), twins.RUNNING),
        ((UNKNOWN,), twins.CANNOT_TELL),
        ((UNKNOWN, candidate(YOUNGER)), twins.CANNOT_TELL),
        ((UNKNOWN, candidate(OLDER)), twins.RUNNING),  # one who is known to run is enough
    ],
)
def test_the_conclusion_of_a_look(who: tuple[Candidate, ...], kind: str) -> None:
    """Stand down, do not know, wait, or run: in this order."""
    assert verdict(*who).kind == kind
    assert verdict(*reversed((*who, *NOBODY))).kind == kind


def test_a_live_record_decides_alone() -> None:
    """Even if its process is nowhere to be seen, or somebody cannot be judged."""
    asked = question(record(OLDER), alive=True)
    for who in ((), (UNKNOWN,), (candidate(YOUNGER),)):
        found = verdict(*who, asked=asked)
        assert (found.kind, found.holder) == (twins.RUNNING, asked.record)


@pytest.mark.parametrize("process", [ME, SHELL])
def test_the_run_that_i_am_part_of_is_mine(process: Process) -> None:
    """My own record, or that of an ancestor."""
    assert verdict(candidate(OLDER), asked=question(record(process), alive=True)).kind == twins.MINE


def test_leftovers_do_not_keep_from_running_and_are_named() -> None:
    """With them alone there is nobody to stand down for."""
    asked = question(record(DEAD_RUN))
    left = candidate(OLDER, session=700)
    found = verdict(left, asked=asked)
    assert (found.kind, [each.candidate for each in found.leftovers]) == (twins.ALONE, [left])
    assert verdict(left, candidate(OLDER), asked=asked).kind == twins.RUNNING
    assert verdict(left, candidate(YOUNGER), asked=asked).kind == twins.WAIT


starts = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6)


@given(starts.filter(lambda found: len({pid for pid, _ in found}) == len(found)))
def test_of_contenders_that_see_each_other_exactly_the_oldest_stays(
    found: list[tuple[int, int]],
) -> None:
    """Each of the others stands down for somebody; the oldest waits, or runs if it is alone."""
    everybody = [Process(pid, start) for pid, start in found]
    staying = []
    for me in everybody:
        asked = question()
        asked.me, asked.ancestors = me, ()
        kind = verdict(*map(candidate, everybody), asked=asked).kind
        assert kind in (twins.RUNNING, twins.WAIT, twins.ALONE)
        if kind != twins.RUNNING:
            staying.append(me)
    assert staying == [min(everybody, key=lambda each: (each.start, each.pid))]


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (Identity((b"name", b"x")), "a different kind of command (name)"),
        (OTHER, "a different program, script or name"),
        (Identity((b"run", b"/srv/job.py", b"x")), "different arguments"),
        (Identity(COMMAND.words, b"/venv"), "another environment of the interpreter"),
    ],
)
def test_people_are_told_what_is_different(other: Identity, text: str) -> None:
    """The first thing that is."""
    assert difference(COMMAND, other) == text
