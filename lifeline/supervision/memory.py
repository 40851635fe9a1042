"""How much memory a tree of processes holds, cheap enough to be asked again and again."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable


def resident(pids: "Iterable[int]") -> int:
    """Bytes resident in these processes together; pages that they share count for each."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for pid in pids:
        content = _read(f"/proc/{pid}/statm")
        if content:
            total += int(content.split()[1]) * page
    return total


def below(pid: int, without: "Container[int]" = ()) -> "list[int]":
    """All below `pid`, but those in `without` and what is below these (proc(5), children)."""
    found = [pid]
    for above in found:
        found += (child for child in children_of(above) if child not in without)
    return found[1:]


def children_of(pid: int) -> "list[int]":
    """The children of `pid`, dead ones too until they are reaped; none where that is not told."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    lists = (_read(f"/proc/{pid}/task/{thread}/children") for thread in threads)
    return [int(child) for line in lists for child in line.split()]


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it ended meanwhile
        return b""
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""
    finally:
        os.close(fd)
