"""Configurations: three kinds of file, and what can be wrong with each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lifeline.config import checking, place, procfile, reading, schedule, values
from lifeline.config.envfile import read_env_file
from lifeline.errors import CannotTell, LifelineError, UsageError
from support.configs import Write


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIFELINE_CONFIG", raising=False)


def only(path: Path) -> reading.Entry:
    """The one lifeline of a file."""
    (entry,) = reading.read(str(path)).entries.values()
    return entry


def wrong(path: Path) -> list[str]:
    """What is wrong with a file, without the test's directory."""
    try:
        found = checking.problems(reading.read(str(path)))
    except LifelineError as error:
        found = [str(error)]
    assert all("\n" not in line for line in found)
    return [line.replace(f"{path.parent}/", "") for line in found]


def test_three_kinds_of_file_say_the_same(write: Write) -> None:
    """lifeline.toml, [tool.lifeline] of pyproject.toml, a line of a Procfile."""
    files = [
        write('[lifeline.web]\ncommand = "serve -p 80"\n'),
        write('[tool.lifeline.web]\ncommand = ["serve", "-p", "80"]\n', "pyproject.toml"),
        write("# c\n\nweb: serve -p 80\n", "Procfile"),
    ]
    for path in files:
        entry = only(path)
        assert (entry.name, values.command(entry)) == ("web", ("serve", "-p", "80"))
        assert values.directory(entry) == str(path.parent)


def test_the_nearest_file_upwards_counts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one directory: lifeline.toml, a pyproject.toml that speaks of lifelines, a Procfile."""
    write("web: serve\n", "a/Procfile")
    write("[project]\n", "a/b/pyproject.toml")
    Path("a/b/c").mkdir()
    monkeypatch.chdir("a/b/c")
    assert place.find() == os.path.realpath("../../Procfile")
    write('[tool.lifeline.x]\ncommand = "y"\n', "a/b/pyproject.toml")
    assert place.find() == os.path.realpath("../pyproject.toml")
    write("", "a/b/lifeline.toml")
    assert place.find() == os.path.realpath("../lifeline.toml")
    monkeypatch.setenv("LIFELINE_CONFIG", "../../Procfile")
    assert place.find() == os.path.realpath("../../Procfile")
    monkeypatch.setenv("LIFELINE_CONFIG", "nowhere")
    with pytest.raises(CannotTell, match="LIFELINE_CONFIG: there is no nowhere"):
        place.find()


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ('[tool.lifeline.x]\ncommand = "y"\n', True),
        ('[ tool . "lifeline" . x ]\ncommand = "y"\n', True),
        ('\ufefftool.lifeline.x.command = "y"\n', True),
        ("[project]\n# [tool.lifeline.x] is in the Procfile\n", False),
        ('[tool.lifelines]\nx = "tool.lifeline"\n', False),
    ],
)
def test_a_pyproject_counts_if_it_has_our_table(write: Write, text: str, ours: bool) -> None:
    """A comment that speaks of it does not hide the Procfile beside it."""
    write("web: serve\n", "Procfile")
    path = write(text, "pyproject.toml")
    assert place.find() == str(path if ours else path.with_name("Procfile"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lifeline.toml", '[lifeline.web]\ncommand = "serve"\nenv_file = "app.env"\n'),
        ("pyproject.toml", '[tool.lifeline.web]\ncommand = "serve"\n'),
        ("Procfile", "web: serve\n"),
    ],
)
def test_a_byte_order_mark_does_no_harm(write: Write, name: str, text: str) -> None:
    """Some editors put one there, and nobody sees it."""
    write("\ufeffA=1\n", "app.env")
    entry = only(write(f"\ufeff{text}", name))
    assert values.command(entry) == ("serve",)
    assert values.environment(entry) == ({"A": "1"} if name == "lifeline.toml" else {})


@pytest.mark.needs("root")
def test_a_file_upwards_that_belongs_to_somebody_else_is_not_used(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could have anything run; in the working directory, or named, it is meant."""
    path = write('[lifeline.x]\ncommand = "y"\n')
    os.chown(path, 65534, 65534)
    assert place.find() == str(path)
    Path("below").mkdir()
    monkeypatch.chdir("below")
    with pytest.raises(UsageError, match="belongs to user 65534: if it is meant, say so"):
        place.find()
    monkeypatch.setenv("LIFELINE_CONFIG", str(path))
    assert place.find() == str(path)


