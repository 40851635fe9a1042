"""Command lines as people write them, with the expected answers beside them.

A line is shell text; `cd DIR; …` says where it is started, otherwise that is /srv/app. The
programs, scripts and `#!` lines that exist are those of `VILLAGE`.
"""

from __future__ import annotations

import os.path
import shlex
from typing import NamedTuple


class Line(NamedTuple):
    """A line of the corpus, taken apart."""

    directory: bytes
    argv: tuple[bytes, ...]


def parse(text: str) -> Line:
    """`cd /srv; python job.py` as a directory and an argument list."""
    directory = "/srv/app"
    if text.startswith("cd "):
        head, _, text = text.partition("; ")
        directory = head.removeprefix("cd ")
    return Line(os.fsencode(directory), tuple(map(os.fsencode, shlex.split(text))))


class Village:
    """A place that is made up: nothing is asked of the system."""

    def __init__(self, directory: bytes = b"/srv/app") -> None:
        self.directory = directory

    def absolute(self, path: bytes) -> bytes:
        return os.path.normpath(os.path.join(self.directory, path))

    def program(self, name: bytes) -> bytes:
        return self.search(name)

    def search(self, name: bytes) -> bytes:
        return self.absolute(name) if b"/" in name else PROGRAMS.get(name, name)

    def environment(self, interpreter: bytes) -> bytes | None:
        found = self.search(interpreter)
        directory = os.path.dirname(found)
        if not directory.startswith(b"/") or directory.endswith(b"/shims"):
            return None
        return os.path.dirname(directory)

    def shebang(self, path: bytes) -> tuple[bytes, ...]:
        return SHEBANGS.get(self.absolute(path), ())

    def is_file(self, path: bytes) -> bool:
        return path in FILES


# What is found through PATH.
PROGRAMS = {
    os.path.basename(path): path
    for path in (
        *(b"/usr/bin/python3", b"/usr/bin/python3.11", b"/usr/bin/uv", b"/usr/bin/java"),
        *(b"/usr/bin/node", b"/usr/bin/ruby", b"/usr/bin/perl", b"/usr/bin/php", b"/bin/sh"),
        *(b"/bin/bash", b"/usr/bin/awk", b"/usr/bin/env", b"/usr/bin/nice", b"/usr/bin/ionice"),
        *(b"/usr/bin/timeout", b"/usr/bin/flock", b"/usr/bin/sudo", b"/usr/bin/vim"),
        *(b"/usr/bin/tail", b"/usr/bin/grep", b"/usr/bin/sleep", b"/usr/bin/codex"),
        *(b"/usr/bin/codex_colleague", b"/home/u/.local/bin/app", b"/usr/local/bin/inv"),
        *(b"/usr/local/bin/invoke", b"/usr/local/bin/lifeline", b"/usr/bin/poetry"),
    )
}
PROGRAMS[b"python"] = b"/home/u/.pyenv/shims/python"

SHEBANGS = {
    b"/srv/app/plain.sh": (b"/bin/sh",),
    b"/srv/app/dash.sh": (b"/bin/sh", b"-"),
    b"/srv/app/strict.sh": (b"/bin/bash", b"-e"),
    b"/srv/app/env.sh": (b"bash",),  # #!/usr/bin/env bash
    b"/srv/app/unbuffered.py": (b"python3", b"-u"),  # #!/usr/bin/env -S python3 -u
    b"/srv/app/count.awk": (b"/usr/bin/awk", b"-f"),
    b"/srv/app/uv.py": (b"uv", b"run", b"--script"),  # #!/usr/bin/env -S uv run --script
    b"/srv/app/warn.pl": (b"/usr/bin/perl", b"-w"),
    b"/srv/app/taint.pl": (b"/usr/bin/perl", b"-ET"),
}
FILES = {b"/srv/app/tasks.py", b"/srv/other/tasks.py", b"/srv/app/jobs.py", b"/opt/pkg/__init__.py"}


class Command(NamedTuple):
    """Lines that all are one command: the words of its identity, as shell text."""

    words: str
    lines: list[str]
    environment: str | None = None


