"""The small parts of a runner, each on its own."""

from __future__ import annotations

import json
import os
import random
import signal
import string
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline import clock, events, options, sizes
from lifeline.errors import UsageError
from lifeline.processes.identity import Identity, named
from lifeline.supervision import logfile, loop, output, restarts, runner, streams

# --- Loop -------------------------------------------------------------------------------------


@pytest.fixture
def turning() -> Iterator[loop.Loop]:
    """A loop that notes no signals; the test process gets its own handling back."""
    waiting = loop.Loop((), lambda _: None)
    yield waiting
    signal.set_wakeup_fd(-1)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            pass  # by the code under test


def test_a_descriptor_that_can_be_read_is_read_until_forgotten(
    turning: loop.Loop, pipe: tuple[int, int]
) -> None:
    """Each turn calls for what is there, and for nothing that is forgotten."""
    read, write = pipe
    seen: list[bytes] = []
    turning.watch(read, lambda: seen.append(os.read(read, 1)))
    os.write(write, b"abc")
    turning.turn()
    turning.turn()
    turning.forget(read)
    turning.forget(read)
    turning.after(0, lambda: None)
    turning.turn()
    assert seen == [b"a", b"b"]


def test_a_pipe_is_writable_until_it_is_full(turning: loop.Loop, pipe: tuple[int, int]) -> None:
    """`writable` waits for room, not for data."""
    _, write = pipe
    os.set_blocking(write, False)
    calls: list[int] = []
    turning.watch(write, lambda: calls.append(1), writable=True)
    turning.turn()
    assert calls == [1]
    try:
        while True:
            os.write(write, bytes(4096))
    except BlockingIOError:
        pass
    turning.after(0, lambda: None)
    turning.turn()
    assert calls == [1]


def test_timers_are_called_once_in_any_number_and_not_when_cancelled(turning: loop.Loop) -> None:
    """Due timers are called at the next turn; a cancelled one never, cancelled twice or not."""
    calls: list[str] = []
    turning.after(0, lambda: calls.append("a"))
    gone = turning.after(0, lambda: calls.append("never"))
    turning.after(3600, lambda: calls.append("later"))
    gone.cancel()
    gone.cancel()
    for _ in range(3):
        turning.after(0, lambda: calls.append("b"))
        turning.turn()
    assert calls == ["a", "b", "b", "b"]


def test_a_timer_that_is_set_again_in_its_call_leaves_others_their_turn(
    turning: loop.Loop, pipe: tuple[int, int]
) -> None:
    """A timer of no length does not hold the loop."""
    calls: list[int] = []

    def again() -> None:
        calls.append(1)
        turning.after(0, again)

    again()
    turning.turn()
    turning.turn()
    assert len(calls) == 3


@pytest.mark.parametrize("seconds", [86400 * 24, 86400 * 25, 86400 * 36525.0])
def test_the_longest_duration_can_be_waited_for(
    turning: loop.Loop, pipe: tuple[int, int], seconds: float
) -> None:
    """A hundred years are more milliseconds than poll(2) takes."""
    turning.after(seconds, lambda: None)
    calls: list[int] = []
    turning.watch(pipe[1], lambda: calls.append(1), writable=True)
    turning.turn()
    assert calls == [1]


def test_a_turn_lasts_until_its_timer_is_due(turning: loop.Loop) -> None:
    """One turn for one timer: neither does it come early, nor is the last millisecond spun away."""
    for delay in (0.0004, 0.001, 0.0107, 0.02):
        due = clock.boottime() + delay
        calls: list[float] = []
        turning.after(delay, lambda calls=calls: calls.append(clock.boottime()))  # type: ignore[misc]
        turning.turn()
        assert len(calls) == 1
        assert calls[0] >= due


def test_signals_come_in_their_order_and_none_is_lost() -> None:
    """What arrives between two turns is given on, one by one."""
    seen: list[int] = []
    numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        waiting = loop.Loop(numbers, seen.append)
        for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGALRM, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        while len(seen) < 4:
            waiting.turn()
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
    assert seen == [signal.SIGUSR2, signal.SIGUSR1, signal.SIGALRM, signal.SIGUSR1]


# --- Pump, Stamper, Tail ----------------------------------------------------------------------


class Kept:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(0, 2**32))
def test_stamps_do_not_depend_on_how_the_output_was_cut(pieces: list[bytes], seed: int) -> None:
    """Each line has one stamp, empty ones too, and without the stamps nothing has changed."""
    whole = b"".join(pieces)
    stamper = output.Stamper(lambda: b"> ")
    stamped = b"".join(stamper.feed(piece) for piece in pieces if piece)
    assert stamped == b"".join(b"> " + line for line in _lines(whole))


