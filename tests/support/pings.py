"""A monitor like healthchecks.io: a small HTTP server that notes every ping, and can be bad."""

from __future__ import annotations

import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit


class Ping(NamedTuple):
    """One request: its path behind the secret, the run that it names, what it carries."""

    path: str
    run: str
    body: bytes


class Monitor:
    """Answers at `url`, whose path is a secret. `mood` says how: "well", "hang", "reset", 500, …"""

    def __init__(self) -> None:
        self.secret = uuid.uuid4().hex
        self.pings: list[Ping] = []
        self.mood: str | int = "well"
        self.hanging = 0
        self.let_go = threading.Event()
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                monitor._answer(self)

            def do_GET(self) -> None:
                self.send_error(405)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                pass  # a client that has gone is no news here

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/{self.secret}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def paths(self) -> list[str]:
        """The paths of all pings so far, in the order in which they came."""
        return [ping.path for ping in list(self.pings)]

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        assert url.path.startswith(f"/{self.secret}")
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        run = "".join(parse_qs(url.query).get("rid", []))
        self.pings.append(Ping(url.path[len(self.secret) + 1 :], run, body))
        if self.mood == "reset":
            # With no time to linger, closing sends RST.
            linger = struct.pack("ii", 1, 0)
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            request.connection.close()
            request.close_connection = True
            return
        if self.mood == "hang":
            self.hanging += 1
            self.let_go.wait()
        code = self.mood if isinstance(self.mood, int) else 200
        try:
            request.send_response(code)
            request.send_header("Content-Length", "0")
            request.end_headers()
        except OSError:
            pass  # whoever asked did not wait


@contextmanager
def monitor() -> Iterator[Monitor]:
    """A monitor for as long as the block."""
    serving = Monitor()
    try:
        yield serving
    finally:
        serving.close()


def nobody_listens() -> str:
    """The URL of a monitor that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/secret"
