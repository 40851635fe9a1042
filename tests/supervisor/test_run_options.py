"""Wrong use of `lifeline run`: exit 2, one line, and nothing has been started, ended or made."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from lifeline.cli.app import app
from lifeline.options import _CONVERT, _FLAGS, RunOptions, parse_run
from lifeline.processes.election import SETTLE
from support.lifelines import LIFELINE, run, tick
from support.scripts import happened, shell
from support.spawning import Spawner, alive
from support.waiting import eventually

BAD_DURATIONS = ["", "x", "-1", "1x", "5 m", "1.2.3s", ".", "1h2", "s", "٣s", "1e3", "inf", "nan"]
BAD_DURATIONS += ["101y", "1m-1s", "1h 30"]
BAD_SIZES = ["", "x", "-1", "0", "0.4", "1.2.3M", "10XB", "M", ".", "٣", "1e6", "9" * 400]
NO_DURATION_IS_NONE = ["timeout", "ping-every", "heartbeat-timeout"]


def cases() -> list[tuple[list[str], str]]:
    """Options, and a part of what is said about them."""
    found: list[tuple[list[str], str]] = []
    for name in ("settle", "grace", "timeout", "jitter"):
        found += [([f"--{name}={text}"], "is not a duration") for text in BAD_DURATIONS]
        found += [([f"--{name}", text], "a hundred years") for text in ("9" * 400, "40000d")]
    together = {"ping-every": ["--ping", "http://h/"], "heartbeat-timeout": ["--heartbeat", "beat"]}
    for name, others in together.items():
        found += [([f"--{name}=x", *others], "duration")]
    for name in NO_DURATION_IS_NONE:
        found += [([f"--{name}=0", *together.get(name, [])], "more than nothing")]
    for text in BAD_SIZES:
        found += [([f"--max-memory={text}"], "--max-memory")]
        found += [(["--log=log", f"--log-size={text}"], "--log-size")]
    for text in ("x", "-1", "256", "1.5", "", "0x1", "٣", "0000000000000999"):
        found += [([f"--exit-code-if-running={text}"], "number from 0 to 255")]
    for text in ("x", "-1", "1001", ""):
        found += [(["--log=log", f"--log-keep={text}"], "number from 0 to 1000")]
    for text in ("x", "1s..", "..1s", "0s..1s", "2s..1s", "1s...2s", "1s-2s", ""):
        found += [([f"--backoff={text}", "--restart=always"], "")]
    found += [
        (["--restart=sometimes"], "never, on-failure, always"),
        (["--restart", "Always"], "never, on-failure, always"),
        (["--on-running=kill"], "skip, wait, replace"),
        (["--leftovers=keep"], "end, count"),
        (["--signal-to=all"], "group, main"),
        (["--log="], "cannot be empty"),
        (["--heartbeat=", "--heartbeat-timeout=1m"], "cannot be empty"),
        (["--on-start="], "cannot be empty"),
        (["--on-exit="], "cannot be empty"),
        # what does not go together
        (["--log-size=1M"], "--log-size needs --log"),
        (["--log-keep=1"], "--log-keep needs --log"),
        (["--ping-every=1m"], "--ping-every needs --ping"),
        (["--heartbeat=beat"], "--heartbeat needs --heartbeat-timeout"),
        (["--heartbeat-timeout=1m"], "--heartbeat-timeout needs --heartbeat"),
        (["--backoff=1s..2s"], "--backoff needs --restart"),
        (["--backoff=1s..2s", "--restart=never"], "--backoff needs --restart"),
        # how it is written
        (["--timeout"], "needs a value"),
        (["--quiet=yes"], "takes no value"),
        (["--no-quiet"], "no such option"),
        (["--time-out=1m"], "did you mean --timeout?"),
        (["--max_memory=1G"], "did you mean --max-memory?"),
        (["-t", "5"], "no such option"),
        (["stray"], "write two dashes before the command"),
    ]
    needs_runner = {
        "grace": "1s",
        "signal-to": "main",
        "timeout": "1s",
        "max-memory": "1G",
        "restart": "always",
        "log": "log",
        "ping": "http://h/",
        "on-start": ":",
        "on-exit": ":",
    }
    for name, value in needs_runner.items():
        found += [(["--exec", f"--{name}={value}"], "--exec leaves none")]
    for name in ("timestamps", "quiet"):
        found += [(["--exec", f"--{name}"], "--exec leaves none")]
    return found


def said(spawn: Spawner, directory: Path, *options: str, **how: Any) -> str:
    """The one line on stderr of a call that is wrong. Nothing may have come of it."""
    before = set(os.listdir(directory))
    job = [*shell(directory, ": >$0.ran")]
    ended = tick(spawn, *options, "--", *job, **how)
    assert ended.returncode == 2, (options, ended)
    assert ended.stdout == ""
    assert ended.stderr.startswith("lifeline: ")
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert set(os.listdir(directory)) - before <= {"job.sh"}
    return str(ended.stderr)


@pytest.mark.parametrize(("options", "part"), cases(), ids=lambda value: str(value)[:60])
def test_options_that_mean_nothing(options: list[str], part: str) -> None:
    """Each mistake is a usage error of one line, which says what would be right."""
    from lifeline.errors import UsageError

    with pytest.raises(UsageError) as told:
        parse_run([*options, "--", "true"])
    message = str(told.value)
    assert part in message
    assert len(message.splitlines()) == 1
    assert told.value.exit_code == 2


@pytest.mark.parametrize(
    "options",
    [
        ["--timeout=soon"],
        ["--max-memory", "much"],
        ["--log-keep=1"],
        ["--exec", "--quiet"],
        ["--ping", "nonsense"],
        ["--no-such-thing"],
    ],
)
def test_wrong_use_starts_nothing(spawn: Spawner, tmp_path: Path, options: list[str]) -> None:
    """Exit 2 and one line from the command itself; no job, no file, no state."""
    said(spawn, tmp_path, *options)


def test_without_a_command_it_says_how_to_write_one(spawn: Spawner) -> None:
    """`lifeline run` and `lifeline run --` are wrong use, and so is an empty word."""
    for words in ([], ["--"], ["--", ""], ["--quiet"]):
        ended = spawn.run(*run(*words))
        assert ended.returncode == 2
        assert len(ended.stderr.splitlines()) == 1


# --- the log's path ---------------------------------------------------------------------------


def test_a_log_that_is_a_directory(spawn: Spawner, tmp_path: Path) -> None:
    assert "Is a directory" in said(spawn, tmp_path, "--log", str(tmp_path))


def test_a_log_in_a_missing_directory(spawn: Spawner, tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "log")
    assert said(spawn, tmp_path, "--log", path) == (
        f"lifeline: --log {path}: No such file or directory\n"
    )


def test_a_log_below_a_file(spawn: Spawner, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in said(spawn, tmp_path, "--log", str(tmp_path / "file" / "log"))


def test_a_log_whose_name_is_too_long(spawn: Spawner, tmp_path: Path) -> None:
    assert "File name too long" in said(spawn, tmp_path, "--log", "x" * 300)


def test_a_log_that_is_a_fifo_nobody_reads(spawn: Spawner, tmp_path: Path) -> None:
    """It is told, and not waited for until somebody does."""
    os.mkfifo(tmp_path / "fifo")
    assert "No such device or address" in said(spawn, tmp_path, "--log", str(tmp_path / "fifo"))


@pytest.mark.needs("unprivileged")
def test_a_log_that_may_not_be_written(spawn: Spawner, tmp_path: Path) -> None:
    """Another user's directory is no place for a log."""
    import tempfile

    from support.lifelines import AS_NOBODY

    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        (Path(directory) / "closed").mkdir(mode=0o555)
        job = shell(Path(directory), ": >$0.ran")
        words = run("--log", f"{directory}/closed/log", "--", *job)
        state = {"LIFELINE_STATE_DIR": f"{directory}/state"}
        ended = spawn.run(*(AS_NOBODY if os.geteuid() == 0 else []), *words, env=state)
        assert ended.returncode == 2
        assert ended.stderr.endswith("closed/log: Permission denied\n")
        assert not os.path.exists(f"{directory}/job.sh.ran")


