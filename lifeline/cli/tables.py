"""How wide the columns of a table are drawn: pure, so that every width can be tried."""

from collections.abc import Sequence

from rich.cells import cell_len

GAP = 2  # columns of the terminal between two of the table
_WHOLE = 16  # a word up to this length is never parted


def widths(table: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The widths in which the columns fit into `width`, the widest made narrower first.

    `table` has its header as the first row. None if a word would have to be parted that can be
    read or copied in one piece only: a pid, a date, a short name.
    """
    columns = list(zip(*table, strict=True))
    found = [max(map(cell_len, column)) for column in columns]
    least = [
        min(max(cell_len(word) for text in column for word in (text.split() or [""])), _WHOLE)
        for column in columns
    ]
    excess = sum(found) + GAP * (len(found) - 1) - width
    for _ in range(excess):
        can = [at for at in range(len(found)) if found[at] > least[at]]
        if not can:
            return None
        found[max(can, key=found.__getitem__)] -= 1
    return found


def fields(table: Sequence[Sequence[str]]) -> list[str]:
    """One cell on a line, with its title before it, and an empty line between rows."""
    header, *rows = table
    size = max(map(cell_len, header))
    lines: list[str] = []
    for row in rows:
        lines += [""] if lines else []
        lines += [
            f"{title:{size}}  {text}".rstrip() for title, text in zip(header, row, strict=True)
        ]
    return lines
