"""The benchmark of the reads runs to its end and tells every figure; how large any of them is, nobody asks here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bri_assets_tests.commands import ROOT


def test_every_read_is_told_beside_its_bare_query(tmp_path: Path) -> None:
    results = tmp_path / "reads.json"
    options = ["--detections=1200", "--times=2", "--batch=3", f"--results={results}", f"--scratch={tmp_path}"]
    command = [sys.executable, "-m", "benchmarks.reads", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    told = json.loads(results.read_text())
    assert (told["videos"], told["detections"]) == (3, 1200)
    one, three = told["reads_by_videos_asked_at_once"].values()
    assert set(three) < set(one)
    assert [bound["name"] for bound in told["bounds"]] == list(one)
    assert all(value > 0 for figures in (*one.values(), *three.values()) for value in figures.values())
    assert "synthetic" in done.stdout
    assert [path for path in tmp_path.iterdir() if path != results] == [], "the scratch store is removed"
    assert str(tmp_path) not in results.read_text()
