"""The tick: cron's start of `lifeline run`, once a minute for ever.

Nearly every one of them finds its twin and leaves. That way is kept short: the command's run
record, one small file, and one look in /proc at the process that it names. If that gives no
answer, the supervisor looks at everybody.
"""

from . import events
from .processes import records
from .processes.places import meant
from .processes.state import State
from .processes.table import open_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import RunOptions


def tick(options: "RunOptions") -> int:
    """Start the command unless a twin runs; the exit code, as docs/exit-codes.md has it."""
    if options.on_running == "skip" and options.per_host == 1:
        command, state = meant(options.name, options.command), State()
        twin = records.living_twin(state, open_table(), command)
        if twin:
            pid = twin.process.pid
            events.append(state, events.STAND_DOWN, command, syslog=options.syslog, pid=pid)
            return options.exit_code_if_running
    from .supervisor import run

    return run(options)
