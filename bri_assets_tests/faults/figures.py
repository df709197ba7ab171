"""The figures of a campaign as a page of documentation: what was killed where, and what was found after.

What does not belong here: carrying the campaign out (``campaign``).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from bri_assets_tests.commands import ROOT
from bri_assets_tests.faults.campaign import Outcome

__all__ = ["PAGE", "write_page"]

PAGE = ROOT / "docs" / "faults.md"

_WAYS = ("direct", "owner", "client")


def write_page(outcomes: Sequence[Outcome], *, seed: int, seconds: float, path: Path = PAGE) -> None:
    """Write the page; its tables count kills.

    Args:
        outcomes: of a campaign.
        seed: of its chance.
        seconds: that it took.
        path: the page.
    """
    kills = sum(outcome.kills for outcome in outcomes)
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    named = sum(outcome.kills for outcome in outcomes if outcome.case.point)
    lines = [
        _HEAD.format(
            kills=kills,
            named=named,
            points=len({outcome.case for outcome in outcomes if outcome.case.point}),
            chance=kills - named,
            problems=len(problems),
            asked=len(outcomes),
            day=f"{datetime.now(UTC):%Y-%m-%d}",
            minutes=f"{seconds / 60:.0f}",
            machine=f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB of memory",
            system=f"Linux {platform.release().split('-')[0]}",
            python=platform.python_version(),
            duckdb=version("duckdb"),
            package=version("bri-assets"),
            seed=seed,
        )
    ]
    for work in dict.fromkeys(outcome.case.work for outcome in sorted(outcomes, key=lambda found: found.case.work)):
        lines += [f"\n## {work.capitalize()}\n", *_table([found for found in outcomes if found.case.work == work])]
    if problems:
        lines += ["\n## What did not hold\n", *(f"- {problem.splitlines()[0]}" for problem in problems)]
    path.write_text("\n".join(lines) + "\n")


def _table(outcomes: Sequence[Outcome]) -> list[str]:
    ways = [way for way in _WAYS if any(outcome.case.way == way for outcome in outcomes)]
    head = ["killed", *(_TITLES[way] for way in ways), "it was there already"]
    points = dict.fromkeys(outcome.case.point for outcome in outcomes if outcome.case.point)
    rows = [
        [point.name if point else "at a moment of chance", *_counts(outcomes, point, ways)]
        for point in [*sorted(points, key=lambda point: point.name), None]
    ]
    return [_line(head), _line(["---"] + ["---:"] * (len(head) - 1)), *map(_line, rows)]


def _counts(outcomes: Sequence[Outcome], point: object, ways: Sequence[str]) -> list[str]:
    these = [outcome for outcome in outcomes if outcome.case.point == point]
    kills = [str(sum(o.kills for o in these if o.case.way == way) or "") for way in ways]
    return [*kills, str(sum(outcome.there for outcome in these) or "")]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


_TITLES = {"direct": "the process itself", "owner": "the owner", "client": "the owner's client"}

_HEAD = """# What the store survives

Made by `make faults KILLS={asked}` on {day}; do not edit.

{kills} processes were killed with SIGKILL while they worked on a store: {named} at {points} named points of the
package's code, {chance} at moments of chance. **{problems} times something did not hold afterwards.** What is looked
at after each kill ([invariants.py](../bri_assets_tests/faults/invariants.py)):

- the store opens, which finishes what was begun and holds it against its journal;
- every row of every version in it hashes to what was committed;
- everything that was acknowledged is there: versions with their numbers, the version that is shown, deletions,
  archived versions, backups;
- what was not acknowledged is there whole or not at all, and readers see whole videos only;
- of a turn of a conversation there is what the user said and what was answered, or nothing;
- the journal says what the audit log says;
- the same work, done again, finishes, and is there once.

It was done on {machine}, {system}, Python {python}, DuckDB {duckdb}, bri-assets {package}, in {minutes} minutes.

To repeat it: `make faults KILLS={asked}`, with the same points in the same order `make faults KILLS={asked}
SEED={seed}`. A run without a number is short and part of `make test`. The other faults (torn and changed files, full
disks, rivals, strangers, a clock that jumps) are tests beside it in `bri_assets_tests/faults/`.

*The process itself* has the database open and dies. *The owner* dies over a request of a client, who has to finish by
itself. *The owner's client* dies while the owner works for it, and another asks for the same. *It was there already*
counts the kills of a process itself after which readers saw the work done, and whole, before it was done again."""
