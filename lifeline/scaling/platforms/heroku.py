"""Heroku: the formation of an app, one process type or a list of them.

    target = { kind = "heroku", app = "my-app", type = "worker" }
    target = { kind = "heroku", app = "my-app", names = ["worker1", "worker2"] }

What `read` tells is the formation's quantity: what Heroku keeps running. A dyno that boots or is
being restarted counts, or the same number would be asked for again until it is up. Source: the
Platform API's schema, version 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from .. import checking, given
from ..bounded import TIMEOUT, Bounded, Deadline
from ..busyness import busy_names
from ..checking import BadOption
from ..errors import TargetError
from ..options import Options
from ..rest import Client, Refused

URL = "https://api.heroku.com"
TOKEN = "env:HEROKU_API_KEY"  # as the heroku command has it
SETS = {"app": None, "type": "worker", "names": None}
_OPTIONS = ("app", "type", "names", "token", "busy", "url", "timeout")
_ACCEPT = {"Accept": "application/vnd.heroku+json; version=3"}
_ONE_EACH = frozenset(("eco", "basic", "hobby", "free"))  # dyno sizes: one dyno per process type
_REFILL = 75 / 60  # calls per second that an account gets back (4500 an hour)
_RESERVE = 25  # calls that are left to others of the same account

Busy = Callable[[float], Collection[str]]  # is given the seconds that it may take


def make(options: Mapping[str, object]) -> Formation:
    """The target that `options` describe. Raises UsageError."""
    checking.known(options, _OPTIONS, "option of heroku")
    if "type" in options and "names" in options:
        raise BadOption(("names",), "give a type or a list of names, not both")
    read = Options(options, "heroku")
    app = given.name("app", read.text("app"))
    token = given.text("token", read.text("token", TOKEN))
    url, timeout = read.text("url", URL), read.seconds("timeout", TIMEOUT)
    if "names" in options:
        busy = busy_names(read.words("busy")) if "busy" in options else None
        return Names(app, _names(read), token, busy=busy, url=url, timeout=timeout)
    if "busy" in options:
        raise BadOption(("busy",), "busy needs names: Heroku alone says which worker.N it stops")
    process_type = given.name("type", read.text("type", "worker"))
    return OneType(app, process_type, token, url=url, timeout=timeout)


def _names(read: Options) -> list[str]:
    names = read.words("names")
    for at, each in enumerate(names):
        given.name("names", each)
        if each in names[:at]:
            raise BadOption(("names", at), f"names holds {each!r} twice")
    return names


class Formation(Bounded, ABC):
    """What both kinds have: the calls, and the account's budget of them."""

    most: int | None = None  # workers that there can be
    rest: float | None = None  # seconds for which nothing should be asked, once the calls run out

    def __init__(self, app: str, token: str, *, url: str = URL, timeout: float = TIMEOUT) -> None:
        super().__init__(timeout)
        self._path = f"/apps/{quote(app, safe='')}/formation"
        self._client = Client("Heroku", url, lambda: token, _ACCEPT)
        self._seen: int | None = None  # workers, at the last `read`

    def read(self) -> int:
        """How many dynos the formation has. Raises TargetError."""
        self._seen = self._count(self.deadline())
        return self._seen

    def write(self, n: int) -> None:
        """Let there be `n`, in one call; one more if the account may have fewer. TargetError.

        A limit is no reason to stop anybody: what runs already stays.
        """
        deadline = self.deadline()
        try:
            self._set(n, deadline)
        except Refused as refused:
            limit = _limit(refused, n)
            if limit is None:
                raise
            if self._seen is None:
                self._seen = self._count(deadline)
            if limit > self._seen:
                self._set(limit, deadline)
                self._seen = limit
            raise TargetError(f"{self._seen} of {n} run: {refused}", refused.retry_after) from None
        self._seen = n

    @abstractmethod
    def _count(self, deadline: Deadline) -> int:
        """How many dynos the formation has. Raises TargetError."""

    @abstractmethod
    def _set(self, n: int, deadline: Deadline) -> None:
        """Let there be `n`. Raises Refused if Heroku says no, else TargetError."""

    def _call(self, deadline: Deadline, method: str, path: str = "", body: object = None) -> Any:
        try:
            return self._client.call(deadline, method, self._path + path, body)
        except Refused as refused:
            if refused.status == 429 and refused.retry_after is None:
                refused.retry_after = _RESERVE / _REFILL
            raise
        finally:
            self._mind_the_budget()

    def _mind_the_budget(self) -> None:
        """Ask nothing for a while once the account is nearly out of calls: it is not ours alone."""
        remaining = self._client.answer_headers.get("RateLimit-Remaining", "")
        short = _RESERVE - int(remaining) if remaining.isdecimal() else 0
        self.rest = short / _REFILL if short > 0 else None


