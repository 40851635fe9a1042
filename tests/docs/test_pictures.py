"""Pictures of terminals: there, sound, and loading nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ["status", "explain", "top", "scale-explain"]


def words_of(path: Path) -> str:
    """What can be read on a picture."""
    texts = ElementTree.parse(path).getroot().itertext()
    return " ".join(" ".join(texts).replace("\xa0", " ").split())


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_an_svg_of_its_own(name: str) -> None:
    """XML that names no other host; only where SVG's own names come from."""
    path = ROOT / "docs" / "pictures" / f"{name}.svg"
    found = set(re.findall(r"[a-z]+://[^\"'\s<)]+", path.read_text()))
    assert found <= {"http://www.w3.org/2000/svg"}
    assert "lifeline" in words_of(path)


def test_there_is_no_other_picture() -> None:
    """What the command does not draw would go stale; what it draws is shown on a page."""
    drawn = {path.stem for path in (ROOT / "docs" / "pictures").iterdir()}
    assert drawn == set(NAMES)
    pages = "\n".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    assert set(re.findall(r"\]\(pictures/([\w-]+)\.svg\)", pages)) == drawn


def test_a_name_that_no_picture_has() -> None:
    """The command says which there are."""
    words = [sys.executable, str(ROOT / "tools" / "pictures.py"), "nonsense"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert all(name in ended.stderr for name in NAMES)


def test_the_program_of_the_metrics_page_runs(tmp_path: Path) -> None:
    """The spans of a run that has ended, on the console."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    (body,) = re.findall(r"^```python\n(# spans\.py\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "spans.py").write_text(body)
    lifeline = str(Path(sys.executable).with_name("lifeline"))
    subprocess.run([lifeline, "run", "--name", "mailer", "--", "true"], check=True, timeout=60)
    ended = subprocess.run(
        [sys.executable, "spans.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert '"name": "mailer"' in ended.stdout
