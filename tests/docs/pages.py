"""The pages of the documentation and the code blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lifeline import leasing
from lifeline.options import RunOptions, parse_run

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
_BLOCK = re.compile(r"^(<!-- [^\n]* -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One code block. `note` is the comment in the line above it, `number` counts from 1."""

    page: str
    number: int
    language: str
    body: str
    note: str = ""

    @property
    def id(self) -> str:
        return f"{self.page}:{self.language}:{self.number}"


def name_of(page: Path) -> str:
    """README.md, election.md, howto/cron.md."""
    return str(page.relative_to(DOCS if page.is_relative_to(DOCS) else ROOT))


def blocks(*languages: str, page: Path | None = None) -> Iterator[Block]:
    """Every block in one of these languages (of all, if none is given), in the order of pages."""
    for each in [page] if page else PAGES:
        counts: dict[str, int] = {}
        for note, language, body in _BLOCK.findall(each.read_text()):
            counts[language] = counts.get(language, 0) + 1
            if not languages or language in languages:
                said = note.removeprefix("<!-- ").removesuffix(" -->\n")
                yield Block(name_of(each), counts[language], language, body, said)


def block(name: str, language: str, number: int = 1) -> str:
    """The text of one block of a page."""
    (found,) = [each.body for each in blocks(language, page=DOCS / name) if each.number == number]
    return found


def would_run(words: list[str]) -> RunOptions:
    """What a call of `lifeline run` asks for; UsageError if that is refused before it looks."""
    options = parse_run(words)
    if options.lock is not None:
        leasing.check(options)
    return options
