"""``python -m benchmarks.store``: what commits, backups, restores and sizes of the store cost; see README.md beside.

What does not belong here: queries, and how anything is measured (``commits``, ``recovery``, ``sizes``).
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import commits, recovery, sizes
from benchmarks.commits import Place
from benchmarks.figures import BARE, Bound, Samples, machine, print_bounds, print_samples
from benchmarks.filling import fill
from benchmarks.synthetic import DETECTIONS
from bri_assets.settings import Settings

__all__ = ["main"]

_RESULTS = Path(__file__).parent / "results" / "store.json"

_GROWTH, _OF_BARE, _RECOVERY_S, _SIZE = 1.5, 3.0, 300.0, 1.5

_WAYS = ("transaction", "commit through the owner", "commit directly")


def main(
    detections: Annotated[int, typer.Option(min=0, help="Detections in the full store, 400 a video.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each way of committing has.")] = 3,
    each: Annotated[int, typer.Option(min=1, help="Measured commits of each way in a turn.")] = 5,
    recoveries: Annotated[int, typer.Option(min=1, help="Backups and restores.")] = 5,
    replayed: Annotated[int, typer.Option(min=1, help="Commits during each backup, replayed by its restore.")] = 5,
    size_videos: Annotated[int, typer.Option(min=1, help="Videos of which the file size is measured.")] = 30,
    recommits: Annotated[int, typer.Option(min=1, help="How often each of them is committed again.")] = 10,
    results: Annotated[Path, typer.Option(help="Where the figures are written, as JSON.")] = _RESULTS,
    note: Annotated[str, typer.Option(help="What a reader of the figures should know, such as what else ran.")] = "",
    scratch: Annotated[Path | None, typer.Option(help="Where the stores are made; default: the system's.")] = None,
) -> None:
    """Measure the store on this machine; all rows are synthetic. Ten million detections need 10 GB of disk."""
    _forget_settings()
    console = Console(width=max(Console().width, 120), highlight=False)
    started, before = datetime.now(UTC), machine()
    samples = Samples(lambda text: console.print(f"[dim]{text}[/]"))
    with tempfile.TemporaryDirectory(prefix="bri-benchmark-", dir=scratch) as folder:
        videos = detections // DETECTIONS
        places = [_place(Path(folder), "empty", 0, samples), _place(Path(folder), "full", videos, samples)]
        commits.measure(places, samples, rounds=rounds, each=each)
        recovered = recovery.measure(places[1], samples, times=recoveries, commits=replayed)
        size = sizes.measure(_settings(Path(folder), "sizes"), samples, videos=size_videos, recommits=recommits)
    bounds = _bounds(samples, size)
    record = {
        "synthetic": "every row is invented (benchmarks/synthetic.py)",
        "detections": videos * DETECTIONS,
        "videos": videos,
        "note": note,
        "machine": {"before": before, "after": machine()},
        "started_at": started.isoformat(timespec="seconds"),
        "minutes": round((datetime.now(UTC) - started).total_seconds() / 60, 1),
        "bounds": [bound.record() for bound in bounds],
        "recovered": asdict(recovered),
        "sizes": asdict(size),
        "times": samples.record(),
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(record, indent=1) + "\n")
    _print(console, samples, bounds, record)


def _forget_settings() -> None:
    """No setting of the person who runs this reaches what is measured."""
    for name in [name for name in os.environ if name.startswith(("BRI_", "DAGSTER_"))]:
        del os.environ[name]


def _settings(folder: Path, name: str) -> Settings:
    home = folder / name
    home.mkdir()
    return Settings(home=home)


def _place(folder: Path, name: str, videos: int, samples: Samples) -> Place:
    place = Place(name, _settings(folder, name), videos)
    with place.file.open():
        pass
    fill(place.file, videos, samples.say)
    return place


def _bounds(samples: Samples, size: sizes.Sizes) -> list[Bound]:
    grown = [Bound(f"{way}, full : empty", samples.growth(way), _GROWTH) for way in _WAYS]
    ratios = [
        Bound(f"{way} : {BARE}, {store} store", samples.ratio(way, store), _OF_BARE)
        for way in _WAYS
        for store in ("empty", "full")
    ]
    recoveries = [Bound(what, samples.series(what, "full").median, _RECOVERY_S, "s") for what in ("backup", "restore")]
    what = "file after re-commits, archive and compact"
    left = [
        Bound(f"{what} : fresh", size.compacted / size.fresh, _SIZE),
        Bound(f"{what} : fresh and compacted", size.compacted / size.fresh_compacted, _SIZE),
    ]
    return [*grown, *ratios, *recoveries, *left]


def _print(console: Console, samples: Samples, bounds: list[Bound], record: dict[str, Any]) -> None:
    before, after = record["machine"]["before"], record["machine"]["after"]
    console.print(
        f"{before['cores']} cores, {before['memory_gib']} GiB, {before['system']}, Python {before['python']},"
        f" DuckDB {before['duckdb']}; load {before['load_of_one_minute']} before,"
        f" {after['load_of_one_minute']} after; {record['minutes']} minutes"
    )
    console.print(f"the full store: {record['detections']:,} detections of {record['videos']:,} videos, all synthetic")
    if record["note"]:
        console.print(f"note: {record['note']}", markup=False)
    print_samples(console, samples)
    saved, size = record["recovered"], record["sizes"]
    for what in ("backup", "restore"):
        seconds = samples.series(what, "full").median
        console.print(
            f"{what}: {saved['size_bytes'] / 1e6:,.0f} MB, {saved['rows']:,} rows,"
            f" {saved['rows'] / seconds:,.0f} rows a second proven, all counted"
        )
    console.print(f"each restore replayed {saved['replayed']} commits")
    console.print(
        f"file of {size['videos']} videos: fresh {size['fresh'] / 1e6:.1f} MB,"
        f" compacted {size['fresh_compacted'] / 1e6:.1f}; after {size['recommits']} re-commits of"
        f" everything {size['recommitted'] / 1e6:.1f}; archived {size['archived'] / 1e6:.1f};"
        f" compacted {size['compacted'] / 1e6:.1f}"
    )
    print_bounds(console, bounds)


if __name__ == "__main__":
    typer.run(main)
