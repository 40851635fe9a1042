"""What the verbs of `lifeline scale` share: which configuration, and which scalers of it."""

from typing import Annotated

import typer

from ..errors import UsageError
from ..scaling import config
from ..scaling.checking import nearest
from ..scaling.config import Plan

CONFIG = "lifeline.toml"

Config = Annotated[str, typer.Argument(help="A file with \\[scale.NAME] tables.")]
Only = Annotated[
    list[str] | None, typer.Option(help="Only the scaler of this name; can be repeated.")
]


def chosen(path: str, only: list[str] | None) -> list[Plan]:
    """The scalers of a configuration, or those that were asked for."""
    plans = config.read(path)
    for name in only or ():
        if name not in plans:
            raise UsageError(f"{path} has no scaler {name!r:.60}{nearest(name, plans)}")
    return [plan for plan in plans.values() if not only or plan.name in only]
