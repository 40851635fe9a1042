"""A process that does what it is told, where a test cannot be itself.

In a pid namespace, as another user, in a session with others: wherever `Agent` starts it. Each line
of its standard input is an order, each line of its output the answer, both JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.spawning import Spawner


class Agent:
    """The test's side: `where` are the words that start a command where the agent is to be."""

    def __init__(self, spawn: Spawner, *where: str, **options: Any) -> None:
        self.process = spawn(
            *where, sys.executable, Path(__file__), stdin=subprocess.PIPE, stderr=None, **options
        )
        #: Its pid as this test sees it; behind `unshare` that is the pid of `unshare`.
        self.pid = self.process.pid

    def run(self, *argv: str | os.PathLike[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Start a command, wait for its end; `env` is added to its environment."""
        code, out, err = self._ask("run", list(map(str, argv)), env)
        return subprocess.CompletedProcess(argv, code, out, err)

    def start(self, *argv: str | os.PathLike[str], **env: str) -> int:
        """Start a command in the agent's own session; its pid as the agent sees it."""
        return int(self._ask("start", list(map(str, argv)), env))

    def do(self, code: str, **names: Any) -> Any:
        """Run Python in the agent, with `names`; what it leaves in `result`."""
        return self._ask("do", code, names)

    def _ask(self, *order: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '"the agent is gone"')
        assert isinstance(answer, list), answer
        return answer[0]


def _main() -> None:
    names: dict[str, Any] = {}
    started = []
    for text in sys.stdin:
        kind, what, more = json.loads(text)
        try:
            if kind == "do":
                names.update(more, result=None)
                exec(what, names)
                answer = names["result"]
            else:
                env = {**os.environ, **more}
                quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "env": env}
                if kind == "run":
                    ended = subprocess.run(
                        what, **quiet, capture_output=True, text=True, check=False
                    )
                    answer = [ended.returncode, ended.stdout, ended.stderr]
                else:
                    child = subprocess.Popen(what, **quiet, stdout=subprocess.DEVNULL)
                    started.append(child)
                    answer = child.pid
        except Exception as error:
            print(json.dumps(f"{type(error).__name__}: {error}"), flush=True)
        else:
            print(json.dumps([answer]), flush=True)


if __name__ == "__main__":
    _main()
