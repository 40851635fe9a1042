"""`lifeline cron`: one block in a crontab, with the real crontab program."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from lifeline import cron
from lifeline.errors import CannotTell
from support.crontabs import Crontabs
from support.lifelines import AS_NOBODY, LIFELINE, lifeline
from support.spawning import Spawner
from support.stage import Stage, assert_one_line

real = pytest.mark.needs("cron", "root", "unshare")

#: What a person has in a crontab: nothing of it is ours to tidy.
BY_HAND = (
    b'# m h  dom mon dow   command\n\nMAILTO=""\nPATH=/opt/bin:/usr/bin\n'
    b"  */5 * * * *   /opt/bin/job  --x  # odd   blanks\t\n# caf\xe9 \xff\r\n"
    b"@daily true\n\n\n"
)


@pytest.fixture
def tabs(spawn: Spawner, tmp_path: Path) -> Crontabs:
    return Crontabs(spawn, tmp_path)


def config(stage: Stage, *lines: str, name: str = "mailer") -> Path:
    path = stage.directory / "lifeline.toml"
    job = stage.shell("exit 0", "job")
    path.write_text("\n".join([f"[lifeline.{name}]", f'command = "{job}"', *lines, ""]))
    return path


def block(content: bytes) -> list[str]:
    """The lines of the block, markers included."""
    return cron.installed(content).decode().splitlines()


@real
@pytest.mark.parametrize("before", [b"", BY_HAND], ids=["none", "by hand"])
def test_install_and_remove_leave_the_rest_to_the_byte(
    stage: Stage, tabs: Crontabs, before: bytes
) -> None:
    """Also after a second install, and after one that changes the block."""
    if before:
        tabs.put(before)
    config(stage)
    done = tabs.lifeline("cron", "install")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the crontab has 1 line of lifeline now\n"
    first = tabs.content()
    assert first.startswith(before)
    assert len(block(first)) == 4

    done = tabs.lifeline("cron", "install")
    assert (done.returncode, done.stdout) == (0, "the crontab is as it should be\n")
    assert tabs.content() == first

    config(stage, 'every = "5m"')
    assert tabs.lifeline("cron", "install").returncode == 0
    assert tabs.content() == first.replace(b"\n* * * * * PATH", b"\n*/5 * * * * PATH")

    assert tabs.lifeline("cron", "remove").returncode == 0
    assert tabs.content() == before
    assert tabs.lifeline("cron", "remove").stdout == "the crontab is as it should be\n"


@real
def test_what_no_tick_would_have_is_told_of(stage: Stage, tabs: Crontabs) -> None:
    """A lock of this environment is left out with a word, a state directory is whole or refused."""
    config(stage)
    done = tabs.lifeline("cron", "install", "--dry-run", env={"LIFELINE_LOCK": "redis://:x@h"})
    assert done.returncode == 0
    assert done.stderr == (
        "lifeline: LIFELINE_LOCK is set here and will not be for cron: "
        "write it into the lifeline's table\n"
    )
    assert "LOCK" not in done.stdout
    done = tabs.lifeline("cron", "install", "--dry-run", env={"LIFELINE_STATE_DIR": "rel"})
    assert done.returncode == 75
    assert_one_line(done, "state directory rel is relative")


@real
def test_what_stands_below_the_block_stays_below_it(stage: Stage, tabs: Crontabs) -> None:
    """A block that is brought up to date stays where it is."""
    config(stage)
    tabs.lifeline("cron", "install")
    tabs.put(BY_HAND + tabs.content() + b"# below\n")
    config(stage, 'every = "1h"')
    assert tabs.lifeline("cron", "install").returncode == 0
    after = tabs.content()
    assert after.startswith(BY_HAND + b"# >>>")
    assert after.endswith(b"# <<< lifeline <<<\n# below\n")
    assert b"\n0 * * * * PATH" in after
    assert tabs.lifeline("cron", "remove", "--all").returncode == 0
    assert tabs.content() == BY_HAND + b"# below\n"


@real
def test_a_line_is_absolute_and_keeps_its_variables_to_itself(
    stage: Stage, tabs: Crontabs, state_dir: Path
) -> None:
    """No assignment of ours stands on a line of its own: it would hold for all lines below."""
    path = config(stage)
    tabs.lifeline("cron", "install")
    begin, source, line, end = block(tabs.content())
    assert (begin, end) == (cron.BEGIN.decode(), cron.END.decode())
    assert source == f"# from {path}"
    words = shlex.split(line)
    assert words[:5] == ["*"] * 5
    assert words[5].startswith(f"PATH={Path(LIFELINE).parent}:")
    assert words[5].endswith("/usr/bin:/sbin:/bin")
    assert words[6] == f"LIFELINE_STATE_DIR={state_dir}"
    assert words[7:] == [LIFELINE, "run", "mailer", "--config", str(path)]


@real
def test_its_line_works_in_crons_environment(stage: Stage, tabs: Crontabs) -> None:
    """Run as cron runs it, with names that shells and cron take for something else."""
    tools = stage.directory / "to ols"
    tools.mkdir()
    stage.script("#!/usr/bin/env interpreter\n", "to ols/tool")
    stage.script('#!/bin/sh\necho "$0" ran "$1" >"$OUT"\n', "to ols/interpreter")
    path = stage.directory / "50% & 'off'" / "lifeline.toml"
    path.parent.mkdir()
    path.write_text(
        f'[lifeline."a b%"]\ncommand = "tool x"\nenv = {{ OUT = "{stage.directory}/out" }}\n'
    )
    environment = {"PATH": f"{tools}:{os.environ['PATH']}"}
    done = tabs.lifeline("cron", "install", "--config", str(path), env=environment)
    assert done.returncode == 0, done.stderr
    line = block(tabs.content())[2].split(" ", 5)[5]
    assert "%" not in line.replace(r"\%", "")
    done = stage.spawn.run("env", "-i", "/bin/sh", "-c", line.replace(r"\%", "%"), cwd="/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (stage.directory / "out").read_text().startswith(f"{tools}/interpreter ran")


@real
def test_a_dry_run_shows_the_change_and_makes_none(stage: Stage, tabs: Crontabs) -> None:
    """As a diff; nothing if there is nothing to change."""
    tabs.put(BY_HAND)
    config(stage)
    done = tabs.lifeline("cron", "install", "--dry-run")
    assert done.returncode == 0
    added = [line[1:] for line in done.stdout.splitlines() if line.startswith("+")]
    assert added[0] == "++ crontab (new)"
    assert tabs.content() == BY_HAND
    tabs.lifeline("cron", "install")
    assert added[1:] == block(tabs.content())
    assert tabs.lifeline("cron", "install", "--dry-run").stdout == ""
    done = tabs.lifeline("cron", "remove", "--dry-run")
    removed = [line[1:] for line in done.stdout.splitlines() if line.startswith("-")]
    assert removed[1:] == block(tabs.content())


@real
def test_two_files_share_the_block(stage: Stage, tabs: Crontabs) -> None:
    """Each install and remove changes what is from its own file."""
    other = stage.directory / "other" / "Procfile"
    other.parent.mkdir()
    other.write_text("web: sleep 60\nclock: sleep 60\n")
    config(stage)
    tabs.lifeline("cron", "install")
    done = tabs.lifeline("cron", "install", "--config", str(other))
    assert done.stdout == "the crontab has 3 lines of lifeline now\n"
    assert len(block(tabs.content())) == 7
    shown = tabs.lifeline("cron", "show")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == block(tabs.content())
    tabs.lifeline("cron", "remove")
    assert [line for line in block(tabs.content()) if line.startswith("# from")] == [
        f"# from {other}"
    ]


@real
def test_the_lines_of_a_file_that_is_gone_can_be_removed(stage: Stage, tabs: Crontabs) -> None:
    """Whoever deletes the project first names its file; those of other files stay."""
    gone = config(stage).rename(stage.directory / "Gone.toml")
    assert tabs.lifeline("cron", "install", "--config", str(gone)).returncode == 0
    config(stage, name="stays")
    assert tabs.lifeline("cron", "install").returncode == 0
    gone.unlink()
    done = tabs.lifeline("cron", "remove", "--config", str(gone))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the crontab has 1 line of lifeline now\n"
    assert " run stays " in block(tabs.content())[2]


@real
def test_two_installs_at_once_lose_nothing(stage: Stage, tabs: Crontabs) -> None:
    """A change is read, made and written: others wait for it."""
    started = []
    for number in range(6):
        path = stage.directory / f"app{number}" / "Procfile"
        path.parent.mkdir()
        path.write_text("web: sleep 60\n")
        words = tabs.inside(LIFELINE, "cron", "install", "--config", str(path))
        started.append(stage.spawn(*words))
    assert [each.wait(120) for each in started] == [0] * 6
    assert len(block(tabs.content())) == 2 + 2 * 6


@real
def test_show_says_when_the_file_has_changed_since(stage: Stage, tabs: Crontabs) -> None:
    """And, with exit code 3, that nothing is installed."""
    config(stage)
    done = tabs.lifeline("cron", "show")
    assert (done.returncode, done.stdout) == (3, "")
    assert_one_line(done, "nothing is installed")
    tabs.lifeline("cron", "install")
    config(stage, 'every = "5m"')
    done = tabs.lifeline("cron", "show")
    assert done.returncode == 0
    assert "says otherwise by now: lifeline cron install" in done.stderr


@real
@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['every = "7m"'], "no part of an hour"),
        (["nonsense = 1"], "no such key: nonsense"),
        (['cwd = "gone"'], "there is no"),
        (["cron = false"], "has no lifeline for cron"),
        (["[lifeline.b]", 'command = "no-such-program-here"'], "b: there is no program no-such"),
        (["[lifeline.b]", 'command = "true"', 'name = "mailer"'], "two lifelines called 'mailer'"),
    ],
)
def test_half_of_a_configuration_is_not_installed(
    stage: Stage, tabs: Crontabs, lines: list[str], message: str
) -> None:
    """One mistake, one line, exit code 2, the crontab as it was."""
    tabs.put(BY_HAND)
    config(stage, *lines)
    done = tabs.lifeline("cron", "install")
    assert done.returncode == 2
    assert_one_line(done, message)
    assert tabs.content() == BY_HAND


@real
@pytest.mark.parametrize(
    "lines",
    [
        [cron.BEGIN],
        [cron.END],
        [cron.END, cron.BEGIN],
        [cron.BEGIN, cron.END, cron.BEGIN, cron.END],
    ],
    ids=["no end", "no begin", "turned round", "two"],
)
def test_marker_lines_that_do_not_match_are_not_guessed_at(
    stage: Stage, tabs: Crontabs, lines: list[bytes]
) -> None:
    """What is between them could be somebody's own."""
    content = b"".join(line + b"\n* * * * * true\n" for line in lines)
    tabs.put(content)
    config(stage)
    for words in (["install"], ["remove"], ["show"], ["remove", "--all"]):
        done = tabs.lifeline("cron", *words)
        assert done.returncode == 75
        assert_one_line(done, "marker lines do not match")
    assert tabs.content() == content


