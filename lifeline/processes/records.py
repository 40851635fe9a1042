"""Run records: what a winner writes down about itself.

A record is evidence only while the exact process that it names is alive: same boot, same pid
namespace, same pid, same start time. A record that cannot be read whole is no record. A dead
record is evidence too: of which session the dead run's work was in (see `twins`).
"""

import os

from ..errors import DiskFull
from . import lines
from .identity import Identity
from .state import RUNS
from .table import Process, lineage, me

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .identity import Words
    from .state import State
    from .table import Table

# How a run came to be.
RUN = b"run"  # a supervising `lifeline run`
EXEC = b"exec"  # `lifeline run --exec`: the process became the command
SCRIPT = b"script"  # lifeline() in a program
TASK = b"task"  # an invoke task


class Record:
    """What a winner writes down.

    `process` runs the command (a runner, or the command itself). `session` is the session its
    work is in; `own_session` tells whether that session was made for it alone: then whatever is
    in it once `process` is dead was left over by it. `job` is the supervised process, `since`
    wall seconds, `how` one of RUN, EXEC, SCRIPT, TASK, `argv` the command as it was written.
    `mark` is what the kernel calls that session (`Table.session_mark`): its number can be given
    again. `run` is the id in the environment of all that the job starts, `restarts` how often a
    runner has started it again, `last_exit` the exit code of the run before.
    """

    __slots__ = (
        "argv",
        "boot",
        "how",
        "identity",
        "job",
        "last_exit",
        "mark",
        "namespace",
        "own_session",
        "process",
        "restarts",
        "run",
        "session",
        "since",
    )

    def __init__(
        self,
        identity: Identity,
        process: Process,
        *,
        boot: bytes,
        namespace: bytes,
        session: int,
        own_session: bool,
        how: bytes,
        since: float,
        argv: "Words",
        job: "Process | None" = None,
        mark: bytes = b"",
        run: bytes = b"",
        restarts: int = 0,
        last_exit: "int | None" = None,
    ) -> None:
        self.identity = identity
        self.process = process
        self.boot = boot
        self.namespace = namespace
        self.session = session
        self.own_session = own_session
        self.how = how
        self.since = since
        self.argv = argv
        self.job = job
        self.mark = mark
        self.run = run
        self.restarts = restarts
        self.last_exit = last_exit

    def is_of(self, table: "Table") -> bool:
        """True if the record was written in this boot and pid namespace."""
        return self.boot == table.boot() and self.namespace == table.namespace()

    def names_living(self, table: "Table") -> bool:
        """True if the very process that this record names is alive."""
        return self.is_of(table) and table.is_alive(self.process)


def key(identity: Identity) -> bytes:
    """The file name for a command's state: a readable part, and a hash of every word.

    Each word is hashed after its length, so that no two lists give one text.
    """
    try:
        from _blake2 import blake2b  # the same algorithm as hashlib's, 1 ms sooner
    except ImportError:
        from hashlib import blake2b
    digest = blake2b(digest_size=16)
    for word in (identity.environment or b"", *identity.words):
        digest.update(b"%d:" % len(word))
        digest.update(word)
    stem = os.path.basename(identity.words[1]) if len(identity.words) > 1 else b""
    readable = bytes(c if c in _READABLE else 0x5F for c in stem[:40])
    return b"%s-%s" % (readable, digest.hexdigest().encode())


_READABLE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def identity_fields(identity: Identity) -> "list[tuple[bytes, bytes]]":
    """`identity` as fields of a state file."""
    fields = [(b"word", word) for word in identity.words]
    if identity.environment is not None:
        fields.append((b"environment", identity.environment))
    return fields


def identity_from(fields: "dict[bytes, list[bytes]]") -> Identity:
    """The identity in the fields of a state file."""
    kind, first, *rest = fields[b"word"]  # every command has two words at least
    return Identity((kind, first, *rest), fields.get(b"environment", [None])[0])


def encode(record: Record) -> bytes:
    """`record` as the content of its file."""
    job = record.job or Process(0, 0)
    fields = [
        (b"boot", record.boot),
        (b"namespace", record.namespace),
        (b"process", b"%d %d" % (record.process.pid, record.process.start)),
        (b"job", b"%d %d" % (job.pid, job.start)),
        (b"session", b"%d %d" % (record.session, record.own_session)),
        (b"mark", record.mark),
        (b"since", b"%.3f" % record.since),
        (b"how", record.how),
        (b"run", record.run),
        (b"restarts", b"%d" % record.restarts),
        *identity_fields(record.identity),
        *((b"argv", word) for word in record.argv),
    ]
    if record.last_exit is not None:
        fields.append((b"last_exit", b"%d" % record.last_exit))
    return lines.encode(fields)


