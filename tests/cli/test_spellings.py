"""Part of the corpus for real: processes started in many spellings, asked for in others."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import zipapp
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from support.lifelines import INVOKE, LIFELINE, answer
from support.needs import require
from support.stage import Stage

ASK = """\
import json, os, sys
import lifeline

found = []
for directory, command in json.load(open(sys.argv[1])):
    os.chdir(directory)
    if command[0] == "NAME":
        found.append([twin.pid for twin in lifeline.find_twins(name=command[1])])
    else:
        found.append([twin.pid for twin in lifeline.find_twins(command)])
print(json.dumps(found))
"""


class Case(NamedTuple):
    """How a process is started, and for which commands it is a twin, and for which not.

    `@` stands for the name of the test's job, `#` for a number that no other test has, `%` for the
    test's directory. A command can begin with the directory to ask from: `cd`, DIR.
    """

    start: Sequence[str]
    same: Sequence[Sequence[str]]
    different: Sequence[Sequence[str]]


PYTHON = sys.executable
CASES = {
    "python, relative": Case(
        [PYTHON, "@.py", "a", "b c"],
        [
            ["python3", "@.py", "a", "b c"],
            ["%/@.py", "a", "b c"],
            [PYTHON, "-u", "%/@.py", "a", "b c"],
            ["cd", "/", "python3", "%/@.py", "a", "b c"],
            ["nice", "-n", "5", "python3", "./@.py", "a", "b c"],
        ],
        [
            ["python3", "@.py", "a", "b", "c"],
            ["python3", "@.py", "a b", "c"],
            ["python3", "@.py", "a"],
            ["python3", "@.py", "a", "b c", ""],
            ["cd", "%/other", "python3", "@.py", "a", "b c"],
            ["cd", "/", "python3", "@.py", "a", "b c"],
        ],
    ),
    "python, with options": Case(
        [PYTHON, "-Iu", "-W", "ignore", "-X", "utf8", "--", "%/@.py"],
        [["python3", "@.py"], ["./@.py"], [PYTHON, "-Wignore", "-Xdev", "@.py"]],
        [["python3", "@.py", "-u"], ["python3", "-m", "@"], ["python3", "-c", "@.py"]],
    ),
    "python, of an environment": Case(
        ["venv/bin/python", "./@.py"],
        [["python3", "@.py"], ["%/venv/bin/python3", "%/@.py"]],
        [["venv/bin/python", "@.sh"]],
    ),
    "python -m": Case(
        ["venv/bin/python", "-um", "@", "x"],
        [
            ["%/venv/bin/python", "-m", "@", "x"],
            ["cd", "%/other", "../venv/bin/python3", "-m@", "x"],
        ],
        [
            ["venv/bin/python", "-m", "@"],
            ["venv2/bin/python", "-m", "@", "x"],
            ["venv/bin/python", "@.py", "x"],
        ],
    ),
    "python -c": Case(
        [PYTHON, "-uc", "exec(open('@.py').read())", "x"],
        [["python3", "-c", "exec(open('@.py').read())", "x"]],
        [["python3", "-c", "exec(open('@.py').read())"], ["python3", "@.py", "x"]],
    ),
    "python, a directory": Case(
        [PYTHON, "@.d"], [["python3", "%/@.d/"], ["python3", "./@.d"]], [["python3", "@.py"]]
    ),
    "python, the working directory": Case(
        ["cd", "%/@.d", PYTHON, "."],
        [["python3", "%/@.d"], ["cd", "/", "python3", "%/@.d/"], ["cd", "%/@.d", "python3", "."]],
        [["python3", "."]],
    ),
    "python, a zip file": Case(
        ["./@.pyz"], [["python3", "@.pyz"], ["%/@.pyz"]], [["./@.pyz", "x"]]
    ),
    "a script with #!": Case(
        ["./@.sh", "a"],
        [["sh", "@.sh", "a"], ["%/@.sh", "a"], ["bash", "-eu", "./@.sh", "a"]],
        [["./@.sh"], ["sh", "-c", "./@.sh a"], ["tail", "@.sh", "a"]],
    ),
    "a script with #! and an option": Case(
        ["./@-e.sh"],
        [["bash", "@-e.sh"], ["%/@-e.sh"], ["/bin/bash", "-e", "./@-e.sh"]],
        [["./@.sh"]],
    ),
    "a script with #! and a dash": Case(
        ["./@-.sh"], [["%/@-.sh"], ["sh", "-", "@-.sh"]], [["./@.sh"]]
    ),
    "a script through env": Case(
        ["./@-env.sh"], [["bash", "@-env.sh"], ["%/@-env.sh"]], [["./@.sh"]]
    ),
    "a script through env -S": Case(
        ["./@-S.py"], [["python3", "-u", "@-S.py"], ["%/@-S.py"]], [["./@.py"]]
    ),
    "a shell with options": Case(
        ["bash", "-eo", "pipefail", "@.sh", "a"],
        [["sh", "@.sh", "a"], ["./@.sh", "a"], ["bash", "-oe", "pipefail", "@.sh", "a"]],
        [["bash", "pipefail", "@.sh", "a"]],
    ),
    "a shell's -c": Case(
        ["sh", "-c", "./@.sh a; :"],
        [["sh", "-c", "./@.sh a; :"], ["/bin/sh", "-c", "./@.sh a; :"]],
        [["./@.sh", "a"], ["sh", "-c", "./@.sh a"], ["sh", "-ec", "./@.sh a; :"]],
    ),
    "awk -f": Case(["./@.awk", "x"], [["%/@.awk", "x"]], [["./@.awk"], ["awk", "@.awk", "x"]]),
    "perl": Case(
        ["perl", "-w", "-Ilib", "-Mstrict", "@.pl", "x"],
        [["./@.pl", "x"], ["perl", "-I", "lib", "%/@.pl", "x"]],
        [["perl", "@.pl"], ["cd", "%/other", "perl", "-Mstrict", "@.pl", "x"]],
    ),
    "perl with #!": Case(["./@.pl"], [["perl", "@.pl"], ["%/@.pl"]], [["./@.pl", "x"]]),
    "node": Case(
        ["node", "-r", "./@.pre.js", "@.js", "x"],
        [["node", "@.js", "x"], ["node", "--max-old-space-size=100", "%/@.js", "x"]],
        [["node", "@.js"], ["node", "--env-file=a", "@.js", "x"], ["node", "-e", "@.js", "x"]],
    ),
    "a program": Case(
        ["sleep", "3600", "0.#"],
        [
            ["/usr/bin/sleep", "3600", "0.#"],
            ["/bin/sleep", "3600", "0.#"],
            ["nohup", "sleep", "3600", "0.#"],
        ],
        [["sleep", "0.#", "3600"], ["sleep", "3600"], ["./sleep", "3600", "0.#"]],
    ),
    "a program in PATH": Case(
        ["tool-@", "x"],
        [["%/bin/tool-@", "x"], ["bin/tool-@", "x"]],
        [["tool-@"], ["tool-@2", "x"]],
    ),
    "a link to a script of an environment": Case(
        ["app-@"], [["%/bin/app-@"], ["venv/bin/python", "bin/app-@"]], [["./@.py"]]
    ),
    "nice": Case(["nice", "-n", "1", "./@.sh"], [["./@.sh"], ["nice", "./@.sh"]], [["nice"]]),
    "ionice": Case(["ionice", "-c3", "./@.sh"], [["./@.sh"], ["ionice", "-c", "3", "./@.sh"]], []),
    "nohup": Case(["nohup", "./@.sh"], [["./@.sh"]], []),
    "env": Case(["env", "./@.sh"], [["./@.sh"], ["env", "sh", "@.sh"]], [["env", "A=1", "./@.sh"]]),
    "env with a variable": Case(["env", "A=1", "./@.sh"], [["./@.sh"]], [["env", "A=1", "./@.sh"]]),
    "timeout": Case(["timeout", "3600", "./@.sh"], [["timeout", "3600", "./@.sh"]], [["./@.sh"]]),
    "flock": Case(["flock", "lock", "./@.sh"], [["flock", "lock", "./@.sh"]], [["./@.sh"]]),
    "invoke": Case(
        [INVOKE, "@.run"],
        [
            ["inv", "@.lifeline"],
            [PYTHON, "-m", "invoke", "@.run"],
            ["cd", "/", "inv", "-r", "%", "@.lifeline"],
            ["cd", "%/other", "invoke", "--search-root=..", "@.run"],
            ["cd", "%/other/deep", "inv", "@.run"],
        ],
        [
            ["inv", "@.status"],
            ["inv", "my@.run"],
            ["inv", "@.run", "--fast"],
            ["cd", "/", "inv", "@.run"],
        ],
    ),
    "a runner": Case(
        [LIFELINE, "run", "--", "sh", "@.sh", "a"],
        [["./@.sh", "a"], ["%/@.sh", "a"], [LIFELINE, "run", "--", "nice", "./@.sh", "a"]],
        [["./@.sh"], ["NAME", "@"]],
    ),
    "a runner as a module, with a name": Case(
        [PYTHON, "-m", "lifeline", "run", "--name=@", "--", "./@.sh"],
        [["NAME", "@"], [LIFELINE, "run", "--name", "@", "--", "anything"]],
        [["./@.sh"], ["NAME", "@2"]],
    ),
    "an editor": Case(
        ["tail", "-f", "@.py"], [["tail", "-f", "@.py"]], [["python3", "@.py"], ["./@.py"]]
    ),
    "a longer name": Case(["./@.sh2"], [["sh", "@.sh2"]], [["./@.sh"], ["sh", "@.sh"]]),
}


@pytest.fixture
def yard(stage: Stage) -> Stage:
    """A directory with a job in every language, under one name."""
    name, directory, said = stage.name, stage.directory, f"{stage.started}"
    python = f"import time\nopen({said!r}, 'w').write('x')\ntime.sleep(3600)\n"
    shell = f"echo x >'{said}'; sleep 3600 & wait\n"
    stage.script(f"#!{PYTHON}\n{python}", f"{name}.py")
    stage.script(f"#!/usr/bin/env -S python3 -u\n{python}", f"{name}-S.py")
    for suffix, line in (
        *((".sh", "/bin/sh"), ("-e.sh", "/bin/bash -e"), ("-.sh", "/bin/sh -")),
        *(("-env.sh", "/usr/bin/env bash"), (".sh2", "/bin/sh")),
    ):
        stage.script(f"#!{line}\n{shell}", name + suffix)
    awk = f'BEGIN {{ print "x" >"{said}"; close("{said}"); system("sleep 3600") }}\n'
    stage.script(f"#!{shutil.which('awk')} -f\n{awk}", f"{name}.awk")
    perl = f"open(F, '>', '{said}'); print F 'x'; close F; sleep 3600;\n"
    stage.script(f"#!{shutil.which('perl')}\n{perl}", f"{name}.pl")
    node = f"require('fs').writeFileSync({json.dumps(said)}, 'x'); setInterval(() => 0, 1e6)\n"
    stage.script(node, f"{name}.js")
    stage.script("", f"{name}.pre.js")
    for path in (f"{name}.d", "bin", "other/deep", "venv/bin", "venv2/bin"):
        (directory / path).mkdir(parents=True)
    stage.script(python, f"{name}.d/__main__.py")
    zipapp.create_archive(directory / f"{name}.d", directory / f"{name}.pyz", interpreter=PYTHON)
    for environment in ("venv", "venv2"):
        for spelling in ("python", "python3"):
            (directory / environment / "bin" / spelling).symlink_to(PYTHON)
    (directory / f"{name}").mkdir()  # a package, for -m
    stage.script(python, f"{name}/__main__.py")
    stage.script(f"#!/bin/sh\n{shell}", f"bin/tool-{name}")
    stage.script(f"#!{directory}/venv/bin/python\n{python}", f"venv/bin/app-{name}")
    (directory / "bin" / f"app-{name}").symlink_to(f"../venv/bin/app-{name}")
    body = "\n    ".join(python.splitlines())
    stage.script(
        "import time\nfrom invoke import Collection, task\n\n"
        f"@task\ndef run(c):\n    {body}\n\n"
        f"ns = Collection(Collection({name!r}, run))\n",
        "tasks.py",
    )
    return stage


def told(stage: Stage, command: Sequence[str]) -> tuple[str, list[str]]:
    """The directory and the words of a command of a case."""
    number = str(int(stage.name.removeprefix("job-"), 16))
    meant = {"@": stage.name, "%": str(stage.directory), "#": number}
    found = [re.sub("[@%#]", lambda sign: meant[sign[0]], word) for word in command]
    return (found[1], found[2:]) if found[0] == "cd" else (str(stage.directory), found)


def started(stage: Stage, case: Case) -> int:
    """The pid of the process of a case, once it runs."""
    directory, command = told(stage, case.start)
    if command[0] == "node":
        require("node")
    if command[0] in ("sleep", "tail"):
        return stage.spawn(*command, cwd=directory, env=with_bin(stage)).pid
    return stage.running(*command, cwd=directory, env=with_bin(stage)).pid


def with_bin(stage: Stage) -> dict[str, str]:
    return {"PATH": f"{stage.directory}/bin:{os.environ['PATH']}"}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_process_is_found_in_any_spelling_and_by_nothing_else(yard: Stage, case: Case) -> None:
    """As `find_twins` answers, from where it was asked."""
    pid = started(yard, case)
    questions = [told(yard, command) for command in (*case.same, *case.different)]
    (yard.directory / "questions").write_text(json.dumps(questions))
    ask = yard.script(ASK, "ask")
    found = answer(yard.spawn, [PYTHON, ask, str(yard.directory / "questions")], env=with_bin(yard))
    answers = [(command, pid in pids) for (_, command), pids in zip(questions, found, strict=True)]
    expected = [True] * len(case.same) + [False] * len(case.different)
    assert answers == [
        (command, same) for (_, command), same in zip(questions, expected, strict=True)
    ]


SOME = ["python, relative", "python -m", "a script through env", "awk -f", "invoke", "a runner"]


@pytest.mark.parametrize("name", SOME)
def test_explain_gives_the_same_answer(yard: Stage, name: str) -> None:
    """Each process counts for the last spelling of its command, and for no other command."""
    case = CASES[name]
    pid = started(yard, case)
    for command, same in ((case.same[-1], True), (case.different[0], False)):
        directory, asked = told(yard, command)
        found = answer(
            yard.spawn,
            [LIFELINE, "explain", "--json", "--", *asked],
            cwd=directory,
            env=with_bin(yard),
        )
        counting = [each["pid"] for each in found["considered"] if each["counts"]]
        assert (pid in counting) == same, found


def test_a_script_is_found_after_it_has_changed_its_directory(stage: Stage) -> None:
    """By what its shell said where it was; through a link, too."""
    (stage.directory / "real").mkdir()
    (stage.directory / "link").symlink_to("real")
    away = f"import os, time\nos.chdir('/')\nopen({str(stage.started)!r}, 'w').write('x')\n"
    stage.script(f"{away}time.sleep(3600)\n", f"real/{stage.name}")
    shell = f"cd link && exec {PYTHON} {stage.name}"
    pid = stage.running("sh", "-c", shell).pid
    for directory in ("real", "link"):
        found = answer(
            stage.spawn,
            [LIFELINE, "explain", "--json", "--", "python3", stage.name],
            cwd=stage.directory / directory,
        )
        assert pid in [each["pid"] for each in found["considered"] if each["counts"]]


@pytest.mark.parametrize(
    ("command", "name", "message"),
    [
        ("'sleep 60'", "None", "a list of words, not one text: 'sleep 60'"),
        ("b'sleep'", "None", "a list of words, not one text: b'sleep'"),
        ("[]", "None", "first word is missing or empty"),
        ("['']", "None", "first word is missing or empty"),
        ("['a', 'b\\0c']", "None", "can hold a NUL"),
        ("['a']", "'a'", "a command or a name, not both"),
        ("None", "''", "a name cannot be empty"),
        ("None", "'a/b'", "no slash"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    stage: Stage, command: str, name: str, message: str
) -> None:
    """A text in place of a list would be a list of letters, and never find anything."""
    code = f"import lifeline; lifeline.find_twins({command}, name={name})"
    ended = stage.spawn.run(PYTHON, "-c", code)
    assert ended.returncode == 1
    assert "lifeline.errors.UsageError: " in ended.stderr
    assert message in ended.stderr
