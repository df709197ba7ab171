"""Figures: what was measured, the bounds it is held against, and how both are shown and kept.

What does not belong here: measuring.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb
import psutil
from rich.console import Console
from rich.table import Table

__all__ = ["BARE", "BARE_ALL", "Bound", "Samples", "Series", "machine", "print_bounds", "print_samples"]

#: What everything is told as a ratio to, in the same store.
BARE = "bare insert"

#: The same, with the rows that a commit writes besides: proofs, statistics, the move of the pointer, the audit log.
BARE_ALL = "bare insert of all that a commit writes"


@dataclass(frozen=True)
class Series:
    """Times of one thing, in seconds, in the order in which they were taken."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Their median."""
        return statistics.median(self.seconds)

    @property
    def worst(self) -> float:
        """The longest."""
        return max(self.seconds)


@dataclass
class Samples:
    """Everything that is measured in one run.

    Args:
        say: is told, as a sentence, how far the run came.
        taken: times in seconds, by what was done and in which store.
    """

    say: Callable[[str], None]
    taken: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def take(self, store: str, seconds: dict[str, float]) -> None:
        """Keep one more time of each thing."""
        for what, taken in seconds.items():
            self.taken.setdefault((what, store), []).append(taken)

    def series(self, what: str, store: str) -> Series:
        """All times of one thing in one store."""
        return Series(tuple(self.taken[what, store]))

    def ratio(self, what: str, store: str, to: str = BARE) -> float:
        """The median of one thing, as a multiple of another one's, the bare insert's, in the same store."""
        return self.series(what, store).median / self.series(to, store).median

    def growth(self, what: str) -> float:
        """The median of one thing in the full store, as a multiple of that in the empty one."""
        return self.series(what, "full").median / self.series(what, "empty").median

    @property
    def names(self) -> list[str]:
        """What was done, in the order in which it was first done."""
        return list(dict.fromkeys(what for what, _ in self.taken))

    def record(self) -> dict[str, dict[str, Any]]:
        """Everything as plain values, by what was done and in which store."""
        kept: dict[str, dict[str, Any]] = {}
        for (what, store), seconds in self.taken.items():
            series = self.series(what, store)
            kept.setdefault(what, {})[store] = {
                "median_s": series.median,
                "worst_s": series.worst,
                "of_bare_insert": self.ratio(what, store),
                "of_bare_insert_of_all": self.ratio(what, store, BARE_ALL),
                "seconds": seconds,
            }
        return kept


@dataclass(frozen=True)
class Bound:
    """A promise and what came of it: ``value`` is to be at most ``limit``, both in ``unit``."""

    name: str
    value: float
    limit: float
    unit: str = "×"

    @property
    def holds(self) -> bool:
        """Whether it is kept."""
        return self.value <= self.limit

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"holds": self.holds}


def machine() -> dict[str, Any]:
    """What the figures were measured on, in words that tell no name of it."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} on {platform.machine()}",
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
        "load_of_one_minute": round(os.getloadavg()[0], 2),
    }


def print_samples(console: Console, samples: Samples) -> None:
    """Show every series with its ratios."""
    columns = ("what", "store", "median s", "longest s", "× bare insert", "× bare, all", "full : empty")
    table = Table(*columns, title="seconds, of synthetic rows")
    for row in _rows(samples):
        table.add_row(*row)
    console.print(table)


def _rows(samples: Samples) -> Iterator[tuple[str, ...]]:
    for what in samples.names:
        stores = [store for name, store in samples.taken if name == what]
        for store in stores:
            series = samples.series(what, store)
            growth = f"{samples.growth(what):.2f}" if store == "full" and "empty" in stores else ""
            ratios = [f"{samples.ratio(what, store, to):.2f}" for to in (BARE, BARE_ALL)]
            name = what if store == stores[0] else ""
            yield name, store, f"{series.median:.4f}", f"{series.worst:.4f}", *ratios, growth


def print_bounds(console: Console, bounds: list[Bound]) -> None:
    """Show every bound and whether it holds."""
    table = Table("bound", "measured", "at most", "", title="bounds")
    for bound in bounds:
        verdict = "[green]holds[/]" if bound.holds else "[red]does not hold[/]"
        table.add_row(bound.name, f"{bound.value:.2f} {bound.unit}", f"{bound.limit:g} {bound.unit}", verdict)
    console.print(table)
