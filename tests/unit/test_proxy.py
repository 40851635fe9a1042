"""The proxy that breaks what is between a client and a server does what its methods say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from support.proxy import Proxy
from support.waiting import eventually


class Echo:
    """A server that says everything back, and remembers what it was told."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            while True:
                threading.Thread(
                    target=self._serve, args=(self._listener.accept()[0],), daemon=True
                ).start()
        except OSError:
            pass

    def _serve(self, line: socket.socket) -> None:
        with line:
            try:
                while said := line.recv(1000):
                    self.heard += said
                    line.sendall(said)
            except OSError:
                pass
            self.ended += 1

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as proxy:
        yield proxy


def connected(proxy: Proxy) -> socket.socket:
    """A connection that works."""
    line = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    line.sendall(b"hello")
    assert line.recv(100) == b"hello"
    return line


def is_silent(line: socket.socket) -> bool:
    """Nothing comes, not even an end. A short look: what would come has had its time before."""
    line.settimeout(0.05)
    try:
        line.recv(100)
    except TimeoutError:
        return True
    finally:
        line.settimeout(10)
    return False


def test_it_passes_on_and_ends_with_either_side(proxy: Proxy, echo: Echo) -> None:
    """The server hears of the client's end, and nothing is left open."""
    with connected(proxy) as line:
        line.sendall(b"again")
        assert line.recv(100) == b"again"
    eventually(lambda: echo.ended == 1)
    eventually(lambda: proxy.connections == 0)


def test_refused_until_it_is_healed(proxy: Proxy) -> None:
    """Open connections are reset, new ones refused; the port stays the same."""
    with connected(proxy) as line:
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            line.recv(100)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port))
    proxy.heal()
    connected(proxy).close()


def test_dropped_connections_are_reset_and_new_ones_work(proxy: Proxy) -> None:
    """For both sides."""
    with connected(proxy) as line:
        proxy.drop()
        with pytest.raises(ConnectionResetError):
            line.recv(100)
        connected(proxy).close()


def test_a_black_hole_takes_everything(proxy: Proxy, echo: Echo) -> None:
    """Of open and new connections; those that lost something are reset when it heals."""
    with connected(proxy) as line, connected(proxy) as idle:
        proxy.black_hole()
        line.sendall(b"lost")
        new = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
        new.sendall(b"lost too")
        eventually(lambda: proxy.lost == 2)
        assert is_silent(line) and is_silent(new)
        proxy.heal()
        for broken in (line, new):
            with pytest.raises(ConnectionResetError):
                broken.recv(100)
        new.close()
        idle.sendall(b"kept")
        assert idle.recv(100) == b"kept"
    assert b"lost" not in echo.heard


@pytest.mark.parametrize("cut", [False, True])
def test_a_lost_request_does_not_arrive(proxy: Proxy, echo: Echo, cut: bool) -> None:
    """Silently, or with a reset at once."""
    with connected(proxy) as line:
        proxy.lose_requests(cut=cut)
        line.sendall(b"lost")
        eventually(lambda: proxy.lost == 1)
        if cut:
            with pytest.raises(ConnectionResetError):
                line.recv(100)
        else:
            assert is_silent(line)
    assert echo.heard == b"hello"


@pytest.mark.parametrize("cut", [False, True])
def test_a_lost_reply_was_given(proxy: Proxy, echo: Echo, cut: bool) -> None:
    """What was asked for has been done."""
    with connected(proxy) as line:
        proxy.lose_replies(cut=cut)
        line.sendall(b"done")
        eventually(lambda: proxy.lost == 1)
        assert echo.heard == b"hellodone"
        if cut:
            with pytest.raises(ConnectionResetError):
                line.recv(100)
        else:
            assert is_silent(line)


def test_half_open_is_told_to_the_server_only(proxy: Proxy, echo: Echo) -> None:
    """The client talks on to nobody; a new connection works."""
    with connected(proxy) as line:
        proxy.half_open()
        eventually(lambda: echo.ended == 1)
        line.sendall(b"anybody?")
        eventually(lambda: proxy.lost == 1)
        assert is_silent(line)
        connected(proxy).close()


def test_a_delay_holds_back_and_loses_nothing(proxy: Proxy) -> None:
    """Each way; without it the answer comes at once again."""
    with connected(proxy) as line:
        proxy.delay(0.2)
        line.sendall(b"slow")
        assert is_silent(line)
        assert line.recv(100) == b"slow"
        proxy.delay(0)
        line.sendall(b"quick")
        assert line.recv(100) == b"quick"
