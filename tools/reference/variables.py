"""Variables of the environment: those that lifeline reads, and those that it sets."""

from __future__ import annotations

from table import code, table

from lifeline.config.values import variable
from lifeline.options import _CONVERT, _FLAGS

HEAD = """\
# Environment

An empty variable is one that is not set.

## What lifeline reads
"""
READ = {
    "LIFELINE_STATE_DIR": "where [records, holds and the history](../state.md) are. All calls of a "
    "user need the same one",
    "LIFELINE_CONFIG": "the file that NAMEs come from, as `--config`",
    "LIFELINE_LOCK": "the store of [leases](../leases.md) for who names none: `lifeline run`, "
    "`lock()`, `lifeline lock`. It may say `env:NAME` or `secret-file:PATH` in turn",
    "NO_COLOR": "no colours on a terminal",
}
OPTIONS = """
A [lifeline of a file](../config.md) takes each option of `lifeline run` from a variable, too. It
counts more than the file and less than the command line. There is none for `--name`, because what a
lifeline starts finds its own name there.
"""
SET = {
    "LIFELINE_RUN": "the run's id, a UUID. What a dead run left behind is recognised by it",
    "LIFELINE_NAME": "with a lock: the lease's name. In hooks: what the lifeline is called",
    "LIFELINE_SLOT": "with a lock: which slot is held, from 0",
    "LIFELINE_SLOTS": "with a lock: how many there are",
    "LIFELINE_FENCE": "with a lock: the [fence](../leases.md#fences)",
    "LIFELINE_OWNER": "with a lock: the holder's token in the store",
}
HOOKS = {
    "LIFELINE_EVENT": "`start`, `exit` or `signal`",
    "LIFELINE_PID": "the job; 0 if it could not be started",
    "LIFELINE_RESTARTS": "how often this runner has started it again",
    "LIFELINE_CODE": "at exit: the exit code of the run",
    "LIFELINE_OUTCOME": "at exit: `ok`, `failed`, `stopped`, `timeout`, `memory`, `hung`, "
    "`lease lost`",
    "LIFELINE_SECONDS": "at exit: how long it ran",
    "LIFELINE_PAYLOAD": "on a signal: what was said",
}
SCALER = {
    "LIFELINE_WORKERS": "to the `set` of a target that is a command: how many there should be",
    "LIFELINE_POOL": "to a worker of a pool: the pool's name",
    "LIFELINE_NUMBER": "to a worker of a pool: its number",
}


def page() -> str:
    """What is read, then what is set for whom."""
    parts = [HEAD, _table(READ), OPTIONS, _of_options(), "\n## What a job finds\n", _table(SET)]
    parts += ["\n## What hooks find, beside that\n", _table(HOOKS)]
    parts += ["\n## What a scaler sets\n", _table(SCALER)]
    return "\n".join(parts)


def _table(told: dict[str, str]) -> str:
    return table(("variable", ""), [(code(name), text) for name, text in told.items()])


def _of_options() -> str:
    options = [name for name in (*_CONVERT, *sorted(_FLAGS)) if name != "name"]
    rows = [(code(variable(each)), code("--" + each.replace("_", "-"))) for each in options]
    return table(("variable", "option"), rows)
