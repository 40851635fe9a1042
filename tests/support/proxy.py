"""A TCP proxy that a test stands before a server, to break what is between a client and it."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

REQUEST, REPLY = "request", "reply"  # which way bytes go
_RST = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() resets the connection


@dataclass(eq=False)
class _Link:
    """One connection of a client, and the one to the server that belongs to it."""

    task: asyncio.Task[Any] | None
    there: asyncio.StreamWriter | None = None
    mute: bool = False  # nothing of it is passed on any more
    broken: bool = False  # something of it was lost


class Proxy:
    """Listens on `port` of loopback and passes on to `target`, until it is told otherwise.

    What it is told holds for open and for new connections, until `heal()`. `lost` counts the
    pieces that did not arrive: a reply that was lost has been given, so its request was applied.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.lost = 0
        self.passed = 0
        self._swallow: set[str] = set()  # directions in which nothing arrives any more
        self._cut = False  # the first thing lost also resets the connection
        self._delay = 0.0
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._listen())

    # --- what a test tells it -----------------------------------------------------------------

    def heal(self) -> None:
        """Pass everything on again. Connections that lost bytes are reset: they are out of step."""
        self._do(self._heal())

    def refuse(self) -> None:
        """No connection is accepted, and those that are open are reset."""
        self._do(self._close_server())
        self.drop()

    def drop(self) -> None:
        """Reset the connections that are open. New ones are passed on."""
        self._do(self._drop(lambda link: True))

    def black_hole(self) -> None:
        """Accept connections and bytes, and pass nothing on, either way."""
        self._swallow = {REQUEST, REPLY}

    def lose_requests(self, *, cut: bool = False) -> None:
        """What clients send does not arrive; with `cut`, they are reset at once."""
        self._swallow, self._cut = {REQUEST}, cut

    def lose_replies(self, *, cut: bool = False) -> None:
        """The server gets requests and carries them out; its answers do not arrive."""
        self._swallow, self._cut = {REPLY}, cut

    def half_open(self) -> None:
        """The server sees its connections end; the clients are told nothing. New ones work."""
        self._do(self._half_open())

    def delay(self, seconds: float) -> None:
        """Every piece is passed on so much later."""
        self._delay = seconds

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    def close(self) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- in the thread ------------------------------------------------------------------------

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(20)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close_server(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    async def _heal(self) -> None:
        self._swallow, self._cut, self._delay = set(), False, 0.0
        await self._drop(lambda link: link.broken)
        if self._server is None:
            await self._listen()

    async def _drop(self, which: Callable[[_Link], bool]) -> None:
        ended = [link.task for link in self._links if which(link) and link.task]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)

    async def _half_open(self) -> None:
        for link in self._links:
            link.mute = link.broken = True
            if link.there:
                link.there.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(asyncio.current_task())
        self._links.add(link)
        try:
            there_in, link.there = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(
                self._pass(REQUEST, reader, link.there, link),
                self._pass(REPLY, there_in, writer, link),
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(link)
            for end in (writer, link.there):
                if end:
                    _reset(end)

    async def _pass(
        self, way: str, source: asyncio.StreamReader, target: asyncio.StreamWriter, link: _Link
    ) -> None:
        while piece := await source.read(1 << 16):
            if self._delay:
                await asyncio.sleep(self._delay)
            if link.mute or way in self._swallow:
                link.broken = True
                self.lost += 1
                if self._cut:
                    raise ConnectionResetError
            else:
                target.write(piece)
                await target.drain()
                self.passed += 1
        if link.mute or way in self._swallow:
            link.broken = True  # the other side does not even hear of the end
        elif target.can_write_eof():
            with suppress(OSError):
                target.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    writer.transport.abort()
