"""`lifeline scale pause` and `resume`: an operator's "no more" and "no fewer"."""

import math
import os
from dataclasses import replace
from typing import Annotated

import typer

from .. import clock
from ..errors import UsageError, complain
from ..options import check_name
from ..scaling import config as configs
from ..scaling.checking import nearest
from ..scaling.decision import Pause
from ..scaling.state import ScalerState
from . import common
from .hold import parse_time, positive
from .scale_common import CONFIG, Config

PAUSE_EXAMPLES = """Examples:

lifeline scale pause mailers --down --until 06:30

lifeline scale pause mailers --for 2h"""

RESUME_EXAMPLES = """Examples:

lifeline scale resume mailers

lifeline scale resume mailers --down"""

Name = Annotated[str, typer.Argument(help="Which scaler.", show_default=False)]


def pause(
    name: Name,
    config: Config = CONFIG,
    up: Annotated[bool, typer.Option("--up", help="No more workers than there are.")] = False,
    down: Annotated[bool, typer.Option("--down", help="No fewer workers.")] = False,
    until: Annotated[
        str | None, typer.Option(help="When it ends: 06:30, or 2030-01-31T06:30 (local time).")
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", help="How long: 90s, 2h, 3d.")] = None,
) -> None:
    """Keep a scaler from changing anything, in both directions or in one. It goes on looking.

    On this machine: with a lock, pause it on each that may scale.
    """
    state, of_fleet = _known(name, config)
    if until is not None and for_ is not None:
        raise UsageError("give --until or --for, not both")
    now = clock.wall()
    end = math.inf
    if until is not None:
        end = parse_time(until, now)
    elif for_ is not None:
        end = now + positive(for_)
    found = state.pause(now)
    both = up == down
    state.set_pause(Pause(end if up or both else found.up, end if down or both else found.down))
    told = "until it is resumed" if math.isinf(end) else f"until {common.timestamp(end)}"
    typer.echo(f"paused {_sides(up, down)} {told}: {name}")
    if of_fleet:
        complain(f"{name} has a lock: if another machine scales it, pause it there, too")


def resume(
    name: Name,
    config: Config = CONFIG,
    up: Annotated[bool, typer.Option("--up", help="The way up only.")] = False,
    down: Annotated[bool, typer.Option("--down", help="The way down only.")] = False,
) -> None:
    """End a pause on this machine: the next tick may change what it finds."""
    state, of_fleet = _known(name, config)
    found = state.pause(clock.wall())
    both = up == down
    left = replace(
        found, up=0.0 if up or both else found.up, down=0.0 if down or both else found.down
    )
    state.set_pause(left)
    typer.echo(f"{'resumed' if left != found else 'was not paused'}: {name}")
    if of_fleet:
        complain(f"{name} has a lock: where it was paused on another machine, it still is")


def _known(name: str, path: str) -> tuple[ScalerState, bool]:
    """The scaler of that name, which has run here or stands in the configuration.

    And whether it is one of several machines that may scale the same.
    """
    state = ScalerState(check_name(name))
    if state.is_known():
        return state, state.is_of_fleet()
    if not os.path.exists(path):
        raise UsageError(f"no scaler {name!r:.60} has run here, and there is no {path!a}")
    plans = configs.read(path)
    if name not in plans:
        raise UsageError(f"{path} has no scaler {name!r:.60}{nearest(name, plans)}")
    return state, plans[name].lock is not None


def _sides(up: bool, down: bool) -> str:
    return "up and down" if up == down else "up" if up else "down"