class OneType(Formation):
    """So many dynos of one process type."""

    def __init__(
        self, app: str, type: str, token: str, *, url: str = URL, timeout: float = TIMEOUT
    ) -> None:
        super().__init__(app, token, url=url, timeout=timeout)
        self._type = type
        self._size = ""

    def _count(self, deadline: Deadline) -> int:
        entry = self._call(deadline, "GET", "/" + quote(self._type, safe=""))
        quantity = _quantity(entry)
        self._size = _size(entry)
        return quantity

    def _set(self, n: int, deadline: Deadline) -> None:
        if n > 1 and self._size in _ONE_EACH:
            raise TargetError(
                f"Heroku runs one {self._size} dyno of each process type, not {n}: list several "
                'process types, names = ["worker1", …], or choose another dyno size'
            )
        self._call(deadline, "PATCH", "/" + quote(self._type, safe=""), {"quantity": n})


class Names(Formation):
    """Process types with the same command, each on or off: for dynos of which one type has one.

    Of `n`, those that `busy` names come first, then others that are on, then those that are off,
    each in the order of `names`. What is to be off is written as well as what is to be on.
    """

    def __init__(
        self,
        app: str,
        names: Sequence[str],
        token: str,
        *,
        busy: Busy | None = None,
        url: str = URL,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(app, token, url=url, timeout=timeout)
        self._names = tuple(names)
        self._busy = busy
        self._on: frozenset[str] | None = None
        self.most = len(self._names)

    def write(self, n: int) -> None:
        """Have `n` on, the others off. Raises TargetError, also if there are not so many."""
        super().write(min(n, len(self._names)))
        if n > len(self._names):
            raise TargetError(f"all {len(self._names)} names are on: there is none for {n}")

    def _count(self, deadline: Deadline) -> int:
        formation = self._call(deadline, "GET")
        entries = {entry["type"]: entry for entry in _entries(formation)}
        missing = [name for name in self._names if name not in entries]
        if missing:
            there = ", ".join(sorted(entries)) or "none"
            raise TargetError(f"Heroku: the app has no process type {missing[0]!r}, but {there}")
        quantities = {name: _quantity(entries[name]) for name in self._names}
        self._on = frozenset(name for name, quantity in quantities.items() if quantity)
        return sum(quantities.values())

    def _set(self, n: int, deadline: Deadline) -> None:
        on = self._chosen(n, deadline)
        updates = [{"type": name, "quantity": int(name in on)} for name in self._names]
        self._call(deadline, "PATCH", "", {"updates": updates})
        self._on = on

    def _chosen(self, n: int, deadline: Deadline) -> frozenset[str]:
        if self._on is None:
            self._count(deadline)
        running = self._on or frozenset()
        busy: set[str] = set()
        if self._busy is not None and n < len(running):  # or nothing that runs is turned off
            # DYNO is worker1.1 where the process type is worker1.
            seconds = deadline.left_for("Heroku: asking which names are busy")
            busy = {word.partition(".")[0] for word in self._busy(seconds)} & running
        order = sorted(self._names, key=lambda name: (name not in busy, name not in running))
        return frozenset(order[:n])


def _limit(refused: Refused, n: int) -> int | None:
    """How many there may be, if that is why `n` was refused.

    The limit is one of all dynos of a size: with `size` the error tells how many there would be,
    other process types among them.
    """
    data = refused.data if isinstance(refused.data, dict) else {}
    limit, size = data.get("limit"), data.get("size")
    if data.get("id") != "cannot_run_above_limit" or isinstance(limit, bool):
        return None
    if not isinstance(limit, int) or limit < 0:
        return None
    if isinstance(size, int) and size > limit:
        limit = max(0, n - (size - limit))
    return limit if limit < n else None


def _entries(formation: Any) -> list[dict[str, Any]]:
    if not isinstance(formation, list):
        raise TargetError("Heroku answers with something that is no formation")
    return [each for each in formation if isinstance(each, dict) and "type" in each]


def _quantity(entry: Any) -> int:
    value = entry.get("quantity") if isinstance(entry, dict) else None
    return given.workers(value, "the quantity that Heroku tells")


def _size(entry: dict[str, Any]) -> str:
    """`eco`, `standard-1x`, …: `dyno_size` is the field, `size` what it was called before."""
    size = entry.get("dyno_size")
    name = size.get("name") if isinstance(size, dict) else None
    return str(name or entry.get("size") or "").lower()