def _lines(data: bytes) -> list[bytes]:
    """By \\n only, ends kept."""
    parts = data.split(b"\n")
    lines = [part + b"\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines


@given(st.lists(st.binary(max_size=7000), max_size=12))
def test_a_tail_is_the_end_of_it_all(pieces: list[bytes]) -> None:
    """The last ten thousand bytes, or all if there were fewer."""
    tail = output.Tail()
    for piece in pieces:
        tail.write(piece)
    assert tail.content() == b"".join(pieces)[-10_000:]


def test_a_pump_gives_everything_to_its_sinks_and_closes_at_the_end(turning: loop.Loop) -> None:
    """What was in the pipe when the last writer left is still taken."""
    read, write = os.pipe()
    kept = Kept()
    pump = output.Pump(turning, read, [kept])
    data = random.Random(5).randbytes(60_000)
    os.write(write, data)
    os.close(write)
    pump.drain()
    assert kept.data == data
    assert not pump.is_open
    with pytest.raises(OSError):
        os.fstat(read)


def test_a_pump_does_not_wait_for_a_stranger_that_holds_its_pipe(turning: loop.Loop) -> None:
    """Once the job is gone, what somebody else could still write is not waited for."""
    read, write = os.pipe()
    kept = Kept()
    pump = output.Pump(turning, read, [kept])
    os.write(write, b"last words")
    pump.drain()
    os.close(write)
    assert (kept.data, pump.is_open) == (b"last words", False)


def test_a_pump_reads_nothing_on_while_its_outlet_is_full(turning: loop.Loop) -> None:
    """One chunk at a time is in memory; the rest stays in the pipe, and its writer waits."""
    read, write = os.pipe()
    reader, outlet = os.pipe()
    os.set_blocking(write, False)
    pump = output.Pump(turning, read, [], outlet)
    data = random.Random(6).randbytes(400_000)
    sent = 0
    for _ in range(200):  # nobody reads
        try:
            sent += os.write(write, data[sent : sent + 4096])
        except BlockingIOError:
            pass
        turning.after(0, lambda: None)
        turning.turn()
    assert sent <= 3 * 65536
    got = b""
    while len(got) < len(data):
        if sent < len(data):
            try:
                sent += os.write(write, data[sent : sent + 4096])
            except BlockingIOError:
                pass
        turning.after(0, lambda: None)
        turning.turn()
        os.set_blocking(reader, False)
        try:
            got += os.read(reader, 65536)
        except BlockingIOError:
            pass
    assert got == data
    pump.close()
    pump.close()
    for fd in (write, reader, outlet):
        os.close(fd)


def test_a_pump_closes_its_pipe_when_the_reader_has_left(turning: loop.Loop) -> None:
    """So that the job is told by the kernel, as it would have been."""
    read, write = os.pipe()
    reader, outlet = os.pipe()
    os.close(reader)
    pump = output.Pump(turning, read, [], outlet)
    os.write(write, b"x")
    while pump.is_open:
        turning.turn()
    with pytest.raises(BrokenPipeError):
        os.write(write, b"y")
    os.close(write)
    os.close(outlet)


# --- Spool ------------------------------------------------------------------------------------


def test_a_spool_gives_back_what_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the beginning, and only once; its file has no name at any time."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    spool = output.Spool()
    spool.write(b"one\n")
    spool.write(b"two\n")
    assert os.listdir(tmp_path) == []
    fd = spool.taken()
    assert fd is not None
    with open(fd, "rb") as file:
        assert file.read() == b"one\ntwo\n"
    assert spool.taken() is None


# --- LogFile ----------------------------------------------------------------------------------


@given(
    st.lists(st.text(alphabet="ab\n", max_size=60), max_size=30),
    st.integers(1, 50),
    st.integers(1, 40),
)
def test_a_log_file_holds_what_it_was_given_in_order(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], limit: int, start: int
) -> None:
    """Whatever sizes come: nothing lost, nothing doubled, no file beyond twice its limit."""
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_text("x" * (start - 1) + "\n")
    log = logfile.LogFile(os.fsencode(path), limit, 1000)
    for piece in pieces:
        log.write(piece.encode())
    log.close()
    older = sorted(path.parent.glob("log.*"), key=lambda each: -int(each.suffix[1:]))
    contents = [each.read_text() for each in [*older, path]]
    whole = "x" * (start - 1) + "\n" + "".join(pieces)
    assert "".join(contents) == whole
    for content in contents[1:]:
        assert len(content) <= 2 * limit
    for content in contents[:-1]:  # where a file ends a line ends, unless that alone filled it
        assert content.endswith("\n") or len(content) == 2 * limit


# --- Backoff ----------------------------------------------------------------------------------


@given(
    st.floats(0.001, 1000),
    st.floats(1, 1000),
    st.lists(st.tuples(st.floats(0, 200), st.floats(0, 1, exclude_max=True)), max_size=200),
)
def test_delays_double_up_to_the_longest_and_begin_again_after_a_healthy_run(
    first: float, times: float, runs: list[tuple[float, float]]
) -> None:
    """For ever, shortened by chance by a quarter at most; a minute's run resets it."""
    longest = first * times
    backoff = restarts.Backoff(first, longest)
    failures = 0
    for ran, chance in runs:
        failures = 0 if ran >= 60 else failures
        full = min(longest, first * 2.0**failures)
        assert full * 0.75 <= backoff.delay(ran, chance) <= full
        failures += 1