SAME = [
    # --- python: a script counts by its path, however its interpreter was spelled ---
    Command(
        "run /srv/app/job.py --queue mail",
        [
            "python job.py --queue mail",
            "python3 job.py --queue mail",
            "python3.11 job.py --queue mail",
            "/usr/bin/python3 /srv/app/job.py --queue mail",
            "/srv/venv/bin/python job.py --queue mail",
            "../venv/bin/python3 ./job.py --queue mail",
            "cd /srv; python app/job.py --queue mail",
            "cd /; python srv/app/job.py --queue mail",
            "python -u job.py --queue mail",
            "python -Iu job.py --queue mail",
            "python -uBOO job.py --queue mail",
            "python -W ignore job.py --queue mail",
            "python -Wignore job.py --queue mail",
            "python -uW ignore job.py --queue mail",
            "python -X dev job.py --queue mail",
            "python -Xdev -X utf8 job.py --queue mail",
            "python -- job.py --queue mail",
            "python -u -- ./job.py --queue mail",
            "python --check-hash-based-pycs always job.py --queue mail",
            "python3.13t job.py --queue mail",
            "pypy3 job.py --queue mail",
            "./job.py --queue mail",
            "/srv/app/job.py --queue mail",
            "/srv/app/../app//job.py --queue mail",
            # macOS: a framework's interpreter starts this one, which has a capital
            "/opt/Python.app/Contents/MacOS/Python job.py --queue mail",
            # these become what they start
            "nice python job.py --queue mail",
            "nice -n 10 python job.py --queue mail",
            "nice -10 python job.py --queue mail",
            "nice --adjustment=10 python job.py --queue mail",
            "ionice -c 3 python job.py --queue mail",
            "ionice -c2 -n7 python job.py --queue mail",
            "nohup python job.py --queue mail",
            "nice nohup ionice -c3 python job.py --queue mail",
            "env python job.py --queue mail",
            "/usr/bin/env python3 -u job.py --queue mail",
            "nice -- python job.py --queue mail",
        ],
    ),
    Command(
        "run /srv/app/job", ["python job", "python ./job/", "/srv/venv/bin/python /srv/app/job"]
    ),
    Command("run /srv/app", ["python .", "cd /srv; python app", "python /srv/app/"]),
    Command("run /srv/app/job.pyz -v", ["python job.pyz -v", "./job.pyz -v"]),
    Command(
        "module app.worker --queue mail",
        [
            "/srv/venv/bin/python -m app.worker --queue mail",
            "/srv/venv/bin/python3.11 -mapp.worker --queue mail",
            "/srv/venv/bin/python -um app.worker --queue mail",
            "/srv/venv/bin/python -I -W ignore -mapp.worker --queue mail",
            "../venv/bin/python -m app.worker --queue mail",
            "cd /; /srv/venv/bin/python -m app.worker --queue mail",
        ],
        environment="/srv/venv",
    ),
    Command("module app.worker", ["python3 -m app.worker", "python3.11 -mapp.worker"], "/usr"),
    Command("module app.worker", ["python -m app.worker"], None),  # a shim could be anything
    Command(
        "code 'import app; app.run()' mail",
        [
            "python -c 'import app; app.run()' mail",
            "python3 -uc 'import app; app.run()' mail",
            "python3 '-cimport app; app.run()' mail",
            "/srv/venv/bin/python -I -c 'import app; app.run()' mail",
        ],
    ),
    Command("run /home/u/.pyenv/shims/python -", ["python -", "python -u -"]),
    Command("run /usr/bin/python3", ["python3", "/usr/bin/python3", "python3 -q"]),
    # --- other ways to start python ---
    Command("run /usr/bin/uv run job.py", ["uv run job.py", "/usr/bin/uv run job.py"]),
    Command("run /usr/bin/poetry run python job.py", ["poetry run python job.py"]),
    Command(  # pipx: the link in ~/.local/bin is what the kernel puts after the interpreter
        "run /home/u/.local/bin/app --port 80",
        [
            "app --port 80",
            "/home/u/.local/bin/app --port 80",
            "/home/u/.local/pipx/venvs/app/bin/python /home/u/.local/bin/app --port 80",
        ],
    ),
    Command(
        "run /srv/app/uv.py 7",
        ["./uv.py 7", "uv run --script ./uv.py 7", "/srv/app/.venv/bin/python ./uv.py 7"],
    ),
    Command("run /srv/app/unbuffered.py", ["./unbuffered.py", "python3 -u ./unbuffered.py"]),
    # --- shells ---
    Command(
        "run /srv/app/plain.sh a",
        [
            "./plain.sh a",
            "sh plain.sh a",
            "/bin/sh /srv/app/plain.sh a",
            "bash -eu plain.sh a",
            "bash -eo pipefail plain.sh a",
            "bash -oe pipefail plain.sh a",
            "bash -euo pipefail -O extglob plain.sh a",
            "bash +e plain.sh a",
            "bash --norc --rcfile /dev/null plain.sh a",
            "sh -- plain.sh a",
            "sh - plain.sh a",
            "dash -x plain.sh a",
        ],
    ),
    Command("run /srv/app/dash.sh", ["./dash.sh", "/bin/sh - ./dash.sh"]),
    Command("run /srv/app/strict.sh", ["./strict.sh", "/bin/bash -e ./strict.sh"]),
    Command("run /srv/app/env.sh", ["./env.sh", "bash ./env.sh", "env bash env.sh"]),
    Command("run /bin/sh -c 'exec ./job.py'", ["sh -c 'exec ./job.py'"]),
    Command("run /bin/sh -ec 'exec ./job.py'", ["/bin/sh -ec 'exec ./job.py'"]),
    Command("run /bin/bash -s mail", ["bash -s mail"]),
    # --- other interpreters ---
    Command("run /srv/app/count.awk log", ["./count.awk log", "/usr/bin/awk -f ./count.awk log"]),
    Command("run /usr/bin/awk -f other.awk", ["awk -f other.awk"]),
    Command(
        "run /srv/app/app.js --port 80",
        [
            "node app.js --port 80",
            "node -r dotenv/config app.js --port 80",
            "node --require dotenv/config ./app.js --port 80",
            "node --require=dotenv/config app.js --port 80",
            "node --max-old-space-size=4096 app.js --port 80",
            "node --inspect -r ts-node/register -- app.js --port 80",
            "nodejs app.js --port 80",
        ],
    ),
    Command("run /usr/bin/node -e 'serve()'", ["node -e 'serve()'"]),
    Command("run /usr/bin/node --run start", ["node --run start"]),
    Command(
        "run /srv/app/app.js --env-file a.env '' --port 80",
        [
            "node --env-file=a.env app.js --port 80",
            "node --env-file a.env app.js --port 80",
            "node -r x --env-file=a.env app.js --port 80",
            "node --env-file a.env --diagnostic-dir /tmp app.js --port 80",
            "node --diagnostic-dir=/tmp --env-file=a.env ./app.js --port 80",
        ],
    ),
    Command(
        "run /srv/app/app.jar --queue mail",
        [
            "java -jar app.jar --queue mail",
            "java -Xmx2g -XX:+UseZGC -jar /srv/app/app.jar --queue mail",
            "/usr/bin/java -cp lib/x.jar -jar app.jar --queue mail",
            "java --add-opens java.base/java.lang=ALL-UNNAMED -jar app.jar --queue mail",
        ],
    ),
    Command(
        "run /srv/app/app.jar -Dprofile=mail ''",
        ["java -Dprofile=mail -jar app.jar", "java -Xmx1g -Dprofile=mail -jar ./app.jar"],
    ),
    Command(
        "run /usr/bin/java -cp app.jar com.example.Main", ["java -cp app.jar com.example.Main"]
    ),
    Command(
        "run /srv/app/job.rb x",
        [
            "ruby job.rb x",
            "ruby -Ilib job.rb x",
            "ruby -I lib/cse -rset ./job.rb x",
            "ruby -W job.rb x",
            "ruby -W0 -Ku --encoding utf-8 job.rb x",
        ],
    ),
    Command(
        "run /srv/app/warn.pl x",
        [
            "./warn.pl x",
            "/usr/bin/perl -w ./warn.pl x",
            "perl -w -Ilib warn.pl x",
            "perl -wT -I lib -Mstrict -CSDA warn.pl x",
            "perl -Ilib/site/Ee -d:NYTProf warn.pl x",
        ],
    ),
    Command("run /srv/app/taint.pl", ["./taint.pl", "/usr/bin/perl -ET ./taint.pl"]),
    Command("run /usr/bin/perl -de0", ["perl -de0"]),
    Command("run /usr/bin/perl -lane print", ["perl -lane print"]),
    Command(
        "run /srv/app/artisan queue:work",
        [
            "php artisan queue:work",
            "php -dmemory_limit=-1 artisan queue:work",
            "php -d memory_limit=512M ./artisan queue:work",
            "php8.2 -f artisan queue:work",
        ],
    ),
    Command("run /usr/bin/php -S :80", ["php -S :80"]),
    # --- wrappers that stay, or that say what the command does, are a part of it ---
    Command("run /usr/bin/timeout 60 ./job.py", ["timeout 60 ./job.py"]),
    Command("run /usr/bin/flock /tmp/l ./job.py", ["flock /tmp/l ./job.py"]),
    Command("run /usr/bin/sudo ./job.py", ["sudo ./job.py", "nice sudo ./job.py"]),
    Command("run /usr/bin/env QUEUE=mail ./job.py", ["env QUEUE=mail ./job.py"]),
    Command("run /usr/bin/env -i ./job.py", ["env -i ./job.py"]),
    Command("run /usr/bin/ionice -p 1", ["ionice -p 1"]),
    Command("run /usr/bin/nice", ["nice"]),
    # --- anything else is its program and its words ---
    Command("run /usr/bin/sleep 60", ["sleep 60", "/usr/bin/sleep 60", "../../usr/bin/sleep 60"]),
    Command("run /usr/bin/sleep '' 60", ["sleep '' 60"]),
    Command("run unknown x", ["unknown x"]),
    Command("run /srv/app/worker -c 'a b' ''", ["./worker -c 'a b' ''"]),
    # --- invoke: project directory and task ---
    Command(
        "invoke /srv/app mail.run",
        [
            "inv mail.lifeline",
            "inv mail.run",
            "invoke mail.lifeline",
            "/srv/venv/bin/python /usr/local/bin/inv mail.run",
            "python -m invoke mail.lifeline",
            "/srv/venv/bin/python -u -minvoke mail.run",
            "cd /srv/app/deep/down; inv mail.run",
            "cd /; inv -r /srv/app mail.run",
            "cd /; inv --search-root=srv/app mail.run",
            "cd /srv; inv --search-root app mail.run",
            "inv -e --hide both -T 5 mail.run",
            "inv build mail.lifeline",
            "inv build mail.run sweep",
            "inv -c jobs mail.run",  # /srv/app/jobs.py: the directory is what counts
        ],
    ),
    Command("invoke /srv/app run", ["inv run", "inv lifeline", "invoke -e run sweep"]),
    Command("invoke /srv/app mail-out.run", ["inv mail_out.run", "inv mail-out.lifeline"]),
    Command(
        "invoke /srv/app web.run --port 80", ["inv web.run --port 80", "inv web.lifeline --port 80"]
    ),
    Command("invoke /srv/app build --mode run", ["inv build --mode run"]),
    Command("invoke /srv/app build", ["inv build"]),
    Command(
        "invoke /opt mail.run", ["cd /opt; inv -c pkg mail.run", "cd /opt; inv -cpkg mail.run"]
    ),
    Command("invoke /tmp mail.run", ["cd /tmp; inv mail.run"]),
    # --- names ---
    Command(
        "name mailer",
        [
            "lifeline run --name mailer -- ./job.py",
            "lifeline run --exec --name=mailer --settle 5s -- sleep 60",
            "/srv/venv/bin/python -m lifeline run --name mailer -- x",
        ],
    ),
    # --- what lifeline itself is asked with is not a run ---
    Command("run /usr/local/bin/lifeline explain -- ./job.py", ["lifeline explain -- ./job.py"]),
    Command("run /usr/local/bin/lifeline run ./job.py", ["lifeline run ./job.py"]),
]

