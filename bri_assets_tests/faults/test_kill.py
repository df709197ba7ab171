"""Processes that are killed with SIGKILL: no partial video, no acknowledged commit lost, and the work goes on after."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bri_assets_tests.bundles import open_store
from bri_assets_tests.clips import make_clip
from bri_assets_tests.commands import ROOT, Bri

COMMITTER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from bri_assets.files import sha256_bytes
    from bri_assets_tests.bundles import open_store, rows, stage
    home, seed = Path(sys.argv[1]), sys.argv[2]
    store = open_store(home)
    for number in range(100_000):
        sha256 = sha256_bytes(f"{seed} {number}".encode())
        bundle = stage(home, rows(home, video_id=f"v-{sha256[:12]}", sha256=sha256))
        committed = store.commit(bundle, run_id="run", channel="test")
        print(committed.version_id, flush=True)
    """
)


def test_commits_survive_kills_whole(tmp_path: Path) -> None:
    """Twelve processes, each killed at a moment of chance while it commits; the seed is in the message."""
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    acknowledged: set[int] = set()
    for number in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", COMMITTER, str(tmp_path), str(number)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert process.stdout is not None
        acknowledged.add(int(process.stdout.readline()))
        time.sleep(chance.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        acknowledged.update(int(line) for line in process.stdout if line.endswith("\n"))
        process.wait()
    with open_store(tmp_path).file.open() as connection:
        counts = connection.execute(
            """SELECT n.version_id, (SELECT count(*) FROM frames f WHERE f.version_id = n.version_id),
                      (SELECT count(*) FROM captions c WHERE c.version_id = n.version_id),
                      (SELECT count(*) FROM transcripts t WHERE t.version_id = n.version_id),
                      (SELECT count(*) FROM detections d WHERE d.version_id = n.version_id),
                      (SELECT count(*) FROM lineage l WHERE l.version_id = n.version_id),
                      (SELECT count(*) FROM current_versions p WHERE p.version_id = n.version_id)
               FROM video_versions n"""
        ).fetchall()
        orphans = connection.execute(
            "SELECT count(*) FROM frames WHERE version_id NOT IN (SELECT version_id FROM video_versions)"
        ).fetchone()
    assert {row[1:] for row in counts} == {(4, 4, 3, 8, 5, 1)}, seed
    assert acknowledged <= {row[0] for row in counts}, seed
    assert orphans == (0,)


@pytest.mark.parametrize("when", ["frames …", "detections …", "committed_video …"])
def test_an_ingest_that_is_killed_is_told_and_done_again(
    when: str, light_variables: dict[str, str], tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=5, audio="tone")
    bri = Bri(tmp_path / "data", light_variables)
    process = bri.start("ingest", clip)
    assert process.stdout is not None
    for line in process.stdout:
        if when in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    (row,) = bri.store.status()
    assert row["state"] in ("ingesting", "committed")
    assert (row["version"] is None) is (row["state"] == "ingesting")

    printed = bri("ingest", clip)

    assert "committed" in printed
    (row,) = bri.store.status()
    assert (row["state"], row["version"], row["frames"], row["captions"]) == ("committed", 1, 3, 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ingest_that_is_interrupted_says_so_and_can_be_done_again(
    number: signal.Signals, light_variables: dict[str, str], tmp_path: Path
) -> None:
    clip, other = make_clip(tmp_path / "clip.mp4", seconds=5), make_clip(tmp_path / "other.mp4", seconds=1)
    bri = Bri(tmp_path / "data", light_variables)
    process = bri.start("ingest", clip, other)
    assert process.stdout is not None
    for line in process.stdout:
        if "detections …" in line:
            break
    process.send_signal(number)
    printed = process.stdout.read()
    assert process.wait() == 130
    assert "1 of 2 not begun: other.mp4" in printed
    (row,) = bri.store.status()
    # The signal may meet a library that goes on regardless: then the video is whole, and the next is not begun.
    assert (row["state"], row["code"]) in (("failed", "stopped"), ("committed", None))
    assert row["state"] == "committed" or "somebody stopped it" in row["reason"]
    assert "committed" in bri("ingest", clip)
    assert bri.store.status()[0]["state"] == "committed"