@real
def test_a_crontab_that_cannot_be_read_is_told(stage: Stage, tabs: Crontabs) -> None:
    """In the words of the program itself, exit code 75; it is not taken for an empty one."""
    (stage.directory / "lifeline.toml").write_text('[lifeline.a]\ncommand = "sleep 60"\n')
    assert tabs.run("chmod", "0", "/var/spool/cron/crontabs").returncode == 0
    for words in (["show"], ["install", "--dry-run"], ["remove", "--dry-run"]):
        done = tabs.run(*AS_NOBODY, LIFELINE, "cron", *words)
        assert done.returncode == 75
        assert_one_line(done, "the crontab cannot be read: ", "Permission denied")


@real
def test_a_crontab_that_cannot_be_written_stays_as_it_was(stage: Stage, tabs: Crontabs) -> None:
    """The spool is full: one line, exit code 75."""
    tabs.put(BY_HAND)
    config(stage)
    done = tabs.run("mount", "-o", "remount,ro", "/var/spool/cron")
    assert done.returncode == 0, done.stderr
    done = tabs.lifeline("cron", "install")
    assert done.returncode == 75
    assert_one_line(done, "the crontab was not changed: ")
    assert tabs.content() == BY_HAND


def test_a_crontab_program_that_does_not_even_read_is_told(stage: Stage) -> None:
    """However long the crontab is that it was to read: one line, exit code 75."""
    config(stage)
    stage.shell(
        'if [ "$1" = -l ]; then yes "# a line that somebody wrote by hand" | head -n 3000; '
        "else exec <&-; echo no space >&2; exit 1; fi",
        "crontab",
    )
    env = {"PATH": f"{stage.directory}:{os.environ['PATH']}"}
    done = lifeline(stage.spawn, "cron", "install", env=env, cwd=stage.directory)
    assert done.returncode == 75
    assert_one_line(done, "the crontab was not changed: ", "no space")


def test_without_a_crontab_program_one_line_says_so(stage: Stage, tmp_path: Path) -> None:
    """Exit code 75; nothing else is asked for."""
    config(stage)
    hide = "mount --bind /dev/null /usr/bin/crontab" if Path("/usr/bin/crontab").exists() else ":"
    done = stage.spawn.run(
        *(
            "unshare",
            "--mount",
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            f'{hide}; exec "$@"',
            "sh",
        ),
        *(LIFELINE, "cron", "install"),
    )
    assert done.returncode == 75, done.stderr
    assert_one_line(done)


@pytest.mark.parametrize("content", [b"a\n", b"a\nb\n", b"\xff\r\n\n"])
def test_the_block_is_put_at_the_end_and_taken_out_again(content: bytes) -> None:
    """Pure bytes: whatever they are."""
    part = [b"# from /x", b"* * * * * y"]
    with_block = cron.changed(content, "/x", part)
    assert with_block.startswith(content)
    assert cron.changed(with_block, "/x", part) == with_block
    assert cron.changed(with_block, "/x", []) == cron.without(with_block) == content
    with pytest.raises(CannotTell):
        cron.changed(with_block + with_block, "/x", part)
