"""Draw docs/pictures/*.svg: what real programs show in a real terminal, in a state of their own.

    python tools/pictures.py            # all of them
    python tools/pictures.py top        # one

Each picture is a screen of a pty after the commands below have run, as pyte understands it. Pids,
times and sizes are those of this machine; nothing of it is made up.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyte
from rich.console import Console
from rich.text import Text

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
BIN = Path(sys.executable).parent
CONFIG = """\
[lifeline.mailer]
command = ["./worker.sh", "--queue", "mail"]
restart = "on-failure"
every = "1m"

[lifeline.reports]
command = ["./worker.sh", "--queue", "reports"]
every = "1h"

[scale.mailers]
probe = { kind = "command", run = ["cat", "depth"] }
target = { kind = "command", get = ["cat", "workers"], set = ["tee", "workers"] }
rules = [
  { at_least = 0,  dynos = 1 },
  { at_least = 10, dynos = 5 },
  { at_least = 20, dynos = 10 },
]
max = 8
max_up = "2/1m"
"""
WORKER = "#!/bin/sh\nwhile :; do sleep 1; done\n"
PLACE = Path("/tmp/app")  # it is on the pictures
# No font is fetched: a page that shows the picture loads nothing from another host.
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


@dataclass
class Picture:
    """What is typed, and a text that has to be on the screen; a `live` one is left with q."""

    seen: str
    until: str
    columns: int = 100
    lines: int = 16
    live: bool = False


SCENES = {
    "status": Picture("lifeline status", "held", columns=130),
    "explain": Picture("lifeline explain mailer", "would", columns=130),
    "top": Picture("lifeline top", "q quit", live=True, lines=10),
    "scale-explain": Picture("lifeline scale explain", "apply", columns=110, lines=30),
}


@contextmanager
def stage() -> Iterator[Path]:
    """A directory with a configuration, a lifeline that runs and one that is held."""
    here = PLACE
    here.mkdir()
    try:
        (here / "lifeline.toml").write_text(CONFIG)
        (here / "worker.sh").write_text(WORKER)
        (here / "worker.sh").chmod(0o755)
        (here / "depth").write_text("42\n")
        (here / "workers").write_text("2\n")
        with keeping(here):
            hold = ["lifeline", "hold", "--reason", "database moves", "reports"]
            output(here, *hold)
            yield here
    finally:
        shutil.rmtree(here)


@contextmanager
def keeping(here: Path) -> Iterator[None]:
    """One lifeline runs."""
    words = ["python3", "-m", "lifeline", "run", "mailer"]  # as it is to be seen
    runner = subprocess.Popen(
        words, executable=sys.executable, cwd=here, env=environment(here), start_new_session=True
    )
    try:
        wait_until(lambda: "record" in output(here, "lifeline", "status", "mailer"))
        yield
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait()


def environment(here: Path) -> dict[str, str]:
    """What the programs see; nothing of the caller's that would show."""
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "LIFELINE_STATE_DIR": str(here / "state"),
        "TERM": "xterm-256color",
        "HOME": str(here),
        "LANG": "C.UTF-8",
    }


def output(here: Path, *words: str) -> str:
    done = subprocess.run(
        words, cwd=here, env=environment(here), capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def wait_until(true: Callable[[], object], within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("what the picture waits for does not come")
        time.sleep(0.05)


def shoot(here: Path, picture: Picture) -> Text:
    """The screen once it shows what is waited for, with the line that was typed above it."""
    screen = pyte.Screen(picture.columns, picture.lines)
    stream = pyte.ByteStream(screen)
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(here)
        # Not by the path of the program, which is another one on each machine and can be seen.
        words = ["python3", "-m", *picture.seen.split()]
        os.execve(sys.executable, words, environment(here))
    size = struct.pack("HHHH", picture.lines, picture.columns, 0, 0)
    fcntl.ioctl(master, termios.TIOCSWINSZ, size)
    os.kill(pid, signal.SIGWINCH)
    deadline = time.monotonic() + 30
    ended = False
    while not ended and not (picture.live and picture.until in "\n".join(screen.display)):
        if time.monotonic() > deadline:
            raise SystemExit(f"{picture.seen}: {picture.until!r} is not shown")
        if not select.select([master], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(master, 65536)
        except OSError:
            data = b""
        ended = not data
        stream.feed(data)
    shown = text_of(screen)
    if picture.live:
        os.write(master, b"q")
    os.close(master) if ended else drain(master)
    os.waitpid(pid, 0)
    if picture.until not in shown.plain:
        raise SystemExit(f"{picture.seen}: {picture.until!r} is not shown:\n{shown.plain}")
    if picture.live:
        return shown
    return Text.assemble((f"$ {picture.seen}\n", "bold"), shown)


def drain(master: int) -> None:
    """Read what is left: who writes to a terminal that nobody reads never ends."""
    while True:
        try:
            if not os.read(master, 65536):
                break
        except OSError:
            break
    os.close(master)


def text_of(screen: pyte.Screen) -> Text:
    """What is on the screen, with its colours; empty lines at the end are left out."""
    lines = []
    for number in range(screen.lines):
        cells = [screen.buffer[number][column] for column in range(screen.columns)]
        runs = itertools.groupby(cells, style_of)
        line = Text().join(Text("".join(c.data for c in run), style) for style, run in runs)
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return Text("\n").join(lines)


def style_of(cell: pyte.screens.Char) -> str:
    words = [name for name in ("bold", "reverse") if getattr(cell, name)]
    if cell.fg != "default":
        words.append({"brown": "yellow"}.get(cell.fg, cell.fg))
    return " ".join(words)


def draw(name: str, shown: Text, columns: int) -> None:
    """Write the picture."""
    with open(os.devnull, "w") as nowhere:
        console = Console(width=columns, record=True, file=nowhere, color_system="standard")
        console.print(shown, overflow="crop", no_wrap=True, crop=True)
    title = f"lifeline {name.replace('-', ' ')}"
    svg = console.export_svg(title=title, code_format=SVG, unique_id=name)
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / f"{name}.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.M).rstrip() + "\n")


def main(names: list[str]) -> int:
    unknown = set(names) - SCENES.keys()
    if unknown:
        print(f"no picture {', '.join(unknown)}; there are {', '.join(SCENES)}", file=sys.stderr)
        return 2
    with stage() as here:
        for name in names or SCENES:
            picture = SCENES[name]
            draw(name, shoot(here, picture), picture.columns)
            print(f"docs/pictures/{name}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
