"""A real full disk: BRI_HOME's frames lie on a file system of a few hundred kilobytes, in a name space of the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bri_assets_tests.clips import make_clip
from bri_assets_tests.commands import ROOT, Bri


def test_a_disk_that_fills_while_frames_are_written(light_variables: dict[str, str], tmp_path: Path) -> None:
    bri = Bri(tmp_path / "data", light_variables)
    small = make_clip(tmp_path / "small.mp4", seconds=1)
    large = make_clip(tmp_path / "large.mp4", seconds=60, fps=2, size=(1280, 720), codec="mpeg4")
    bri("ingest", small)
    images = sorted((bri.home / "frames").rglob("*.jpg"))
    assert images

    done = _with_small_disk(bri, bri.home / "frames", "ingest", large)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "ENOSPC" in done.stdout
    assert "Make room on that disk" in done.stdout
    assert "left on the small disk: 1" in done.stdout
    status = {row["filename"]: row for row in bri.store.status()}
    assert status["large.mp4"]["state"] == "failed"
    assert "ENOSPC" in status["large.mp4"]["reason"]
    assert status["small.mp4"]["state"] == "committed"
    assert bri.store.video("small")["frames"]

    assert "committed" in bri("ingest", large)
    assert bri.store.video("large")["video"]["frames"] == 30


def _with_small_disk(bri: Bri, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `bri` with a file system of 300 kB over a folder; what lay in the folder is copied onto it."""
    assert shutil.which("unshare"), "this test needs util-linux, which Linux systems have"
    kept = folder.with_name("kept")
    command = " ".join(f'"{part}"' for part in (sys.executable, "-m", "bri_assets.cli", *map(str, arguments)))
    script = f"""
    set -u
    cp -r "{folder}" "{kept}"
    mount -t tmpfs -o size=300k tmpfs "{folder}" || exit 99
    cp -r "{kept}"/. "{folder}"/
    {command}
    status=$?
    echo "left on the small disk: $(find "{folder}" -type f | wc -l)"
    exit $status
    """
    return subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script],
        env=bri.environment | {"PATH": os.environ["PATH"]},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
