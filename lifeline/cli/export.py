"""`lifeline export`: a lifeline for other tools, and what moving there gains and loses."""

import sys
from typing import Annotated

import typer

from ..config import reading
from ..errors import UsageError
from . import common

SYSTEMD_EXAMPLES = """Examples:

lifeline export systemd mailer

lifeline export systemd --timer report >report.timer"""

KUBERNETES_EXAMPLES = """Examples:

lifeline export kubernetes --image registry.example/app:1.2 mailer

lifeline export kubernetes mailer >mailer.yaml"""

SUPERVISORD_EXAMPLES = """Examples:

lifeline export supervisord mailer

lifeline export supervisord mailer >mailer.conf"""

app = typer.Typer(
    name="export",
    help="Write a named lifeline for systemd, Kubernetes or supervisord.",
    epilog="Examples:\n\nlifeline export systemd mailer\n\nlifeline export kubernetes mailer",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Name = Annotated[str, typer.Argument(help="Which one.", autocompletion=common.complete_names)]


@app.command("systemd", epilog=SYSTEMD_EXAMPLES)
def systemd_(
    name: _Name,
    timer: Annotated[
        bool, typer.Option("--timer", help="The timer beside it, for one with a schedule.")
    ] = False,
) -> None:
    """Write a systemd unit that does the same. Its comments say what is gained and lost.

    One with a schedule needs a timer as well, and is started by nothing else.
    """
    from ..exports import plan, systemd

    made = plan.plan(reading.needed(), name)
    _write("systemd", systemd.timer(made) if timer else systemd.unit(made))


@app.command("kubernetes", epilog=KUBERNETES_EXAMPLES)
def kubernetes_(
    name: _Name,
    image: Annotated[str, typer.Option(help="The container image that has the command.")] = "IMAGE",
) -> None:
    """Write a Deployment, or a CronJob for a lifeline with a schedule.

    Its comments say what is gained and lost. What is in an env_file is not written: it is taken
    from a secret, and a comment says how to make that.
    """
    from ..exports import kubernetes, plan

    if not image:
        raise UsageError("--image cannot be empty")
    _write("kubernetes", kubernetes.manifest(plan.plan(reading.needed(), name), image))


@app.command("supervisord", epilog=SUPERVISORD_EXAMPLES)
def supervisord_(name: _Name) -> None:
    """Write a section for supervisord. Its comments say what is gained and lost."""
    from ..exports import plan, supervisord

    _write("supervisord", supervisord.section(plan.plan(reading.needed(), name)))


def _write(whom: str, text: str) -> None:
    common.tell_left_behind(whom)
    sys.stdout.write(text)