def test_chance_moves_a_delay_by_a_quarter() -> None:
    """Jobs that failed together do not start together."""
    assert restarts.Backoff(8, 8).delay(0, 0) == 8
    assert restarts.Backoff(8, 8).delay(0, 0.5) == 7


def test_thousands_of_failures_end_at_the_longest_delay() -> None:
    """There is no number too large and no state of having given up."""
    backoff = restarts.Backoff(1, 60)
    assert [backoff.delay(0, 0) for _ in range(5000)][-1] == 60


@pytest.mark.parametrize(
    ("policy", "code", "wanted"),
    [
        ("never", 0, False),
        ("never", 1, False),
        ("on-failure", 0, False),
        ("on-failure", 1, True),
        ("on-failure", 143, True),
        ("always", 0, True),
        ("always", 1, True),
    ],
)
def test_what_is_started_again(policy: str, code: int, wanted: bool) -> None:
    """Never, after a failure, or always."""
    assert restarts.is_wanted(policy, code) is wanted


# --- sizes and options ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("500000", 500_000),
        ("1b", 1),
        ("10MB", 10_000_000),
        ("10mb", 10_000_000),
        ("10M", 10_000_000),
        ("64MiB", 64 * 1024**2),
        ("64mib", 64 * 1024**2),
        ("1.5G", 1_500_000_000),
        ("2 GiB", 2 * 1024**3),
        ("0.5k", 500),
        (".5k", 500),
        ("1T", 10**12),
        ("1TiB", 1024**4),
    ],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    """Powers of a thousand, or of 1024 with an i."""
    assert sizes.parse_size("--size", text) == size


@given(st.text(max_size=30))
def test_any_text_is_a_size_or_wrong_use(text: str) -> None:
    """Nothing else comes out than a number of bytes or one line about the option."""
    try:
        assert sizes.parse_size("--size", text) > 0
    except UsageError as error:
        assert str(error).startswith("--size")


@given(st.lists(st.text(string.ascii_letters + "-=. 0123456789", max_size=20), max_size=6))
def test_any_words_are_options_or_wrong_use(words: list[str]) -> None:
    """The parser of `lifeline run` raises nothing but UsageError."""
    try:
        options.parse_run([*words, "--", "true"])
    except UsageError as error:
        assert len(str(error).splitlines()) == 1


# --- events -----------------------------------------------------------------------------------

Facts = st.dictionaries(
    st.text(max_size=20),
    st.one_of(
        st.text(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.none(),
    ),
    max_size=6,
)


@given(Facts)
def test_an_event_is_one_line_of_json(facts: dict[str, str | int | float | None]) -> None:
    """What json.loads reads back is what was told, without what is None."""
    line = events.encode(facts)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert line.isascii()
    assert json.loads(line) == {key: value for key, value in facts.items() if value is not None}


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=5))
def test_any_command_has_a_title_that_can_be_written(words: list[bytes]) -> None:
    """Bytes that are no text, control characters and surrogates included."""
    for identity in (Identity((b"run", *words)), named(words[0])):
        line = events.encode(events.title(identity))
        assert json.loads(line) == events.title(identity)


def test_commands_that_differ_in_their_words_have_different_titles() -> None:
    """`"a b" c` is not `a "b c"` in the history either."""
    one = events.title(Identity((b"run", b"/x", b"a b", b"c")))
    two = events.title(Identity((b"run", b"/x", b"a", b"b c")))
    assert one != two


# --- small things -----------------------------------------------------------------------------


def test_run_ids_are_random_uuids() -> None:
    """Version 4, variant 1 (RFC 9562), and no two the same."""
    import uuid

    found = [runner.new_run_id() for _ in range(1000)]
    parsed = [uuid.UUID(each) for each in found]
    assert all(each.version == 4 and each.variant == uuid.RFC_4122 for each in parsed)
    assert [str(each) for each in parsed] == found
    assert len(set(found)) == 1000


def test_everything_is_written_to_a_pipe_that_does_not_block() -> None:
    """Where somebody else has made it so, a full pipe is waited for."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    data = random.Random(7).randbytes(300_000)
    got: list[bytes] = []

    def take() -> None:
        with open(read, "rb") as file:
            got.append(file.read())

    at_first = os.write(write, data)  # it is full now, and will be for a while
    reader = threading.Timer(0.1, take)
    reader.start()
    streams.write_all(write, data[at_first:])
    os.close(write)
    reader.join()
    assert got == [data]


def test_writing_to_what_is_broken_is_no_error() -> None:
    """A closed descriptor, a pipe without a reader, a full device: nothing to fail for."""
    read, write = os.pipe()
    os.close(read)
    streams.write_all(write, b"text")
    os.close(write)
    streams.write_all(write, b"text")
    full = os.open("/dev/full", os.O_WRONLY)
    streams.write_all(full, b"text")
    os.close(full)