def test_a_bad_log_ends_nothing_that_runs(spawn: Spawner, tmp_path: Path) -> None:
    """`--on-running replace` with a mistake beside it leaves the running one alone."""
    job = shell(tmp_path, "echo $$ >$0.pid.new; mv $0.pid.new $0.pid; sleep 600")
    spawn(*run("--", *job))
    eventually((tmp_path / "job.sh.pid").exists, 60)
    words = ("--on-running", "replace", "--log", tmp_path / "missing" / "log", "--", *job)
    assert tick(spawn, *words).returncode == 2
    assert alive(int((tmp_path / "job.sh.pid").read_text()))
    assert [each["event"] for each in happened(spawn)] == ["start"]


# --- the ping's URL ---------------------------------------------------------------------------

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        f"{SECRET}",
        f"ftp://{SECRET}/",
        f"file:///{SECRET}",
        f"HTTP:{SECRET}",
        "http://",
        f"http:///{SECRET}",
        f"https://:80/{SECRET}",
        f"http://host:port/{SECRET}",
        f"http://host:99999/{SECRET}",
        f"http://host/{SECRET} {SECRET}",
        f"http://host/{SECRET}\n",
        f"http://host/{SECRET}ä",
        f"http://host/#{SECRET}",
    ],
)
def test_a_url_that_is_none_is_told_and_not_shown(spawn: Spawner, tmp_path: Path, url: str) -> None:
    """The message says what is wrong, and nothing of the URL, which is a secret."""
    for value, env in ((url, {}), ("env:PING_URL", {"PING_URL": url})):
        message = said(spawn, tmp_path, "--ping", value, env=env)
        assert message.startswith("lifeline: --ping: the URL ")
        assert SECRET not in message