def decode(content: bytes) -> "Record | None":
    """The record in `content`, or None if it is not a whole record."""
    fields = lines.decode(content)
    if fields is None:
        return None
    try:
        pid, start = map(int, fields[b"process"][0].split())
        job_pid, job_start = map(int, fields[b"job"][0].split())
        session, own = map(int, fields[b"session"][0].split())
        return Record(
            identity_from(fields),
            Process(pid, start),
            boot=fields[b"boot"][0],
            namespace=fields[b"namespace"][0],
            session=session,
            own_session=bool(own),
            how=fields[b"how"][0],
            since=float(fields[b"since"][0]),
            argv=tuple(fields.get(b"argv", ())),
            job=Process(job_pid, job_start) if job_pid else None,
            # Not in the records of earlier versions, whose runners may go on over an upgrade.
            mark=fields.get(b"mark", [b""])[0],
            run=fields.get(b"run", [b""])[0],
            restarts=int(fields.get(b"restarts", [b"0"])[0]),
            last_exit=int(fields[b"last_exit"][0]) if b"last_exit" in fields else None,
        )
    except (KeyError, ValueError):
        return None


def read(state: "State", identity: Identity) -> "Record | None":
    """The record of a command, alive or dead; None if there is none."""
    content = state.read(RUNS, key(identity))
    record = None if content is None else decode(content)
    return record if record and record.identity.same_command(identity) else None


def living_twin(state: "State", table: "Table", identity: Identity) -> "Record | None":
    """The live record of a command, unless it is this process's own or an ancestor's.

    The tick's short way: one small file and one look in /proc. None proves nothing.
    """
    record = read(state, identity) if state.check() else None
    if record is None or not record.names_living(table):
        return None
    mine = me(table)
    if record.process == mine.process or record.process in lineage(table, mine):
        return None
    return record


def write(state: "State", record: Record) -> None:
    """Put a record in place. Raises StateUnusable, DiskFull if it does not fit."""
    state.write(RUNS, key(record.identity), encode(record))


def write_own(
    state: "State",
    table: "Table",
    identity: Identity,
    how: bytes,
    argv: "Words",
    since: float,
    job: "Process | None" = None,
    run: bytes = b"",
    restarts: int = 0,
    last_exit: "int | None" = None,
) -> None:
    """Put this process's own record in place.

    `job` leads a session made for it. Raises StateUnusable; if it is DiskFull, no record is
    left, because an older one would tell of a run that is not this one.
    """
    mine = me(table)
    record = Record(
        identity,
        mine.process,
        boot=table.boot(),
        namespace=table.namespace(),
        session=job.pid if job else mine.session,
        own_session=job is not None,
        how=how,
        since=since,
        argv=argv,
        job=job,
        mark=table.session_mark(job.pid if job else mine.process.pid),
        run=run,
        restarts=restarts,
        last_exit=last_exit,
    )
    try:
        write(state, record)
    except DiskFull:
        state.remove(RUNS, key(identity))
        raise


def withdraw(state: "State", identity: Identity, process: Process) -> None:
    """Remove the record of `identity`, if it is the one that `process` wrote."""
    record = read(state, identity)
    if record and record.process == process:
        state.remove(RUNS, key(identity))


_SLOT = b"\0slot "  # no argument holds a NUL: this is nobody's word


def seated(identity: Identity, slot: int) -> Identity:
    """What the record of a run is kept under where several runs of one command may share a host."""
    return Identity((*identity.words, _SLOT + b"%d" % slot), identity.environment, identity.runner)


def unseated(identity: Identity) -> Identity:
    """The command itself, whichever slot of it an identity stands for."""
    if not identity.words[-1].startswith(_SLOT):
        return identity
    return Identity(identity.words[:-1], identity.environment, identity.runner)


def seats_of(state: "State", identity: Identity) -> "list[Record]":
    """The records of all slots of a command, alive or dead."""
    return [
        record
        for record in all_records(state)
        if record.identity.words[-1].startswith(_SLOT)
        and unseated(record.identity).same_command(identity)
    ]


def all_records(state: "State") -> "list[Record]":
    """Every whole record in the directory, alive or dead."""
    found = (decode(state.read(RUNS, name) or b"") for name in state.names(RUNS))
    return [record for record in found if record]
