"""`lifeline scale`: run, once, explain; the other verbs are in the modules beside this one."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Annotated

import typer

from ..embed import claim_or_exit
from ..errors import EXIT_CANNOT_TELL, CannotTell, StoreError, complain
from ..scaling import loop
from ..scaling.config import Plan
from ..scaling.decision import Decision
from ..scaling.scaler import Scaler, Tick
from ..scaling.state import ScalerState
from ..scaling.trace import encode
from ..scaling.turn import Turn
from . import common, scale_pause, scale_trace
from .scale_common import CONFIG, Config, Only, chosen

app = typer.Typer(
    name="scale",
    help="As many workers as there is work: decide how many should run, and see that they do.",
    epilog="Examples:\n\nlifeline scale explain lifeline.toml\n\nlifeline scale run lifeline.toml",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RUN_EXAMPLES = """Examples:

lifeline scale run

lifeline scale run --json /etc/lifeline.toml"""

ONCE_EXAMPLES = """Examples:

lifeline scale once

lifeline scale once --only mailers /etc/lifeline.toml"""

EXPLAIN_EXAMPLES = """Examples:

lifeline scale explain

lifeline scale explain --json --only mailers"""


@app.command("run", epilog=RUN_EXAMPLES)
def run(
    config: Config = CONFIG,
    only: Only = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print every tick as a line of a trace.")
    ] = False,
) -> None:
    """Run the scalers of a configuration until they are told to end (TERM, INT).

    A lifeline itself: started again while it runs, it leaves with exit code 0. With a lock in the
    configuration one machine of a fleet scales, the others stand by. Nothing is changed until the
    configuration says apply = true.
    """
    _show_config("run", config, only, json)
    plans = chosen(config, only)
    claim_or_exit()
    _claim_names(plans)
    stop = _set_by(signal.SIGTERM, signal.SIGINT)
    turns = _turns(plans)
    scalers = [
        plan.scaler(on_tick=_teller(plan, json), lease=turns.get(plan.name)) for plan in plans
    ]

    def wait(scaler: Scaler) -> bool:
        turn = turns.get(scaler.name or "")
        return turn is None or turn.wait(stop)

    with ExitStack() as at_the_end:
        for turn in turns.values():
            at_the_end.callback(turn.leave)
        loop.run(scalers, stop, lambda scaler, error: complain(f"{scaler.name}: {error}"), wait)


@app.command("once", epilog=ONCE_EXAMPLES)
def once(
    config: Config = CONFIG,
    only: Only = None,
    json: Annotated[bool, typer.Option("--json", help="Print a line of a trace.")] = False,
) -> None:
    """Take one sample for each scaler, decide, apply, and leave: for cron.

    What was seen before is remembered in the state directory. Exit code 75 if a probe, a target or
    the store of a lock failed.
    """
    _show_config("once", config, only, json)
    plans = chosen(config, only)
    claim_or_exit()
    _claim_names(plans)
    turns = _turns(plans)
    scalers = [
        plan.scaler(
            on_tick=_json_teller(plan) if json else _say_all(plan), lease=turns.get(plan.name)
        )
        for plan in plans
    ]
    failed = False
    for plan, scaler in zip(plans, scalers, strict=True):
        turn = turns.get(plan.name)
        try:
            if turn and not turn.take():
                typer.echo(f"{plan.name}: another machine scales it", err=True)
                continue
        except StoreError as error:
            complain(f"{plan.name}: {error}")
            failed = True
            continue
        with ExitStack() as at_the_end:
            if turn:
                at_the_end.callback(turn.leave)
            failed |= scaler.tick().failed
    raise typer.Exit(EXIT_CANNOT_TELL if failed else 0)


@app.command("explain", epilog=EXPLAIN_EXAMPLES)
def explain(
    config: Config = CONFIG,
    only: Only = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every stage of the decision for what there is to do now. Nothing is changed."""
    plans = chosen(config, only)
    found = [(plan, plan.scaler().explain().decision) for plan in plans]
    if json:
        common.print_json([_data(plan, decision) for plan, decision in found])
        return
    for at, (plan, decision) in enumerate(found):
        if at:
            typer.echo()
        common.say(f"{plan.name}: {_conclusion(plan, decision)}")
        rows = [(each.stage, _number(each.value), each.text) for each in decision.reasons]
        common.print_table(("STAGE", "WORKERS", "WHY"), rows)


