"""A real full disk under the store, or under its journal, while commits arrive."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bri_assets_tests.commands import ROOT


@pytest.mark.parametrize("way", ["direct", "owner"])
@pytest.mark.parametrize("folder", ["store", "staged"])
def test_a_disk_that_fills_loses_nothing_and_goes_on_with_room(home: Path, folder: str, way: str) -> None:
    found = _on_small_disk(home, home / folder, way)

    assert found["named"], found["error"]
    assert "Make room on that disk" in found["error"]
    assert found["committed"] > 0
    assert found["again"] == 1
    assert found["acknowledged"] == found["committed"] + 3 + 1
    assert not found["broken"]


def _on_small_disk(home: Path, folder: Path, way: str) -> Any:
    """Run ``small_disk`` with a file system over a folder that has 5 MB more than what lies in the folder."""
    assert shutil.which("unshare"), "this test needs util-linux, which Linux systems have"
    kept = folder.with_name("kept")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) // 1024 + 5_000
    script = f"""
    set -eu
    cp -r "{folder}" "{kept}"
    mount -t tmpfs -o size={size}k tmpfs "{folder}"
    cp -r "{kept}"/. "{folder}"/
    touch "{folder}/ballast"
    exec "{sys.executable}" -m bri_assets_tests.faults.small_disk "{home}" "{folder}" {way}
    """
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
