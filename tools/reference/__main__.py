"""Write docs/reference/*.md from the code; `--check` tells whether they are that.

    python tools/reference

The command line comes from the verbs themselves, the library from its docstrings, keys, variables
and stores from the tables that lifeline reads them with.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import commands
import keys
import library
import stores
import variables

PLACE = Path(__file__).parents[2] / "docs" / "reference"
PAGES = {
    "command-line.md": commands.page,
    "library.md": library.page,
    "config.md": keys.page,
    "environment.md": variables.page,
    "stores.md": stores.page,
}
NOTE = "<!-- Written by `invoke reference`: change the code, not this file. -->\n\n"


def main(arguments: list[str]) -> int:
    """0 if every page is as it should be, or has been written."""
    made = {name: NOTE + _tidy(page()) for name, page in PAGES.items()}
    if arguments != ["--check"]:
        for name, text in made.items():
            (PLACE / name).write_text(text)
        return 0
    stale = [name for name, text in made.items() if not _is(PLACE / name, text)]
    if stale:
        print(f"not what the code says: {', '.join(stale)}; invoke reference", file=sys.stderr)
    return 1 if stale else 0


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _is(page: Path, text: str) -> bool:
    return page.exists() and page.read_text() == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
