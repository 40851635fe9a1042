"""`lifeline explain`: every process that was considered, and what `run` would do now."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from .. import clock
from ..errors import show_word, show_words
from ..processes import holds, twins
from ..processes.election import SETTLE
from ..processes.identity import Identity
from ..processes.look import gather, needle, not_seen, question
from ..processes.state import State
from ..processes.table import open_table, visible
from . import common

if TYPE_CHECKING:
    from ..processes.table import Table

EXAMPLES = """Examples:

lifeline explain -- /srv/app/worker.py --queue mail

lifeline explain --json mailer"""


def explain(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar=common.NAME_OR_COMMAND,
            help="Which one.",
            show_default=False,
            autocompletion=common.complete_names,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each process that was considered for a command, whether it counts and why.

    Considered is whatever mentions the program, script or name. Nothing is started or ended.
    """
    identity = common.needed(context, name)
    table, state = open_table(), State()
    candidates = _considered(table, state, identity)
    asked = question(table, state, identity, settle=SETTLE)
    candidates += not_seen(table, state, identity, asked.left, candidates)
    judged = [twins.judge(candidate, asked) for candidate in candidates]
    verdict = twins.decide(judged, asked)
    hold = holds.read(state, identity, clock.wall()) if state.check() else None
    conclusion = _conclusion(verdict, hold)
    if json:
        common.print_json(_data(identity, judged, verdict, conclusion))
        return
    typer.echo(f"command: {' '.join(show_words((word,)) for word in identity.words)}")
    if judged:
        common.print_table(
            ("PID", "COUNTS", "STANDING", "WHY", "COMMAND LINE"), [_row(each) for each in judged]
        )
    else:
        typer.echo("no process mentions it")
    if verdict.holder and all(each.candidate.process != verdict.holder.process for each in judged):
        typer.echo(f"run record: pid {verdict.holder.process.pid} is alive under another title")
    common.say(f"run would now: {conclusion}")


def _considered(table: "Table", state: State, identity: Identity) -> list[twins.Candidate]:
    """Whatever contains what every twin must, or just the program, script or name."""
    wide = os.path.basename(identity.words[1]) if len(identity.words) > 1 else b""
    lines = dict(table.candidates(needle(identity)))
    lines.update(table.candidates(wide))
    for pid in table.pids():  # a zombie has no command line; its name must do
        facts = visible(table, pid)
        if facts and facts.is_dead and wide and facts.name == wide[:15]:
            lines[pid] = (b"(" + facts.name + b")",)
    return gather(table, state, identity, sorted(lines.items()))


def _conclusion(verdict: twins.Verdict, hold: holds.Hold | None) -> str:
    if verdict.kind == twins.MINE:
        return "belong to the run that this process is part of"
    if verdict.kind == twins.RUNNING:
        return f"leave, because pid {twins.foremost(verdict).pid} runs"
    if verdict.kind == twins.CANNOT_TELL:
        return f"not start, exit 75: {twins.why_unknown(verdict)}"
    if hold:
        return holds.sentence(hold, clock.wall())
    after = ""
    if verdict.leftovers:
        pids = ", ".join(str(each.candidate.process.pid) for each in verdict.leftovers)
        after = f", after ending what a dead run left (pid {pids})"
    if verdict.kind == twins.WAIT:
        return f"wait up to {SETTLE:g} s for younger starters to leave, then start{after}"
    return f"start the command{after}"


def counts(standing: str) -> bool:
    """True for a standing that keeps the command from being started."""
    return standing in (twins.TWIN, twins.CONTENDER, twins.UNKNOWN)


def _row(each: twins.Judged) -> tuple[str, ...]:
    candidate = each.candidate
    return (
        str(candidate.process.pid),
        "yes" if counts(each.standing) else "no",
        each.standing,
        each.reason,
        show_words(candidate.argv, 60),
    )


def _data(
    identity: Identity, judged: list[twins.Judged], verdict: twins.Verdict, conclusion: str
) -> dict[str, object]:
    return {
        "command": [show_word(word) for word in identity.words],
        "considered": [
            {
                "pid": each.candidate.process.pid,
                "counts": counts(each.standing),
                "standing": each.standing,
                "reason": each.reason,
                "command_line": [show_word(word) for word in each.candidate.argv],
            }
            for each in judged
        ],
        "verdict": verdict.kind,
        "conclusion": conclusion,
    }
