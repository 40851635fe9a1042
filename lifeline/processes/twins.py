"""Who counts as a twin, and what follows from it. Pure: data in, a verdict out.

`judge` gives each candidate a standing; `decide` draws the conclusion of one look:

    somebody who decided, or an older contender      -> stand down
    somebody who cannot be judged                    -> unknown: do not start
    only younger contenders                          -> wait for exactly those
    nobody                                           -> run

Safety needs no timing: for two to run, each must have looked before the other's flag (its
command line) was up, but both flags went up before their own looks. Age only says who waits for
whom, so that somebody is left; that is why waiting for the younger ones is needed: start times
are stamped at fork, flags go up at exec, so somebody younger may have decided before. The
argument is checked by `model/election.pml`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .identity import Identity, Words
    from .records import Record
    from .table import Facts, Process

# Standings. Only the last four keep this process from starting.
ME = "me"
ANCESTOR = "ancestor"
DESCENDANT = "descendant"
DIFFERENT = "different command"
OTHER_USER = "other user"
OTHER_NAMESPACE = "other pid namespace"
ZOMBIE = "zombie"
PASSIVE = "passive"
LEFTOVER = "leftover"
CONTENDER = "contender"
TWIN = "twin"
UNKNOWN = "unknown"


class Candidate:
    """A process as one look saw it, before it is judged.

    `identity` is None where it could not be told (`unseen` says why); `user` and `local` are
    None where the process went away meanwhile; `lineage` are its ancestors, parent first, and
    `parent_session` is the session of its parent, None if that is gone.
    """

    def __init__(
        self,
        facts: "Facts",
        argv: "Words",
        identity: "Identity | None",
        *,
        user: "int | None",
        local: "bool | None" = True,
        lineage: "tuple[Process, ...]" = (),
        parent_session: "int | None" = None,
        passive: bool = False,
        unseen: str = "",
    ) -> None:
        self.facts = facts
        self.argv = argv
        self.identity = identity
        self.user = user
        self.local = local
        self.lineage = lineage
        self.parent_session = parent_session
        self.passive = passive
        self.unseen = unseen

    @property
    def process(self) -> "Process":
        return self.facts.process


class Question:
    """Who asks: this process, its user and ancestors, the command, and what is on record.

    `record` is the run record if there is one, `alive` whether its process lives, `here`
    whether it was written in this boot and pid namespace, `left` what else the dead run provably
    left behind, with the proof. `now` and `settle` are in the table's
    unit of start times. `count_leftovers` makes leftovers twins (`--leftovers count`).
    `session_used_again` tells that a session of the recorded number may be another one by now.
    """

    def __init__(
        self,
        command: "Identity",
        me: "Process",
        *,
        user: int,
        ancestors: "tuple[Process, ...]",
        now: int,
        settle: int,
        record: "Record | None" = None,
        alive: bool = False,
        here: bool = False,
        left: "dict[Process, str] | None" = None,
        count_leftovers: bool = False,
        session_used_again: bool = False,
    ) -> None:
        self.command = command
        self.me = me
        self.user = user
        self.ancestors = ancestors
        self.now = now
        self.settle = settle
        self.record = record
        self.alive = alive
        self.here = here
        self.left = left or {}
        self.count_leftovers = count_leftovers
        self.session_used_again = session_used_again


class Judged:
    """A candidate, its `standing` and, for people, the `reason`."""

    def __init__(self, candidate: Candidate, standing: str, reason: str) -> None:
        self.candidate = candidate
        self.standing = standing
        self.reason = reason


def judge(candidate: Candidate, question: Question) -> Judged:
    """The standing of one candidate, by the first rule that applies."""
    for rule in (_by_kinship, _by_death, _by_proof, _by_owner, _by_command, _by_record):
        found = rule(candidate, question)
        if found:
            return Judged(candidate, *found)
    stopped = ", stopped" if candidate.facts.is_stopped else ""
    age = "older" if candidate.process.is_older_than(question.me) else "younger"
    doubt = _why_not_left_over(candidate, question)
    return Judged(candidate, CONTENDER, f"same command, {age} than this process{stopped}{doubt}")


def _by_kinship(candidate: Candidate, question: Question) -> "tuple[str, str] | None":
    if candidate.process == question.me:
        return ME, "this process"
    if candidate.process in question.ancestors:
        return ANCESTOR, "an ancestor of this process"
    if question.me in candidate.lineage:
        return DESCENDANT, "a descendant of this process"
    return None


def _by_death(candidate: Candidate, question: Question) -> "tuple[str, str] | None":
    if candidate.facts.is_dead:
        return ZOMBIE, "dead, not yet reaped by its parent"
    if candidate.user is None or candidate.local is None:
        return ZOMBIE, "ended while it was looked at"
    return None


def _by_proof(candidate: Candidate, question: Question) -> "tuple[str, str] | None":
    """What a dead run provably left is left over, whatever title it shows, whoever it has become.

    (A job of root's that gave up its rights does not even get the parent-death signal: prctl(2).)
    """
    proof = question.left.get(candidate.process)
    return _as_leftover(proof, question) if proof else None


def _by_owner(candidate: Candidate, question: Question) -> "tuple[str, str] | None":
    if candidate.user != question.user:
        return OTHER_USER, f"belongs to user {candidate.user}"
    if not candidate.local:
        return OTHER_NAMESPACE, "is in another pid namespace (a container)"
    return None


def _by_command(candidate: Candidate, question: Question) -> "tuple[str, str] | None":
    if candidate.identity is None:
        return UNKNOWN, candidate.unseen
    if not candidate.identity.same_command(question.command):
        return DIFFERENT, difference(question.command, candidate.identity)
    if candidate.passive:
        return PASSIVE, "same command, but it said that it does not contend"
    return None


def _by_record(candidate: Candidate, question: Question) -> "tuple[str, str] | None":
    record = question.record
    if record is None or not question.here:
        return None
    if question.alive:
        stopped = ", stopped" if candidate.facts.is_stopped else ""
        if candidate.process == record.process:
            return TWIN, f"its run record is alive{stopped}"
        if record.process in candidate.lineage:
            return TWIN, f"belongs to the recorded run of pid {record.process.pid}{stopped}"
        return None
    proven, why = _left_over(candidate, record, question)
    return _as_leftover(why, question) if proven else None


def _as_leftover(proof: str, question: Question) -> "tuple[str, str]":
    return (TWIN, f"{proof}; counted") if question.count_leftovers else (LEFTOVER, proof)


def _left_over(candidate: Candidate, record: "Record", question: Question) -> "tuple[bool, str]":
    """Whether a candidate is proven to be left over from the dead run on record, and why (not)."""
    dead_run = f"the dead run (pid {record.process.pid})"
    if candidate.facts.session != record.session:
        return False, f"not in the session of {dead_run}"
    if question.session_used_again:
        return False, f"the number of its session was that of {dead_run}, and may be used again"
    if record.own_session:
        return True, f"in the session that {dead_run} made for its job"
    # The session may be a terminal's: other starters can be in it. None of them is an orphan
    # that started after the dead run and has been there longer than a contender ever is.
    if candidate.identity is not None and candidate.identity.runner:
        return False, "a runner"
    if candidate.parent_session == record.session:
        return False, f"its parent is in the session of {dead_run}, too"
    if candidate.process.start <= record.process.start:
        return False, f"it did not begin after {dead_run}"
    if question.now - candidate.process.start <= question.settle:
        return False, "it is so young that it may be a starter"
    return True, f"an orphan in the session of {dead_run}"


def _why_not_left_over(candidate: Candidate, question: Question) -> str:
    record = question.record
    if record is None or question.alive or not question.here:
        return ""
    return f"; no proven leftover: {_left_over(candidate, record, question)[1]}"


def difference(command: "Identity", other: "Identity") -> str:
    """In what `other` is another command, for people."""
    if other.words == command.words:
        return "another environment of the interpreter"
    if other.words[0] != command.words[0]:
        return f"a different kind of command ({other.words[0].decode()})"
    if other.words[1:2] != command.words[1:2]:
        return "a different program, script or name"
    return "different arguments"


# --- the conclusion of a look -----------------------------------------------------------------

ALONE = "alone"
MINE = "mine"  # this process, or an ancestor, is the recorded run
RUNNING = "running"
WAIT = "wait"
CANNOT_TELL = "cannot tell"


class Verdict:
    """What one look concludes: `kind`, the `judged` that count, and the leftovers to end.

    If somebody runs, those that the conclusion rests on come first, then every other contender.
    `holder` is set if the run record alone proves the twin: its process shows another title.
    """

    def __init__(
        self,
        kind: str,
        judged: "list[Judged]",
        leftovers: "list[Judged]",
        holder: "Record | None" = None,
    ) -> None:
        self.kind = kind
        self.judged = judged
        self.leftovers = leftovers
        self.holder = holder


def decide(judged: "Iterable[Judged]", question: Question) -> Verdict:
    """The verdict of one look over all candidates."""
    by: dict[str, list[Judged]] = {}
    for each in judged:
        by.setdefault(each.standing, []).append(each)
    leftovers = by.get(LEFTOVER, [])
    contenders = by.get(CONTENDER, [])
    record = question.record
    if record is not None and question.alive:
        if record.process == question.me or record.process in question.ancestors:
            return Verdict(MINE, [], [], record)
        return Verdict(RUNNING, [*by.get(TWIN, []), *contenders], [], record)
    if by.get(TWIN):
        return Verdict(RUNNING, [*by[TWIN], *contenders], leftovers)
    older = [each for each in contenders if each.candidate.process.is_older_than(question.me)]
    if older:
        younger = [each for each in contenders if each not in older]
        return Verdict(RUNNING, [*older, *younger], leftovers)
    if by.get(UNKNOWN):
        return Verdict(CANNOT_TELL, by[UNKNOWN], leftovers)
    return Verdict(WAIT if contenders else ALONE, contenders, leftovers)


def foremost(verdict: Verdict) -> "Process":
    """The process to name for a verdict of RUNNING: the recorded one, else the oldest."""
    if verdict.holder:
        return verdict.holder.process
    return min(
        (each.candidate.process for each in verdict.judged),
        key=lambda process: (process.start, process.pid),
    )


def why_unknown(verdict: Verdict) -> str:
    """One sentence for a verdict of CANNOT_TELL."""
    first = verdict.judged[0]
    pid = first.candidate.process.pid
    return f"cannot tell whether pid {pid} is this command: {first.reason}"
