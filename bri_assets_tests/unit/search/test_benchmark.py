"""The benchmark of the search tells every figure, and the relevance of real texts does not get worse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bri_assets_tests.commands import ROOT


def test_every_figure_is_told_and_right_texts_come_first(tmp_path: Path, light: dict[str, Any]) -> None:
    results = tmp_path / "search.json"
    options = ["--texts=450", "--questions=4", "--vectors-from=400", f"--models={light['models_dir']}"]
    command = [sys.executable, "-m", "benchmarks.search", *options, f"--results={results}", f"--scratch={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    told = json.loads(results.read_text())
    (size,) = told["sizes"]
    assert (size["texts"], size["vectors"]) == (450, "ivf_rq")
    assert size["ms"].keys() == size["answers_a_second"].keys() == {"keyword", "semantic", "hybrid"}
    assert 0 < size["recall_at_10"] <= 1
    judged = {(one["kind"], one["mode"]): one for one in told["relevance"]}
    assert judged["words", "keyword"]["mrr"] == 1.0
    for kind in ("words", "meaning", "question", "clip"):
        assert judged[kind, "hybrid"]["recall_at_5"] >= 0.95
        assert judged[kind, "hybrid"]["mrr"] >= 0.85
    assert judged["nothing", "keyword"]["nothing"] == 1.0
    assert "synthetic" in told
    assert [path for path in tmp_path.iterdir() if path != results] == [], "scratch indexes are removed"