app.command("pause", epilog=scale_pause.PAUSE_EXAMPLES)(scale_pause.pause)
app.command("resume", epilog=scale_pause.RESUME_EXAMPLES)(scale_pause.resume)
app.command("record", epilog=scale_trace.RECORD_EXAMPLES)(scale_trace.record)
app.command("simulate", epilog=scale_trace.SIMULATE_EXAMPLES)(scale_trace.simulate)


def _set_by(*numbers: signal.Signals) -> threading.Event:
    """An event that these signals set.

    Not in their handler: it may interrupt the very thread that has the event's lock.
    """
    event, told = threading.Event(), SimpleQueue[None]()
    for number in numbers:
        signal.signal(number, lambda *_: told.put(None))

    def pass_on() -> None:
        told.get()
        event.set()

    threading.Thread(target=pass_on, daemon=True).start()
    return event


def _show_config(verb: str, config: str, only: list[str] | None, json: bool) -> None:
    """Become the same command with the whole path of the configuration in its command line.

    That is what a twin is recognised by: `lifeline scale run` of another directory is none.
    """
    named = [word for name in only or () for word in ("--only", name)]
    words = ["scale", verb, *named, *(["--json"] if json else []), os.path.abspath(config)]
    if sys.argv[1:] == words or sys.argv[1:3] != ["scale", verb]:
        return
    python = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    os.execv(sys.executable, [*python, *words])


def _claim_names(plans: list[Plan]) -> None:
    """Be the only one on this machine that scales these, whatever else was said to each."""
    for plan in plans:
        if ScalerState(plan.name).claim() is None:  # kept until the process ends
            raise CannotTell(f"{plan.name} is scaled by another process of this user already")


def _turns(plans: list[Plan]) -> dict[str, Turn]:
    """The turns of those that have a lock, by name; none is taken yet."""
    return {plan.name: Turn(plan.name, plan.lock) for plan in plans if plan.lock}


def _teller(plan: Plan, json: bool) -> Callable[[Tick], None]:
    return _json_teller(plan) if json else _say_news(plan)


def _json_teller(plan: Plan) -> Callable[[Tick], None]:
    is_first = [True]

    def tell(tick: Tick) -> None:
        memory = tick.before if is_first.pop() else None
        is_first.append(False)
        line = encode(tick.moment, tick.decision, tick.outcome, memory)
        common.print_json_line({"scaler": plan.name, **line})
        _flush()

    return tell


def _say_all(plan: Plan) -> Callable[[Tick], None]:
    return lambda tick: _say(plan, tick)


def _say_news(plan: Plan) -> Callable[[Tick], None]:
    """A line for each change, and for what is otherwise not as in the tick before."""
    last: list[object] = [None]

    def tell(tick: Tick) -> None:
        seen = (tick.decision.desired, tick.decision.actual, tick.decision.failed)
        if seen != last[0]:
            last[0] = seen
            _say(plan, tick)

    return tell


def _say(plan: Plan, tick: Tick) -> None:
    when = common.timestamp(tick.moment.now)
    common.say(f"{when}  {plan.name}: {_conclusion(plan, tick.decision)}")
    _flush()


def _flush() -> None:
    sys.stdout.flush()


def _conclusion(plan: Plan, decision: Decision) -> str:
    """What is done, or would be, in one line."""
    if decision.actual is None:
        return f"not known how many run; nothing is written ({decision.why})"
    told = ("failed", "refused", "left alone")
    errors = [each.text for each in decision.reasons if each.text.startswith(told)]
    tail = f" ({decision.why})" + "".join(f"; {each}" for each in errors[:1])
    if not decision.differs:
        return f"{decision.actual}, as it is{tail}"
    change = f"{decision.actual} -> {decision.desired}"
    if decision.applied:
        return f"{change}{tail}"
    if decision.blocked:
        return f"{change} as soon as the target may be asked again{tail}"
    return f"{change}{tail}" if plan.apply else f"would be {change}{tail}; dry run"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _data(plan: Plan, decision: Decision) -> dict[str, object]:
    return {
        "name": plan.name,
        "apply": plan.apply,
        "desired": decision.desired,
        "actual": decision.actual,
        "blocked": decision.blocked,
        "failed": decision.failed,
        "stages": [
            {"stage": each.stage, "workers": each.value, "why": each.text}
            for each in decision.reasons
        ],
    }