# Each is a runner of what stands after its two dashes.
RUNNERS = [
    "lifeline run -- {}",
    "/usr/local/bin/lifeline run --settle 5s --exec -- {}",
    "python -m lifeline run -- {}",
    "/srv/venv/bin/python3 /usr/local/bin/lifeline run --on-running wait -- {}",
    "nice lifeline run -- {}",
    "nice lifeline run -- nice {}",
]

DIFFERENT = [
    # near misses: whoever mentions the script is not the script
    ("python job.py", "vim job.py"),
    ("python job.py", "tail -f job.py"),
    ("python job.py", "grep job.py"),
    ("./job.py", "grep /srv/app/job.py"),
    ("python job.py", "python job.pyc"),
    ("python job.py", "python myjob.py"),
    ("python job.py", "sh -c 'python job.py'"),
    ("python job.py", "timeout 60 python job.py"),
    ("python job.py", "python other.py job.py"),
    ("python job.py", "python -m job"),
    ("python job.py", "python -c job.py"),
    ("python job.py", "python -m pdb job.py"),
    ("codex", "codex_colleague"),
    ("codex --a", "codex --ab"),
    # arguments: all of them, in order, as they are
    ("python job.py", "python job.py ''"),
    ("python job.py a b", "python job.py 'a b'"),
    ("python job.py 'a b' c", "python job.py a 'b c'"),
    ("python job.py a b", "python job.py b a"),
    ("python job.py a", "python job.py A"),
    ("python job.py a", "python job.py a a"),
    ("python job.py -u", "python -u job.py"),
    ("sleep 60", "sleep 60.0"),
    # the place of a relative script
    ("python job.py", "cd /srv/other; python job.py"),
    ("cd /srv/a; php -dmemory_limit=1 artisan", "cd /srv/b; php -dmemory_limit=1 artisan"),
    ("cd /srv/a; perl -Mstrict x.pl", "cd /srv/b; perl -Mstrict x.pl"),
    ("cd /srv/a; sh - x.sh", "cd /srv/b; sh - x.sh"),
    ("cd /srv/a; java -jar x.jar", "cd /srv/b; java -jar x.jar"),
    ("python .", "cd /srv/other; python ."),
    ("inv mail.run", "cd /srv/other; inv mail.run"),
    # what tells workers apart
    ("/srv/venv/bin/python -m app.worker", "/srv/other/bin/python -m app.worker"),
    ("python -m app.worker a", "python -m app.worker b"),
    ("env QUEUE=a ./job.py", "env QUEUE=b ./job.py"),
    ("env QUEUE=a ./job.py", "./job.py"),
    ("timeout 60 ./job.py", "timeout 61 ./job.py"),
    ("java -Dserver.port=81 -jar app.jar", "java -Dserver.port=82 -jar app.jar"),
    ("java -Dserver.port=81 -jar app.jar", "java -jar app.jar -Dserver.port=81"),
    ("node --env-file=a.env app.js", "node --env-file=b.env app.js"),
    ("node --env-file a.env app.js", "node --env-file b.env app.js"),
    ("inv web.run --port 81", "inv web.run --port 82"),
    ("inv web.run --port 81", "inv web.run"),
    ("inv build --mode run", "inv test --mode run"),
    ("inv mail.run", "inv mail.status"),
    ("inv mail.run", "inv mymail.run"),
    ("inv mail.run", "inv mail"),
    ("sh -c 'a'", "sh -c 'b'"),
    ("sh -c 'job a'", "sh -c job a"),
    ("bash plain.sh", "bash -c plain.sh"),
    # names
    ("lifeline run --name a -- ./job.py", "lifeline run --name b -- ./job.py"),
    ("lifeline run --name a -- ./job.py", "lifeline run -- ./job.py"),
    ("lifeline run --name job.py -- x", "./job.py"),
    ("lifeline run -- ./job.py", "lifeline explain -- ./job.py"),
]

# Different words, and still one command: only one of the two shows its environment.
COMPATIBLE = [
    ("python -m app.worker", "/srv/venv/bin/python -m app.worker"),
    ("python -m app.worker", "python3 -m app.worker"),
]