MISTAKES = [
    (
        '[lifeline.a]\ncommand = "x"\nlock = "file:"\ngrace = "30s"\n',
        "lifeline.toml:3: a: the ttl is too short",
    ),
    (
        '[lifeline.a]\ncommand = "x"\n[b]\ncommand = "y"\n',
        "lifeline.toml:3: [b] stands outside of lifelines: call it [lifeline.b]",
    ),
    (
        '[lifeline.a]\ncommand = "x"\nenv_file = "gone.env"\n',
        "lifeline.toml:3: a: env_file: ",
    ),
    ("[lifeline.a]\n", "lifeline.toml:1: a has no command"),
    ("[lifeline.a]\ncommand = 1\n", "lifeline.toml:2: command is a text or a list of texts"),
    ("[lifeline.a]\ncommand = []\n", "lifeline.toml:2: the command's first word is missing"),
    ("[lifeline.a]\ncommand = ''\n", "lifeline.toml:2: the command's first word is missing"),
    ('[lifeline.a]\ncommand = "a \'b"\n', "lifeline.toml:2: command: no closing quotation"),
    ('[lifeline.a]\ncommand = "cd x && y"\n', "lifeline.toml:2: no shell runs the command, and &&"),
    (
        '[lifeline.a]\ncommand = ["a\\u0000"]\n',
        "lifeline.toml:2: no word of a command can hold a N",
    ),
    (
        '[lifeline.a]\ncommand = "x"\n\nmax_memroy = 1\n',
        "lifeline.toml:4: no such key: max_memroy; did you mean max_memory?",
    ),
    ('[lifeline.a]\ncommand = "x"\nzzz = 1\n', "lifeline.toml:3: no such key: zzz; there are comm"),
    (
        '[lifeline.a]\ncommand = "x"\non_start = "y"\non-start = "z"\n',
        "lifeline.toml:4: on-start is given twice",
    ),
    (
        '[lifeline.a]\ncommand = "x"\ngrace = "soon"\n',
        "lifeline.toml:3: grace: 'soon' is not a duration",
    ),
    ('[lifeline.a]\ncommand = "x"\ngrace = true\n', "3: grace is a text or a number, not true"),
    ('[lifeline.a]\ncommand = "x"\nquiet = "yes"\n', "lifeline.toml:3: quiet is true or false"),
    (
        '[lifeline.a]\ncommand = "x"\nrestart = "maybe"\n',
        "lifeline.toml:3: restart takes never, on-failure, always, not 'maybe'",
    ),
    ('[lifeline.a]\ncommand = "x"\nname = "a/b"\n', "lifeline.toml:3: name: a name has no slash"),
    (
        '[lifeline.a]\ncommand = "x"\nlog_size = "1MB"\n',
        "lifeline.toml:1: a: --log-size needs --log",
    ),
    ('[lifeline.a]\ncommand = "x"\ncwd = "gone"\n', "lifeline.toml:3: cwd: there is no"),
    ('[lifeline.a]\ncommand = "x"\nenv = "A=1"\n', "lifeline.toml:3: env is a table"),
    ('[lifeline.a]\ncommand = "x"\nenv = { "A B" = 1 }\n', "lifeline.toml:3: 'A B' cannot be the"),
    (
        '[lifeline.a]\ncommand = "x"\nenv = { LIFELINE_STATE_DIR = "/x" }\n',
        "lifeline.toml:3: LIFELINE_STATE_DIR has to be in the environment of every",
    ),
    (
        '[lifeline.a]\ncommand = "x"\nenv = { LIFELINE_LOCK = "file:" }\n',
        "lifeline.toml:3: LIFELINE_LOCK would be seen by some verbs only: write lock = … in the",
    ),
    ('[lifeline.a]\ncommand = "x"\nenv_file = "gone"\n', "gone cannot be read (No such file"),
    ('[lifeline.a]\ncommand = "x"\nevery = "7m"\n', "lifeline.toml:3: every = '7m' is no part of"),
    ('[lifeline.a]\ncommand = "x"\nevery = "90s"\n', "lifeline.toml:3: every = '90s': cron counts"),
    ('[lifeline.a]\ncommand = "x"\ncron = "* * *"\n', "lifeline.toml:3: '* * *' is no schedule"),
    ('[lifeline.a]\ncommand = "x"\ncron = "61 * * * *"\n', "is no schedule: five fields"),
    (
        '[lifeline.a]\ncommand = "x"\nevery = 60\ncron = "@daily"\n',
        "lifeline.toml:4: give every or",
    ),
    (
        '[lifeline.a]\ncommand = "x"\n[lifeline.b]\ncommand = "y"\nname = "a"\n',
        "lifeline.toml:5: there are two lifelines called 'a', a and b",
    ),
    (
        '[lifeline.a]\ncommand = "x"\n[lifeline.a]\n',
        "lifeline.toml:3: [lifeline.a] stands there twice",
    ),
    ('[lifeline]\ncommand = "x"\n', "lifeline.toml:2: command stands outside of a lifeline"),
    ('[lifeline."a/b"]\ncommand = "x"\n', "lifeline.toml:1: a name has no slash"),
    ("lifeline = 1\n", "lifeline.toml:1: lifeline is no table"),
    ('[lifelin.a]\ncommand = "x"\n', "lifeline.toml:1: no such table: [lifelin]; lifeline?"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[each[1][:50] for each in MISTAKES])
def test_a_mistake_is_told_with_its_file_and_line(write: Write, text: str, message: str) -> None:
    """One line each, with what to write instead."""
    found = wrong(write(text))
    assert any(message in line for line in found), found


def test_a_sound_file_has_no_mistakes(write: Write) -> None:
    """All kinds of keys, dashes and underscores."""
    write("A=1\n", "app.env")
    path = write(
        '[lifeline.a]\ncommand = ["x"]\ncwd = "."\nenv_file = "app.env"\nenv = { B = 2 }\n'
        'max-memory = "1GiB"\nexit_code_if_running = 3\ngrace = 2.5\nquiet = false\n'
        'lock = "file:"\nslots = 2\nwait = true\nevery = "5m"\n[scale.a]\n'
    )
    assert wrong(path) == []


@pytest.mark.parametrize(
    ("every", "fields"),
    [
        ("1m", "* * * * *"),
        ("60", "* * * * *"),
        ("5m", "*/5 * * * *"),
        ("30m", "*/30 * * * *"),
        ("1h", "0 * * * *"),
        ("6h", "0 */6 * * *"),
        ("1d", "0 0 * * *"),
    ],
)
def test_every_becomes_cron_fields(write: Write, every: str, fields: str) -> None:
    """Only what comes round exactly so often."""
    entry = only(write(f'[lifeline.a]\ncommand = "x"\nevery = "{every}"\n'))
    assert schedule.fields(entry) == fields


@pytest.mark.parametrize(
    ("cron", "fields"),
    [
        ('"*/5  8-18 * * 1-5"', "*/5 8-18 * * 1-5"),
        ('"@hourly"', "@hourly"),
        ('"0 3 * * mon"', "0 3 * * mon"),
        ("false", None),
    ],
)
def test_cron_fields_are_taken_as_they_are(write: Write, cron: str, fields: str | None) -> None:
    """`false` leaves a lifeline out of the crontab."""
    entry = only(write(f'[lifeline.a]\ncommand = "x"\ncron = {cron}\n'))
    assert schedule.fields(entry) == fields


# --- Procfiles and files of variables ---------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gunicorn app:app -b 0.0.0.0:80", ["gunicorn", "app:app", "-b", "0.0.0.0:80"]),
        ("gunicorn -p $PORT", ["/bin/sh", "-c", "gunicorn -p $PORT"]),
        ("cd x && ./y", ["/bin/sh", "-c", "cd x && ./y"]),
        ("A=1 ./y", ["/bin/sh", "-c", "A=1 ./y"]),
        ("echo 'a b'", ["/bin/sh", "-c", "echo 'a b'"]),
    ],
)
def test_a_procfile_line_is_given_to_a_shell_where_that_makes_a_difference(
    line: str, words: list[str]
) -> None:
    """Otherwise there is no shell between lifeline and the job."""
    assert procfile.words(line) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "web: a\n\nweb: b\n",
            "Procfile:3: there are two lifelines called 'web', the other one on",
        ),
        ("web\n", "Procfile:1: it is no line of a Procfile"),
        ("web:\n", "Procfile:1: it is no line of a Procfile"),
        ("-w: x\n", "Procfile:1: a name has no slash and does not begin with a dash"),
    ],
)
def test_a_wrong_procfile_is_told_with_its_line(write: Write, text: str, message: str) -> None:
    """Also two lines of one name."""
    assert message in wrong(write(text, "Procfile"))[0]


