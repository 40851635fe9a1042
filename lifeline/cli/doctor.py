"""`lifeline doctor`: what is wrong here, and what to do about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import printable
from . import common
from .progress import waiting

if TYPE_CHECKING:
    from ..leases.port import Finding

EXAMPLES = """Examples:

lifeline doctor

lifeline doctor --json --config /srv/app/lifeline.toml"""


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look at cron, the configuration, what can be seen, state, clock, platform and stores.

    Nothing is changed. Exit code 1 if something is wrong.
    """
    from ..doctor import examine
    from ..leases.port import BAD

    with waiting("looking"):
        found = examine()
    if json:
        common.print_json(
            [{"level": f.level, "what": f.what, "advice": f.advice or None} for f in found]
        )
    else:
        for finding in found:
            typer.echo(_line(finding))
    raise typer.Exit(1 if any(finding.level == BAD for finding in found) else 0)


def _line(finding: "Finding") -> str:
    advice = f"\n         {printable(finding.advice)}" if finding.advice else ""
    return f"{finding.level:>7}  {printable(finding.what)}{advice}"
