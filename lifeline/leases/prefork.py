"""Which process is to begin what a program registers: this one, the workers that it forks, or none.

A pre-forking server may load the program in a master that serves nothing and forks the workers
later. What began in the master would be held there; so in a master nothing begins, and each worker
begins by itself. Waiting in order to see whether a process forks would be a race. Therefore it is
known beforehand: from the server, where that can be recognised, or because the program says so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from types import FrameType
from typing import Any

from . import here, shared

HERE = "here"  # begin now
FORKED = "forked"  # begin in each worker that is forked from here
NOWHERE = "nowhere"  # another process has begun already

_PF_FORKNOEXEC = 0x40  # linux/sched.h: forked, and has not become another program since

_waiting: list[Callable[[], object]] = []


def place(forks: bool | None) -> str:
    """Where to begin. `forks`: true if the program says that its workers are to; None to find out.

    A child of multiprocessing that imports the main module again only repeats what its parent
    has done; unless it is a worker that is meant to begin.
    """
    if forks:
        return HERE if _is_worker() else FORKED
    if _repeats_main():
        return NOWHERE
    if forks is None and (_gunicorn_in() == _MASTER or _is_uwsgi_master()):
        return FORKED
    return HERE


def when_forked(begin: Callable[[], object]) -> None:
    """Have `begin()` called in each worker that is forked from this process."""
    _waiting.append(begin)
    if len(_waiting) == 1 and _is_uwsgi_master():
        _hear_of_uwsgi_workers()


def begin_in_child() -> None:
    """In a forked child: begin what waited for it. A worker's own children begin nothing.

    gunicorn's master also forks what is no worker: a new master, on USR2.
    """
    if _waiting and _gunicorn_in() != _MASTER:
        worker = _patching_worker()
        if worker is None:
            _begin_all()
        else:
            _begin_when_patched(worker)


def _begin_all() -> None:
    begins = list(_waiting)
    _waiting.clear()
    for begin in begins:
        begin()


def _begin_anew() -> None:
    """Begin where what the hooks of a fork have made is of no use, or where none was called."""
    here.look_again()
    shared.forget_all()
    _begin_all()


# --- who am I -----------------------------------------------------------------------------------


def _is_worker() -> bool:
    """True in a process that another Python program has forked or spawned to work for it."""
    return is_of_multiprocessing() or _is_forked() or _uwsgi_worker() > 0


def is_of_multiprocessing() -> bool:
    """True in a child of multiprocessing, whatever its start method."""
    module = sys.modules.get("multiprocessing.process")
    begun = module is not None and module.parent_process() is not None
    return begun or "--multiprocessing-fork" in sys.orig_argv


def _repeats_main() -> bool:
    """True while a child of multiprocessing, or its fork server, imports the main module again."""
    module = sys.modules.get("multiprocessing.process")
    return module is not None and getattr(module.current_process(), "_inheriting", False)


def _is_forked() -> bool:
    """True if this process was forked from a living one of the same program.

    A program that has made itself a daemon was forked as well, but its session is its own.
    """
    try:
        with open("/proc/self/stat", "rb") as file:
            flags = int(file.read().rpartition(b")")[2].split()[6])
        parent = os.getppid()
        return bool(flags & _PF_FORKNOEXEC and parent and os.getsid(parent) == os.getsid(0))
    except OSError:  # no /proc; or the parent is gone
        return False


_MASTER, _WORKER, _ABSENT = "master", "worker", "absent"


def _gunicorn_in() -> str:
    """What called: gunicorn's master, or one of its workers, by the stack."""
    found = _ABSENT
    if "gunicorn" in sys.modules:
        for module, function in _callers():
            if (module, function) == ("gunicorn.arbiter", "spawn_worker"):
                return _WORKER
            if module.startswith("gunicorn.workers."):  # also in a thread of one
                return _WORKER
            if module.partition(".")[0] == "gunicorn":
                found = _MASTER
    return found


def _callers() -> Iterator[tuple[str, str]]:
    for frame in _frames():
        yield frame.f_globals.get("__name__") or "", frame.f_code.co_name


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame:
        yield frame
        frame = frame.f_back


def _patching_worker() -> Any:
    """The worker of gunicorn that was forked just now, if it will replace threads and locks.

    gevent's do that once they are forked. A thread that began before would share its locks, which
    know threads, with greenlets, of which many are one thread: both would hang.
    """
    for frame in _frames() if "gunicorn" in sys.modules else ():
        if frame.f_code.co_name == "spawn_worker":
            worker = frame.f_locals.get("worker")
            return worker if hasattr(worker, "patch") else None
    return None


def _begin_when_patched(worker: Any) -> None:
    """By a hook of gunicorn's, of which this process has a copy of its own."""
    before = worker.cfg.post_worker_init

    def post_worker_init(worker: Any) -> None:
        before(worker)
        _begin_anew()

    worker.cfg.set("post_worker_init", post_worker_init)


# --- uWSGI --------------------------------------------------------------------------------------


def _uwsgi() -> Any:
    """The module that is there in a process of uWSGI only."""
    module = sys.modules.get("uwsgi")
    return module if hasattr(module, "worker_id") else None


def _uwsgi_worker() -> int:
    """The number of this worker of uWSGI, from 1; 0 in its master, and where there is no uWSGI."""
    uwsgi = _uwsgi()
    return uwsgi.worker_id() if uwsgi else 0


def _is_uwsgi_master() -> bool:
    """Also true where there is no master, as long as the program is being loaded."""
    return _uwsgi() is not None and _uwsgi_worker() == 0


def _hear_of_uwsgi_workers() -> None:
    """uWSGI forks in C and calls no hook of Python's (2.0.30), but has one of its own."""
    uwsgi = _uwsgi()
    if uwsgi.masterpid():
        import_module("uwsgidecorators").postfork(_begin_in_uwsgi_worker)
        return
    before = getattr(uwsgi, "post_fork_hook", None)

    def hook() -> None:
        if before:
            before()
        _begin_in_uwsgi_worker()

    uwsgi.post_fork_hook = hook


def _begin_in_uwsgi_worker() -> None:
    if _uwsgi_worker():  # mules and spoolers are forked, too
        _begin_anew()