def test_a_variable_that_is_not_set(spawn: Spawner, tmp_path: Path) -> None:
    """`env:NAME` without a value, or without a name, is told by its name."""
    for value, env in (("env:NO_URL", {}), ("env:NO_URL", {"NO_URL": ""}), ("env:", {})):
        message = said(spawn, tmp_path, "--ping", value, env=env)
        assert f"variable '{value[4:]}' is not set" in message


def test_wrong_use_is_told_while_a_twin_runs(spawn: Spawner, tmp_path: Path) -> None:
    """A mistake in a crontab does not hide behind the run that is going on."""
    job = shell(tmp_path, ": >$0.ready; sleep 600")
    spawn(*run("--", *job))
    eventually((tmp_path / "job.sh.ready").exists, 60)
    for options in (["--timeout=soon"], ["--ping", "nonsense"], ["--log-keep=1"]):
        assert tick(spawn, *options, "--", *job).returncode == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "https://hc-ping.com/3a9c…".replace("…", "0"),
        "http://host:80/x:y?create=1",
        "http://[::1]/x",
        "http://[::1]:8000/x",
        "http://127.0.0.1:1",
    ],
)
def test_urls_that_are_some(url: str) -> None:
    """Anything that a monitor hands out is taken as it is."""
    assert parse_run(["--ping", url, "--", "true"]).ping == url


# --- help -------------------------------------------------------------------------------------


def documented() -> dict[str, Any]:
    """The options of `lifeline run --help-all`."""
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    return {
        option: parameter
        for parameter in command.params
        for option in parameter.opts
        if parameter.param_type_name == "option" and option not in ("--help", "-h", "--help-all")
    }


def test_help_and_parser_know_the_same_options() -> None:
    """Nothing is taken that is not in the help, nor shown that is not taken."""
    taken = {"--" + name.replace("_", "-") for name in {*_CONVERT, *_FLAGS}}
    assert set(documented()) == taken
    assert all(not parameter.secondary_opts for parameter in documented().values())
    flags = {option for option, parameter in documented().items() if parameter.is_flag}
    assert flags == {"--" + name for name in _FLAGS}


# The options that mean something also where they are not given.
DEFAULTS = {
    **{name: getattr(RunOptions, name) for name in (*_CONVERT, *_FLAGS) if name != "wait"},
    "settle": SETTLE,
}


@pytest.mark.parametrize("option", sorted(DEFAULTS))
def test_help_shows_the_defaults_that_count(option: str) -> None:
    """What the text names as default means the same as leaving the option out."""
    spelled = "--" + option.replace("_", "-")
    real = DEFAULTS[option]
    if real is None or real is False or real == {}:
        assert not documented()[spelled].default
    else:
        shown = re.search(r"Default: (\S+?)[.,]?(?= |$)", documented()[spelled].help)
        assert shown and _CONVERT[option](spelled, shown[1]) == real


def test_help_and_the_options_it_shows_can_be_used(spawn: Spawner, tmp_path: Path) -> None:
    """`--help` before the dashes is for lifeline, after them for the job."""
    ended = spawn.run(LIFELINE, "run", "--help-all")
    assert ended.returncode == 0
    assert all(option in ended.stdout for option in documented())
    job = shell(tmp_path, 'echo "$1"')
    assert tick(spawn, "--", *job, "--help").stdout == "--help\n"


def test_a_word_that_looks_like_help_is_still_a_value(spawn: Spawner, tmp_path: Path) -> None:
    """The long way round, through the help's own parser, defaults contradict nothing."""
    job = shell(tmp_path, "exit 6")
    assert tick(spawn, "--on-exit", "-h", "--", *job).returncode == 6
    ended = tick(spawn, "--exec", "--name", "-h", "--", *job)
    assert (ended.returncode, "does not begin with a dash" in ended.stderr) == (2, True)
