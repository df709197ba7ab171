"""The benchmark of the store runs to its end and tells every figure; how large any of them is, nobody asks here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.filling import fill
from bri_assets.schemas import VERSIONED_TABLES
from bri_assets.store import PROOFS
from bri_assets.store.recovery.whole import examine
from bri_assets_tests.bundles import open_store
from bri_assets_tests.commands import ROOT

SMALLEST = {
    "detections": 800,
    "rounds": 1,
    "each": 1,
    "recoveries": 1,
    "replayed": 1,
    "size-videos": 1,
    "recommits": 1,
}

BOTH = ["empty", "full"]


def test_every_figure_is_told(tmp_path: Path) -> None:
    results = tmp_path / "store.json"
    options = [f"--{name}={value}" for name, value in SMALLEST.items()]
    command = [sys.executable, "-m", "benchmarks.store", *options, f"--results={results}", f"--scratch={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    told = json.loads(results.read_text())
    assert (told["videos"], told["detections"]) == (2, 800)
    stores = {what: list(where) for what, where in told["times"].items()}
    for what in ("bare insert", "transaction", "commit through the owner", "commit directly", "directly: file closed"):
        assert stores[what] == BOTH
    for what in ("backup", "backup: commits paused", "backup: longest commit", "restore"):
        assert stores[what] == ["full"]
    assert told["recovered"]["replayed"] == 1
    assert told["sizes"]["videos"] == told["sizes"]["recommits"] == 1
    assert all(size > 0 for size in told["sizes"].values())
    assert len(told["bounds"]) == 13

    printed = " ".join(done.stdout.split())
    assert "synthetic" in printed
    assert f"{len(told['bounds'])}" == str(printed.count(" holds ") + printed.count(" does not hold "))
    assert [path for path in tmp_path.iterdir() if path != results] == [], "scratch stores are removed"
    assert str(tmp_path) not in results.read_text()


def test_what_is_filled_in_bulk_is_what_commits_would_have_left(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store.file, 2, lambda _: None)
    with store.file.open() as connection:
        found = examine(connection)
        sizes = {
            spec.name: connection.execute(f"SELECT count(*) FROM {spec.name}").fetchone() for spec in VERSIONED_TABLES
        }
        proofs = connection.execute("SELECT count(*) FROM proofs WHERE passed").fetchone()
    assert (found.videos, found.versions, found.wrong) == (2, 2, [])
    assert sizes == {"frames": (200,), "captions": (200,), "transcripts": (100,), "detections": (800,)}
    assert proofs == (2 * len(PROOFS),)
    assert store.video("synthetic-0.mp4")["video"]["detections"] == 400
