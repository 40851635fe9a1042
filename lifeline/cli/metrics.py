"""`lifeline metrics`: for Prometheus, on stdout, in a file or on a port."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import EXIT_CANNOT_TELL, CannotTell, LifelineError, UsageError, complain, show
from . import common

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

EXAMPLES = """Examples:

* * * * *  lifeline metrics --textfile /var/lib/node_exporter/lifeline.prom

lifeline metrics --port 9327 --lock env:DATABASE_URL"""


def metrics(
    textfile: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Put them in this file, at once and whole."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="N", help="Serve them over HTTP until ended; 0: any port."),
    ] = None,
    address: Annotated[str, typer.Option(help="Where it listens.")] = "127.0.0.1",
    lock: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Also the leases in this store; LIFELINE_LOCK if not given."
        ),
    ] = None,
) -> None:
    """Print what Prometheus wants to know of this user's lifelines.

    What runs now, counts of starts, stand-downs, restarts and ends, last exits, scalers' workers;
    with a store, the age and fence of each lease. Exit code 75 if a part could not be read: the
    others are printed, and lifeline_source_up says which.
    """
    if port is not None and textfile is not None:
        raise UsageError("give --textfile or --port, not both")
    if textfile == "":
        raise UsageError("--textfile cannot be empty")
    if port is not None and not 0 <= port <= 65535:
        raise UsageError(f"--port is a number from 0 to 65535, not {port}")
    try:
        from ..metrics.families import registry
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        raise LifelineError(
            "metrics need prometheus_client; pip install lifeline-run[metrics]"
        ) from None
    url = common.optional_store_url(lock)
    if url:
        from ..leases.stores import open_store

    found, source = registry(open_store(url) if url else None)
    if port is not None:
        _serve(found, address, port)
    elif textfile is not None:
        _write(found, textfile)
    else:
        from prometheus_client import generate_latest

        sys.stdout.write(generate_latest(found).decode())
    for reason in dict.fromkeys(source.failed.values()):
        complain(reason)
    raise typer.Exit(EXIT_CANNOT_TELL if source.failed else 0)


def _write(found: CollectorRegistry, path: str) -> None:
    from prometheus_client import write_to_textfile

    try:
        write_to_textfile(path, found)
    except OSError as error:
        where = show(os.fsencode(path))
        raise CannotTell(f"{where} was not written ({error.strerror})") from None


def _serve(found: CollectorRegistry, address: str, port: int) -> None:
    from prometheus_client import start_http_server

    # Before there are threads, which would be as likely to get the signal as this one is.
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        server, _ = start_http_server(port, address, registry=found)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotTell(f"cannot listen on {address} port {port} ({reason})") from None
    typer.echo(f"http://{address}:{server.server_port}/metrics", err=True)
    number = signal.sigwait(ending)
    server.shutdown()
    raise typer.Exit(128 + number)
