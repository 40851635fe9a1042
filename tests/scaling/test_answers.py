"""The two plain probes and the plain target: real commands, a real web server."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lifeline.errors import UsageError
from lifeline.scaling import ProbeError, Sample, TargetError
from lifeline.scaling.platforms import command as command_target
from lifeline.scaling.queues import command, http
from support.spawning import Spawner, alive
from support.waiting import eventually

GOOD = [
    ("12", Sample(12)),
    (" 0\n", Sample(0)),
    ("2.5", Sample(2.5)),
    ('{"ready": 3}', Sample(3)),
    (
        '{"ready": 3, "busy": 1, "future": 9, "oldest_age": 4.5, "exact": false}',
        Sample(3, 1, 9, 4.5, False),
    ),
    ('{"ready": 3, "oldest_age": null}', Sample(3)),
]
BAD = ["", "null", "-1", "NaN", "Infinity", "true", '"3"', "[]", "{}", "12 jobs", "nan"]
BAD += ['{"ready": null}', '{"ready": -1}', '{"ready": 3, "redy": 1}', '{"ready": 1, "busy": null}']


def printing(text: str) -> dict[str, object]:
    return {"run": [sys.executable, "-c", "import sys; print(sys.argv[1])", text]}


@pytest.mark.parametrize(("text", "sample"), GOOD)
def test_a_command_prints_how_much_there_is(text: str, sample: Sample) -> None:
    """A number or an object."""
    assert command.make(printing(text))() == sample


@pytest.mark.parametrize("text", BAD)
def test_a_command_that_prints_no_number_is_an_error(text: str) -> None:
    """Never zero."""
    with pytest.raises(ProbeError):
        command.make(printing(text))()


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (["/bin/sh", "-c", "echo 3; exit 4"], "sh failed with exit code 4"),
        (["/bin/sh", "-c", "kill -9 $$"], "sh failed with exit code -9"),
        (["/missing/program"], "program cannot be run (No such file or directory)"),
    ],
)
def test_a_command_that_fails_is_an_error(run: list[str], told: str) -> None:
    """Whatever it printed before."""
    with pytest.raises(ProbeError) as failed:
        command.make({"run": run})()
    assert told in str(failed.value)


def test_a_command_that_hangs_is_ended_with_its_children(spawn: Spawner, tmp_path: Path) -> None:
    """After its timeout; nothing stays behind."""
    said = tmp_path / "pid"
    script = f"sleep 600 & echo $! >{said}.new; mv {said}.new {said}; wait"
    with pytest.raises(ProbeError, match="no answer within 1 s"):
        command.make({"run": ["/bin/sh", "-c", script], "timeout": "1s"})()
    if said.exists():  # on a machine that is slow enough it had not come so far
        pid = int(said.read_text())
        eventually(lambda: not alive(pid))


@pytest.mark.parametrize(
    ("make", "options", "told"),
    [
        (command.make, {}, "command needs run"),
        (command.make, {"run": "count"}, "run is a list of words"),
        (command.make, {"run": []}, "run is a list of words"),
        (command.make, {"run": ["x"], "timout": 3}, "did you mean 'timeout'?"),
        (command.make, {"run": ["x"], "timeout": 0}, "more than nothing"),
        (http.make, {}, "http needs url"),
        (http.make, {"url": "ftp://x"}, "http:// or https://"),
        (http.make, {"url": "http://[::1"}, "no host, or no port"),
        (http.make, {"url": "http://x:99999/"}, "no host, or no port"),
        (http.make, {"url": "http://x/a b"}, "written as %XX"),
        (http.make, {"url": "http://x/\n"}, "written as %XX"),
        (http.make, {"url": "http://x", "headers": {"A b": "x"}}, "the header 'A b'"),
        (http.make, {"url": "http://x", "headers": {"A": "x\ny"}}, "the header 'A'"),
        (command.make, {"run": ["a\0b"]}, "run is a list of words"),
        (http.make, {"url": "env:NOT_SET_ANYWHERE"}, "variable 'NOT_SET_ANYWHERE' is not set"),
        (http.make, {"url": "secret-file:/missing"}, "'/missing' cannot be read"),
        (http.make, {"url": "http://x", "busy": "a.b"}, "needs ready"),
        (http.make, {"url": "http://x", "headers": {"A": 1}}, "a table of texts"),
        (command_target.make, {"get": ["x"]}, "command needs set"),
        (command_target.make, {"get": ["x"], "set": ["x"], "st": 1}, "unknown option of command"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    make: Any, options: dict[str, object], told: str
) -> None:
    """When it is made, in one line."""
    with pytest.raises(UsageError) as refused:
        make(options)
    assert told in str(refused.value)


# --- HTTP ---------------------------------------------------------------------------------------


class Server:
    """A web server of the test's own: it answers with `status`, `body`, `headers`."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"3", dict[str, str]()
        self.asked: list[dict[str, str]] = []
        self.gate: threading.Event | None = None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append({key.lower(): value for key, value in self.headers.items()})
                if server.gate:
                    server.gate.wait(30)
                self.send_response(server.status)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(server.body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/queue?token=hunter2"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    if running.gate:
        running.gate.set()
    running.http.shutdown()
    running.thread.join()
    running.http.server_close()


@pytest.mark.parametrize(("text", "sample"), GOOD)
def test_a_page_tells_how_much_there_is(server: Server, text: str, sample: Sample) -> None:
    """As a command does."""
    server.body = text.encode()
    assert http.make({"url": server.url})() == sample


def test_a_page_of_another_shape_is_told_where_to_look(server: Server) -> None:
    """With dots, through objects and lists; what is not there is an error."""
    server.body = b'{"queues": [{"n": 4, "at_work": 2}], "age": 1.5, "none": null}'
    url = {"url": server.url}
    places = {"ready": "queues.0.n", "busy": "queues.0.at_work", "oldest_age": "age"}
    assert http.make({**url, **places})() == Sample(4, 2, 0, 1.5)
    for wrong in ("queues.1.n", "queues.n", "nothing", "none", "queues.0"):
        with pytest.raises(ProbeError):
            http.make({**url, "ready": wrong})()


@pytest.mark.parametrize("body", [each.encode() for each in BAD] + [b"<html>", b"\xff"])
def test_a_page_without_a_number_is_an_error(server: Server, body: bytes) -> None:
    """Never zero."""
    server.body = body
    with pytest.raises(ProbeError):
        http.make({"url": server.url})()


@pytest.mark.parametrize(
    "headers",
    [{"Content-Length": "400"}, {"Transfer-Encoding": "chunked"}],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("places", [{}, {"ready": "n"}], ids=["number", "object"])
def test_a_page_that_breaks_off_is_an_error(
    server: Server, headers: dict[str, str], places: dict[str, str]
) -> None:
    """What came of it would do: `0` of 400 bytes, the first chunk of several."""
    text = b'{"n": 0}' if places else b"0"
    server.headers = headers
    server.body = b"%x\r\n%s\r\n" % (len(text), text) if "chunked" in headers.values() else text
    with pytest.raises(ProbeError, match="IncompleteRead"):
        http.make({"url": server.url, **places})()


def test_too_long_an_answer_is_an_error(server: Server) -> None:
    """Nobody reads on for ever, and the beginning is no answer: part of a number is one, too."""
    server.body = b"1" + b" " * (1 << 20)
    with pytest.raises(ProbeError, match="TooLong"):
        http.make({"url": server.url})()
    with pytest.raises(ProbeError, match="printed more than"):
        command.make({"run": [sys.executable, "-c", "print('1' + ' ' * 70_000)"]})()


@pytest.mark.parametrize("status", [204, 301, 401, 404, 429, 500, 503])
def test_a_page_that_is_not_there_is_an_error(server: Server, status: int) -> None:
    """Named with its status, without the URL: that may hold a token."""
    server.status = status
    server.headers = {"Location": server.url} if status == 301 else {}
    with pytest.raises(ProbeError) as failed:
        http.make({"url": server.url})()
    assert str(status) in str(failed.value)
    assert "hunter2" not in str(failed.value)
    assert len(server.asked) == 1  # a redirect is not followed: headers are for one host


def test_headers_are_sent_with_their_secrets(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resolved when it is made."""
    monkeypatch.setenv("QUEUE_TOKEN", "Bearer hunter2")
    http.make({"url": server.url, "headers": {"Authorization": "env:QUEUE_TOKEN"}})()
    assert server.asked[0]["authorization"] == "Bearer hunter2"


def test_a_page_that_hangs_is_an_error(server: Server) -> None:
    """After its timeout."""
    server.gate = threading.Event()
    with pytest.raises(ProbeError, match="no answer within"):
        http.make({"url": server.url, "timeout": 0.2})()


def test_a_server_that_is_not_there_is_an_error(server: Server) -> None:
    """Without its URL."""
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ProbeError, match=r"127.0.0.1 cannot be asked \(Connection refused\)"):
        http.make({"url": server.url})()


# --- the command target -------------------------------------------------------------------------


def target(tmp_path: Path, get: str, set_: str = "exit 1", **more: object) -> Any:
    words = {"get": ["/bin/sh", "-c", get], "set": ["/bin/sh", "-c", set_, "set"]}
    return command_target.make({**words, **more})


def test_a_command_sets_what_another_tells(tmp_path: Path) -> None:
    """The number is its last word and in LIFELINE_WORKERS."""
    file = tmp_path / "workers"
    file.write_text("3\n")
    made = target(tmp_path, f"cat {file}", f'test "$1" = "$LIFELINE_WORKERS" && echo $1 >{file}')
    assert made.read() == 3
    made.write(12)
    assert made.read() == 12


@pytest.mark.parametrize("get", ["echo", "echo three", "echo -1", "echo 1.5", "exit 3", "echo 3 4"])
def test_a_command_that_tells_no_number_is_an_error(tmp_path: Path, get: str) -> None:
    """So nothing is written."""
    with pytest.raises(TargetError):
        target(tmp_path, get).read()


def test_a_command_that_cannot_set_is_an_error(tmp_path: Path) -> None:
    """With its exit code, and no longer than the scaler allows."""
    made = target(tmp_path, "echo 1", "exit 9")
    with pytest.raises(TargetError, match="sh failed with exit code 9"):
        made.write(2)
    slow = target(tmp_path, "sleep 600")
    slow.timeout = 0.2
    with pytest.raises(TargetError, match=r"no answer within 0\.2 s"):
        slow.read()