def test_a_file_of_variables_is_read_as_others_read_it(write: Write) -> None:
    """Comments, quotes, `export`, empty values, and files that it includes; later lines win."""
    write("A=base\nB=base\n", "sub/base.env")
    path = write(
        "# comment\nexport A=1\ninclude sub/base.env\nB = two words # comment\nC='x # $y'\n"
        'D="a\\nb \\"c\\" \\$d"\nE=\nF=a#b\n',
        "app.env",
    )
    assert read_env_file(str(path)) == {
        "A": "base",
        "B": "two words",
        "C": "x # $y",
        "D": 'a\nb "c" $d',
        "E": "",
        "F": "a#b",
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "include a\n"}, "it goes round in a circle: a includes a"),
        ({"a": ". b\n", "b": "source a\n"}, "in a circle: a includes b includes a"),
        ({"a": "X=1\nnonsense\n"}, "a:2: it is neither NAME=value nor include FILE"),
        ({"a": "1X=1\n"}, "a:1: '1X' cannot be the name of a variable"),
        ({"a": "X='sec\n"}, "a:1: the quote is not closed"),
        ({"a": "LIFELINE_GRACE=5s\n"}, "a:1: LIFELINE_GRACE would be seen by some verbs only"),
        ({"a": "LIFELINE_CONFIG=x\n"}, "a:1: LIFELINE_CONFIG has to be in the environment"),
        ({"a": "include gone\n"}, "gone cannot be read"),
    ],
)
def test_a_wrong_file_of_variables_is_told(
    write: Write, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    """With file and line, and never with a value: it may be a secret."""
    for name, text in files.items():
        write(text, name)
    with pytest.raises(LifelineError) as caught:
        read_env_file(str(tmp_path / "a"))
    told = str(caught.value).replace(f"{tmp_path}/", "")
    assert message in told
    assert "sec" not in told


def test_a_circle_through_a_link_is_found(write: Write, tmp_path: Path) -> None:
    """It is one file under two names."""
    write("include b\n", "a")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UsageError, match="goes round in a circle"):
        read_env_file(str(tmp_path / "a"))
