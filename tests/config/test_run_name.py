"""`lifeline run NAME`: the command of a file, for real."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from support.configs import Write
from support.lifelines import (
    LIFELINE,
    Work,
    changed,
    gate,
    has_exec,
    lifeline,
    run,
    tick,
)
from support.stage import Stage, assert_one_line
from support.waiting import eventually


def config(stage: Stage, write: Write, command: str, *lines: str, name: str = "") -> Path:
    """A lifeline.toml with one lifeline, called as nothing else is."""
    table = f"[lifeline.{name or stage.name}]"
    return write("\n".join([table, f"command = {json.dumps(command)}", *lines, ""]))


def test_the_command_runs_in_its_directory_with_its_environment(stage: Stage, write: Write) -> None:
    """`cwd` is relative to the file, `env` wins over env_file, both over what was there."""
    (stage.directory / "app").mkdir()
    write("A=file\nB=file\n", "some.env")
    job = stage.shell('echo "$A $B $C $PWD"')
    config(stage, write, job, 'cwd = "app"', 'env_file = "some.env"', 'env = { B = "table" }')
    below = stage.directory / "below"
    below.mkdir()
    ended = tick(stage.spawn, stage.name, cwd=below, env={"A": "outside", "C": "outside"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"file table outside {stage.directory}/app\n"


def test_a_relative_command_is_relative_to_its_directory(stage: Stage, write: Write) -> None:
    """Wherever `lifeline` is started; so are the paths of options, to the file."""
    stage.shell("echo out")
    config(stage, write, f"./{stage.name}", 'log = "work.log"')
    ended = tick(stage.spawn, stage.name, "--config", stage.directory / "lifeline.toml", cwd="/")
    assert ended.returncode == 0, ended.stderr
    assert (stage.directory / "work.log").read_text() == "out\n"


def test_a_procfile_line_runs(stage: Stage, write: Write) -> None:
    """Through a shell, as its authors expect."""
    write("web: cd / && echo $PWD $PORT; exit 3\n", "Procfile")
    ended = tick(stage.spawn, "web", env={"PORT": "80"})
    assert (ended.returncode, ended.stdout) == (3, "/ 80\n")


@pytest.mark.parametrize("renamed", [False, True])
def test_of_many_starters_at_once_exactly_one_runs(
    stage: Stage, write: Write, renamed: bool, tmp_path: Path
) -> None:
    """With both spellings of the name among them, whichever of the two the file gives."""
    work = Work(stage.directory / "work")
    name, called = (f"{stage.name}-key", stage.name) if renamed else (stage.name, stage.name)
    words = f"{work.argv[0]} {work.argv[1]}"
    config(stage, write, words, f'name = "{called}"', name=name)
    environment, opened = gate(tmp_path / "gate")
    refuse = "--exit-code-if-running=9"
    starters = [
        stage.spawn(*run(*each), env=environment)
        for each in (
            [name, refuse],
            [name, refuse],
            [name, "--quiet", refuse],
            ["--name", called, refuse, "--", *work.argv],
        )
    ]
    for each in starters:
        eventually(lambda pid=each.pid: has_exec(pid, "run"))  # type: ignore[misc]
    opened.touch()
    work.wait_for("start")
    eventually(lambda: [each.poll() for each in starters].count(None) == 1, within=120)
    work.check(starts=1)
    codes = Counter(each.poll() for each in starters)
    assert codes == Counter({9: 3, None: 1})


@pytest.mark.parametrize("renamed", [False, True])
def test_the_name_shows_on_the_command_line(stage: Stage, write: Write, renamed: bool) -> None:
    """It is how others recognise the process if its record is lost, wherever `run` stands."""
    key = "key" if renamed else stage.name
    config(stage, write, stage.sleeper(), f'name = "{stage.name}"', name=key)
    started = stage.start(key)
    shown = Path(f"/proc/{started.pid}/cmdline").read_bytes().split(b"\0")
    assert stage.name.encode() in shown
    for record in (stage.directory / "state" / "runs").iterdir():
        record.unlink()
    for words in (
        ["run", key, "--exit-code-if-running", "9"],
        ["--config", "lifeline.toml", "run", key, "--exit-code-if-running=9"],
        ["run", "--name", stage.name, "--exit-code-if-running=9", "--", "true"],
    ):
        assert lifeline(stage.spawn, *words).returncode == 9


def test_a_lifeline_whose_call_does_not_begin_with_run_shows_its_name(
    stage: Stage, write: Write
) -> None:
    """It starts itself anew with words that do."""
    config(stage, write, stage.sleeper())
    started = stage.running(LIFELINE, "--config=lifeline.toml", "run", stage.name)
    shown = Path(f"/proc/{started.pid}/cmdline").read_bytes().split(b"\0")
    assert shown[shown.index(b"run") + 1] == stage.name.encode()
    assert shown[shown.index(b"run") - 1].endswith(b"/lifeline")


@pytest.mark.parametrize(
    "call",
    [
        (LIFELINE, "--config", "lifeline.toml", "run"),
        (LIFELINE, "--config=lifeline.toml", "run", "--config=lifeline.toml"),
        (sys.executable, "-m", "lifeline", "--config", "lifeline.toml", "run", "--quiet"),
    ],
    ids=["before run", "twice", "module"],
)
def test_of_many_starters_of_a_command_exactly_one_runs(
    stage: Stage, tmp_path: Path, call: tuple[str, ...]
) -> None:
    """Also if their call does not begin with `run`, which is what a runner is recognised by."""
    work = Work(tmp_path / "work")
    environment, opened = gate(tmp_path / "gate")
    words = [*call, "--exit-code-if-running=9", "--", *work.argv]
    starters = [stage.spawn(*words, env=environment) for _ in range(6)]
    for each in starters:
        eventually(lambda pid=each.pid: has_exec(pid, "run"))  # type: ignore[misc]
    opened.touch()
    work.wait_for("start")
    eventually(lambda: [each.poll() for each in starters].count(None) == 1, within=120)
    assert Counter(each.poll() for each in starters) == Counter({9: 5, None: 1})
    work.check(starts=1)


@pytest.mark.parametrize("name", ["key", "same"])
def test_other_verbs_know_the_names_of_the_file(stage: Stage, write: Write, name: str) -> None:
    """status, explain, hold, release, history and terminate mean the same lifeline."""
    called = f"{stage.name}-called" if name == "key" else stage.name
    key = name if name == "key" else stage.name
    config(stage, write, stage.sleeper(), f'name = "{called}"', name=key)
    started = stage.start(key)
    for verb in ("status", "explain", "history"):
        told = lifeline(stage.spawn, verb, key)
        assert told.returncode == 0, told.stderr
        assert called in told.stdout or str(started.pid) in told.stdout
    assert called in lifeline(stage.spawn, "hold", key).stdout
    ended = lifeline(stage.spawn, "terminate", key)
    assert f"ended pid {started.pid}" in ended.stdout
    assert started.wait(120) == 128 + signal.SIGTERM
    assert "held; not started" in tick(stage.spawn, key).stderr
    assert called in lifeline(stage.spawn, "release", key).stdout


def test_terminate_takes_the_grace_of_the_file(stage: Stage, write: Write) -> None:
    """A job that would be done before the usual ten seconds is killed at once."""
    job = stage.shell(
        "trap 'sleep 8 && touch cleaned; exit' TERM; "
        f"echo $$ >{stage.started}; "
        "while :; do sleep 0.1; done"
    )
    config(stage, write, job, 'grace = "0s"')
    started = stage.start(stage.name, "--grace", "1h")
    ended = lifeline(stage.spawn, "terminate", stage.name)
    assert ended.returncode == 0, ended.stderr
    assert started.wait(120) != 0
    assert not (stage.directory / "cleaned").exists()


def test_options_come_from_line_environment_file_default(stage: Stage, write: Write) -> None:
    """In this order; the exit code of a time limit tells which one held."""
    config(stage, write, stage.sleeper(), 'timeout = "1h"', 'grace = "0s"')
    assert tick(stage.spawn, stage.name, env={"LIFELINE_TIMEOUT": "10ms"}).returncode == 124
    ended = tick(stage.spawn, stage.name, "--timeout=10ms", env={"LIFELINE_TIMEOUT": "1h"})
    assert ended.returncode == 124


def test_a_secret_of_the_env_file_reaches_an_option(stage: Stage, write: Write) -> None:
    """`env:NAME` is looked for where the job would find it; else the option is told of."""
    config(stage, write, stage.shell("exit 4"), 'ping = "env:PING"', 'env_file = "e"')
    write("PING=http://127.0.0.1:9/\n", "e")
    assert tick(stage.spawn, stage.name).returncode == 4
    write("", "e")
    ended = tick(stage.spawn, stage.name)
    assert ended.returncode == 2
    assert_one_line(ended, "lifeline.toml:3: ping: the environment variable 'PING' is not set")


WRONG = [
    (["nobody"], 2, "no lifeline called 'nobody' in ", "; there are JOB"),
    (["--quiet", "JOB"], 2, "the name comes first: lifeline run JOB --quiet", ""),
    (["JOB", "--exce"], 2, "no such option: --exce, did you mean --exec?", ""),
    (["JOB", "more"], 2, "unexpected 'more'", ""),
    (["JOB", "--config"], 2, "--config needs a value", ""),
    (["JOB", "--config", "gone"], 75, "--config: there is no gone", ""),
    (["JOB", "--config=."], 75, "cannot be read (Is a directory)", ""),
    (["JOB", "--", "x"], 2, "unexpected 'JOB'", ""),
]


@pytest.mark.parametrize(("words", "code", "first", "second"), WRONG)
def test_a_wrong_call_is_one_line(
    stage: Stage, write: Write, words: list[str], code: int, first: str, second: str
) -> None:
    """It names what there is, and starts nothing."""
    config(stage, write, stage.sleeper())
    words, first, second = (
        [word.replace("JOB", stage.name) for word in words],
        first.replace("JOB", stage.name),
        second.replace("JOB", stage.name),
    )
    ended = tick(stage.spawn, *words)
    assert ended.returncode == code
    assert_one_line(ended, first, second)
    assert not stage.started.exists()


@pytest.mark.parametrize(
    ("lines", "code", "message"),
    [
        (['grcae = "1s"'], 2, "lifeline.toml:3: no such key: grcae; did you mean grace?"),
        (['cwd = "gone"'], 75, "/gone: No such file or directory"),
        (['env_file = "gone"'], 75, "cannot be read (No such file or directory)"),
        (['env_file = "circle"'], 2, "lifeline.toml:3: JOB: env_file: it goes round in a circle"),
        (['env = { LIFELINE_LOCK = "file:" }'], 2, "write lock = … in the lifeline's table"),
        (["exec = true", 'timeout = "1h"'], 2, "--timeout needs a runner"),
        (["["], 2, "lifeline.toml:3: "),
    ],
)
def test_a_wrong_file_is_one_line(
    stage: Stage, write: Write, lines: list[str], code: int, message: str
) -> None:
    """With its line; nothing is started."""
    write("include circle\n", "circle")
    config(stage, write, stage.sleeper(), *lines)
    ended = tick(stage.spawn, stage.name)
    assert ended.returncode == code
    assert_one_line(ended, message.replace("JOB", stage.name))
    assert not stage.started.exists()
    assert not (stage.directory / "state").exists()


def test_a_mistake_in_another_lifeline_keeps_nobody_from_running(
    stage: Stage, write: Write
) -> None:
    """Each is looked at when it is run; `config check` looks at all."""
    write(f'[lifeline.bad]\nnonsense = 1\n[lifeline.good]\ncommand = "{stage.shell("exit 5")}"\n')
    assert tick(stage.spawn, "good").returncode == 5


def test_a_command_after_the_dashes_reads_no_configuration(
    stage: Stage, write: Write, tmp_path: Path
) -> None:
    """The tick opens no file of ours, and a broken one does not matter to it."""
    write("nonsense [\n")
    job = stage.shell("exit 6")
    code = (
        "import sys\n"
        "def see(event, args):\n"
        "    if event in ('open', 'os.listdir', 'import') and 'toml' in repr(args):\n"
        "        sys.stderr.write(f'{event} {args}')\n"
        "sys.addaudithook(see)\n"
        "from lifeline.__main__ import main\n"
        "code = main(sys.argv[1:])\n"
        "assert not any('config' in name for name in sys.modules if 'lifeline' in name)\n"
        "sys.exit(code)\n"
    )
    ended = stage.spawn.run(*changed(tmp_path, code, "run", "--", job))
    assert (ended.returncode, ended.stderr) == (6, "")


def test_a_tick_that_finds_its_twins_record_does_not_parse_the_file(
    stage: Stage, write: Write
) -> None:
    """The parser costs more than a bare interpreter. The tick is in the history all the same."""
    config(stage, write, stage.sleeper())
    stage.start(stage.name)
    code = (
        "import sys\nfrom lifeline.__main__ import main\ncode = main(sys.argv[1:])\n"
        "assert not {'tomllib', 'tomli', 're'} & set(sys.modules), sys.modules\nsys.exit(code)\n"
    )
    python = Path(LIFELINE).with_name("python")
    ended = stage.spawn.run(
        python, "-S", "-c", code, "run", stage.name, env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    told = lifeline(stage.spawn, "history", "--all", "--json", stage.name).stdout.splitlines()
    assert json.loads(told[-1])["event"] == "stand-down"


@pytest.mark.parametrize(
    ("lines", "environment", "code"),
    [
        (["exit_code_if_running = 9"], {}, 9),
        (["exit-code-if-running = 9"], {}, 9),
        (['"exit\\u005fcode_if_running" = 9'], {}, 9),
        ([], {"LIFELINE_EXIT_CODE_IF_RUNNING": "9"}, 9),
        (["exit_code_if_running = 9"], {"LIFELINE_EXIT_CODE_IF_RUNNING": "7"}, 7),
    ],
)
def test_what_decides_how_a_tick_ends_is_not_overlooked(
    stage: Stage, write: Write, lines: list[str], environment: dict[str, str], code: int
) -> None:
    """However it is spelled, and wherever it is."""
    config(stage, write, stage.sleeper(), *lines)
    stage.start(stage.name)
    assert tick(stage.spawn, stage.name, env=environment).returncode == code


def test_the_shell_completes_names(stage: Stage, write: Write) -> None:
    """Those of the file that begin so; a file that is wrong is no name and no noise."""
    write('[lifeline.mailer]\ncommand = "x"\n[lifeline.mover]\n[lifeline.web]\n')

    def completed(*words: str) -> set[str]:
        environment = {
            "_LIFELINE_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(["lifeline", *words]),
            "COMP_CWORD": str(len(words)),
        }
        ended = lifeline(stage.spawn, env=environment)
        assert ended.stderr == ""
        return set(ended.stdout.split())

    for verb in ("run", "status", "terminate", "explain", "hold", "release", "history"):
        assert completed(verb, "m") == {"mailer", "mover"}, verb
    assert completed("config", "show", "w") == {"web"}
    assert completed("export", "systemd", "w") == {"web"}
    os.rename(stage.directory / "lifeline.toml", stage.directory / "other.toml")
    assert completed("status", "m") == set()
    assert completed("--config", "other.toml", "status", "w") == {"web"}
    write("nonsense [")
    assert completed("status", "m") == set()
