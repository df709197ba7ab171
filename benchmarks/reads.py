"""``python -m benchmarks.reads``: what the reads of an agent cost; see README.md beside.

What does not belong here: what is asked (``asking``), the server in front of the reads, and search.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.asking import Ask, asks
from benchmarks.figures import Bound, machine, print_bounds
from benchmarks.filling import fill
from benchmarks.synthetic import DETECTIONS
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import Queries, StoreFile
from bri_assets.store.access.owned import OwnedFile
from bri_assets.store.queries.model import VisibleVersion

__all__ = ["main"]

_RESULTS = Path(__file__).parent / "results" / "reads.json"

#: Longest time that a read of one video, or across all, may take in 95 of 100 cases, in ms.
_P95_MS = 100.0

#: Seconds of a read, CPU seconds of it, seconds of its bare query; by what was asked.
Taken = dict[str, list[tuple[float, float, float]]]


def main(
    detections: Annotated[int, typer.Option(min=400, help="Detections in the store, 400 a video.")] = 1_000_000,
    times: Annotated[int, typer.Option(min=1, help="How often each read is taken.")] = 40,
    batch: Annotated[int, typer.Option(min=2, help="Videos that are asked about at once, beside one.")] = 20,
    seed: Annotated[int, typer.Option(help="Chooses the videos and times.")] = 1,
    results: Annotated[Path, typer.Option(help="Where the figures are written, as JSON.")] = _RESULTS,
    note: Annotated[str, typer.Option(help="What a reader of the figures should know, such as what else ran.")] = "",
    scratch: Annotated[Path | None, typer.Option(help="Where the store is made; default: the system's.")] = None,
) -> None:
    """Measure every read on this machine; all rows are synthetic. Ten million detections need 3 GB of disk."""
    for name in [name for name in os.environ if name.startswith(("BRI_", "DAGSTER_"))]:
        del os.environ[name]
    console = Console(width=max(Console().width, 120), highlight=False)
    started, before = datetime.now(UTC), machine()
    chance = random.Random(seed)  # noqa: S311 - no secret
    with (
        tempfile.TemporaryDirectory(prefix="bri-benchmark-", dir=scratch) as folder,
        _store(Path(folder), detections // DETECTIONS, console) as (queries, owned),
    ):
        visible = queries.visible()
        told = {
            str(size): _figures(_measure(queries, owned, visible, size, times, chance))
            for size in (1, min(batch, len(visible)))
        }
    bounds = [Bound(name, figures["p95_ms"], _P95_MS, "ms") for name, figures in told["1"].items()]
    record = {
        "synthetic": "every row is invented (benchmarks/synthetic.py)",
        "detections": len(visible) * DETECTIONS,
        "videos": len(visible),
        "times": times,
        "note": note,
        "machine": {"before": before, "after": machine()},
        "started_at": started.isoformat(timespec="seconds"),
        "bounds": [bound.record() for bound in bounds],
        "reads_by_videos_asked_at_once": told,
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(record, indent=1) + "\n")
    _print(console, record, bounds)


@contextmanager
def _store(home: Path, videos: int, console: Console) -> Iterator[tuple[Queries, OwnedFile]]:
    """The reads of a full store, in the process that owns it."""
    settings = Settings(home=home)
    file = StoreFile.of(settings)
    fill(file, videos, lambda text: console.print(f"[dim]{text}[/]"))
    with OwnedFile.owning(file, settings.read_cursors) as owned:
        yield Queries(settings.home, owned, StagingArea(settings.staged_dir)), owned


def _measure(
    queries: Queries, owned: OwnedFile, visible: list[VisibleVersion], size: int, times: int, chance: random.Random
) -> Taken:
    """Each read and its bare query by turns, so that what else the machine does falls on both; no first is counted."""
    taken: Taken = {}
    for turn in range(times + 1):
        for ask in asks(visible, chance, size):
            found = _once(ask, queries, owned)
            if turn:
                taken.setdefault(ask.name, []).append(found)
    return taken


def _once(ask: Ask, queries: Queries, owned: OwnedFile) -> tuple[float, float, float]:
    cpu = time.process_time()
    read_s = _seconds(lambda: ask.read(queries))
    cpu_s = time.process_time() - cpu
    with owned.reading() as connection:
        bare_s = _seconds(lambda: ask.bare(connection))
    return read_s, cpu_s, bare_s


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _figures(taken: Taken) -> dict[str, dict[str, float]]:
    told = {}
    for name, samples in taken.items():
        reads, cpus, bares = (sorted(column) for column in zip(*samples, strict=True))
        told[name] = {
            "p50_ms": round(1000 * statistics.median(reads), 2),
            "p95_ms": round(1000 * _p95(reads), 2),
            "cpu_p50_ms": round(1000 * statistics.median(cpus), 2),
            "bare_p50_ms": round(1000 * statistics.median(bares), 2),
            "bare_p95_ms": round(1000 * _p95(bares), 2),
            "of_bare": round(statistics.median(reads) / statistics.median(bares), 2),
        }
    return told


def _p95(ordered: list[float]) -> float:
    return ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]


def _print(console: Console, record: dict[str, Any], bounds: list[Bound]) -> None:
    load = [record["machine"][when]["load_of_one_minute"] for when in ("before", "after")]
    console.print(
        f"{record['machine']['before']['cores']} cores, load {load[0]} before, {load[1]} after;"
        f" {record['detections']:,} detections of {record['videos']:,} videos, all synthetic"
    )
    if record["note"]:
        console.print(f"note: {record['note']}", markup=False)
    for size, told in record["reads_by_videos_asked_at_once"].items():
        columns = ("read", "p50 ms", "p95 ms", "CPU ms", "bare p50", "bare p95", "× bare")
        table = Table(*columns, title=f"{size} video(s) at once")
        for name, figures in told.items():
            table.add_row(name, *(f"{value:.1f}" for value in figures.values()))
        console.print(table)
    print_bounds(console, bounds)


if __name__ == "__main__":
    typer.run(main)
