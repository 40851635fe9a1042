"""What a bench printed, as Markdown. ValueError or KeyError if it is not what was expected."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table, with a line's end behind it."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(_cell(each) for each in line)} |\n" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def text(output: str) -> str:
    """As it is. It has to end with a line that has a word in it."""
    if not output.strip():
        raise ValueError("nothing was printed")
    return f"```text\n{output.strip()}\n```\n"


def last_line(output: str) -> str:
    """The summary, which stands at the end."""
    return text(output.strip().splitlines()[-1] if output.strip() else "")


def sections(output: str) -> str:
    """What `bench.measure.show` prints, from its JSON."""
    parts = []
    for section in json.loads(output)["sections"]:
        rows = [_row(each, section["unit"]) for each in section["rows"]]
        parts.append(f"**{section['title']}**\n\n{table(('', '', 'ratio', '', 'target'), rows)}")
    return "\n".join(parts)


def _row(row: dict[str, Any], unit: str) -> list[str]:
    times = row["times"]
    ratio = (
        "" if not times else f"{times['median']:.2f} ({times['low']:.2f} to {times['high']:.2f})"
    )
    value = f"{row['value']:.2f} {unit}" if unit else f"{row['value']:.2f}"
    return [row["what"], value, ratio, row["of"], _target(row)]


def _target(row: dict[str, Any]) -> str:
    if row["target"] is None:
        return ""
    return f"{row['target']:g}: {'**missed**' if row['missed'] else 'met'}"


def subjects(output: str) -> str:
    """The supervisor and its peers."""
    rows = []
    for each in json.loads(output)["subjects"]:
        back = "" if each["back"] is None else f"{each['back'] * 1000:.0f} ms"
        missed = ", ".join(each["missed"])
        verdict = "" if each["target"] is None else f"**missed: {missed}**" if missed else "met"
        figures = (f"{each['memory']:.1f} MiB", f"{each['cpu']:.3f} %", f"{each['switches']:.0f}")
        rows.append([each["name"], *figures, back, verdict])
    header = ("", "resident", "of a core", "switches a minute", "back after KILL", "targets")
    return table(header, rows)


def model(output: str) -> str:
    """Each configuration: what was searched, and whether the verdict is the expected one."""
    results = json.loads(output)["results"]
    rows = [
        [
            each["name"],
            each["contenders"],
            f"{each['states']:,}",
            each["verdict"],
            "as expected" if each["as_expected"] else f"**expected {each['expected']}**",
        ]
        for each in results
    ]
    wrong = sum(not each["as_expected"] for each in results)
    summary = f"{len(results)} searches, {wrong} of them not as expected.\n\n"
    return summary + table(("configuration", "starters", "states", "verdict", ""), rows)


def faults(output: str) -> str:
    """One line for each store; each fault that went wrong is named."""
    rounds = json.loads(output)
    rows = []
    for store in dict.fromkeys(each["store"] for each in rounds):
        mine = [each for each in rounds if each["store"] == store]
        worst = max((each["worst"] for each in mine if each["worst"] is not None), default=None)
        rows.append(
            [
                store,
                sum(each["rounds"] for each in mine),
                sum(each["overlaps"] for each in mine),
                sum(each["late lines"] for each in mine),
                sum(each["late lines admitted"] for each in mine),
                "" if worst is None else f"{worst:.1f} s",
                ", ".join(each["fault"] for each in mine if each["broken"]) or "none",
            ]
        )
    header = ("store", "rounds", "overlaps", "late writes", "of them admitted", "slowest takeover")
    return table((*header, "rounds that could not be judged"), rows)
