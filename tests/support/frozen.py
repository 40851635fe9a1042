"""Starts a program that stays in the middle of exec until it is told to go on.

    python frozen.py DIRECTORY PROGRAM ARGV0 [ARGUMENT…]

Run it in a mount namespace of its own, as root: it mounts a file system on DIRECTORY. It prints the
pid of the process that hangs, reads one line from standard input, lets the process go on and
serves until it is killed.

The file system (FUSE, spoken by hand; see linux/fuse.h) has one file, a copy of PROGRAM, and at
first answers reads of its first page only. By the time that exec wants more, it has thrown away the
old memory with its argument list and has not put the new one up: load_elf_binary() waits for the
page that it has to pad with zeros. Nothing but an answer, or the end of this server, wakes it.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.agent import Agent

_START = """
import subprocess
server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
result = int(server.stdout.readline())
"""


def freeze(agent: Agent, directory: Path, *arguments: str) -> tuple[int, list[str]]:
    """Have an agent start a `sleep` that hangs in exec: its pid and its argument list to be."""
    directory.mkdir()
    sleep = os.path.realpath(shutil.which("sleep") or "")
    words = [str(directory / "program"), *arguments]
    argv = [sys.executable, __file__, str(directory), sleep, *words]
    return agent.do(_START, argv=argv), words


def thaw(agent: Agent) -> None:
    """Let it go on."""
    agent.do("server.stdin.write(b'\\n'); server.stdin.flush()")


_FORGET, _LOOKUP, _GETATTR, _OPEN, _READ, _INIT = 2, 1, 3, 14, 15, 26
_INTERRUPT, _BATCH_FORGET = 36, 42
_NOT_ANSWERED = (_FORGET, _INTERRUPT, _BATCH_FORGET)
_ENOSYS = 38
_PAGE = 4096
_VALID = 3600  # seconds for which the kernel need not ask again


class Server:
    """Answers the kernel's questions; those for the later pages wait until `go_on`."""

    def __init__(self, directory: str, content: bytes) -> None:
        self.content = content
        self.waiting: list[tuple[int, int, int]] = []
        self.told = False
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"frozen", os.fsencode(directory), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), "mount")

    def answer(self) -> None:
        """Answer one question, or put it off."""
        try:
            request = os.read(self.fd, 1 << 17)
        except FileNotFoundError:  # whoever asked was interrupted
            return
        _, code, unique, node = struct.unpack_from("<IIQQ", request)
        if code == _INIT:
            # No readahead, or the first page would bring the later ones along.
            head = struct.pack("<IIIIHHIIHHI", 7, 31, _PAGE, 0, 12, 10, _PAGE, 1, 1, 0, 0)
            self._reply(unique, head + bytes(24))
        elif code == _LOOKUP:
            entry = struct.pack("<QQQQII", 2, 0, _VALID, _VALID, 0, 0)
            self._reply(unique, entry + self._attributes(2))
        elif code == _GETATTR:
            self._reply(unique, struct.pack("<QII", _VALID, 0, 0) + self._attributes(node))
        elif code == _OPEN:
            self._reply(unique, struct.pack("<QII", 1, 2, 0))
        elif code == _READ:
            self._read(unique, *struct.unpack_from("<QI", request, 40 + 8))
        elif code not in _NOT_ANSWERED:
            self._reply(unique, b"", error=_ENOSYS)

    def go_on(self) -> None:
        self.told = True
        for each in self.waiting:
            self._read(*each)

    def _read(self, unique: int, offset: int, size: int) -> None:
        if offset < _PAGE or self.told:
            self._reply(unique, self.content[offset : offset + size])
        else:
            self.waiting.append((unique, offset, size))

    def _reply(self, unique: int, body: bytes, error: int = 0) -> None:
        os.write(self.fd, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)

    def _attributes(self, node: int) -> bytes:
        size = len(self.content)
        mode = 0o40755 if node == 1 else 0o100755
        blocks = (size + 511) // 512
        return struct.pack(
            "<QQQQQQIIIIIIIIII", node, size, blocks, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, _PAGE, 0
        )


def main() -> None:
    directory, program, *argv = sys.argv[1:]
    with open(program, "rb") as file:
        server = Server(directory, file.read())
    pid = os.fork()
    if pid == 0:
        os.close(server.fd)
        os.execv(os.path.join(directory, "program"), argv)
    said = False
    while True:
        ready, _, _ = select.select([server.fd] if server.told else [server.fd, 0], [], [])
        if 0 in ready:
            server.go_on()
        if server.fd in ready:
            server.answer()
        if server.waiting and not said:
            print(pid, flush=True)
            said = True


if __name__ == "__main__":
    main()
