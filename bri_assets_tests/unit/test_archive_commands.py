"""`bri archive`, `bri unarchive` and `bri orphans`: what they print, and their exit status."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bri_assets.commands.archive import app
from bri_assets.errors import ArchiveDamaged
from bri_assets.files import write_atomically
from bri_assets_tests.bundles import VIDEO_ID, open_store, rows, stage


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a video of two versions."""
    for name, value in {"BRI_HOME": tmp_path, "DAGSTER_HOME": tmp_path / "dagster", "COLUMNS": 200}.items():
        monkeypatch.setenv(name, str(value))
    store, tables = open_store(tmp_path), rows(tmp_path)
    store.commit(stage(tmp_path, tables), run_id="run-1", channel="test")
    tables["captions"][0]["text"] = "a better picture"
    store.commit(stage(tmp_path, tables, run_id="run-2"), run_id="run-2", channel="test")
    return tmp_path


def bri(*arguments: str, exits: int = 0) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == exits, done.output
    return done.stdout


def bri_json(*arguments: str, exits: int = 0) -> Any:
    return json.loads(bri(*arguments, "--json", exits=exits))


def test_archive_and_unarchive(home: Path) -> None:
    assert bri_json("archive") == {"archived": [], "skipped": [], "failed": []}
    assert "0 version(s)" in bri("archive", "--dry-run")
    (due,) = bri_json("archive", "--dry-run", "--older-than", "0")["due"]
    assert (due["video_id"], due["version"], due["row_count"]) == (VIDEO_ID, 1, 19)
    assert not (home / "archive").exists()
    assert f"archived {VIDEO_ID} version 1, 19 rows" in bri("archive", "--older-than", "0")
    back = bri_json("unarchive", "holiday", "1")
    assert (back["video_id"], back["version"], back["changed"]) == (VIDEO_ID, 1, True)
    assert "is not archived; nothing changed" in bri("unarchive", "holiday", "1")
    bri("archive", "--older-than", "-1", exits=2)
    bri("unarchive", "holiday", "0", exits=2)


def test_what_fails_is_told_and_is_exit_status_1(home: Path) -> None:
    with open_store(home).file.open() as connection:
        connection.execute("UPDATE captions SET text = 'changed' WHERE version_id = 1")
    told = bri("archive", "--older-than", "0", exits=1)
    assert f"failed {VIDEO_ID} version 1: {VIDEO_ID} version 1: its rows are not those" in told
    (failed,) = bri_json("archive", "--older-than", "0", exits=1)["failed"]
    assert "captions" in failed["reason"]


def test_a_damaged_archive_is_an_error_of_ours(home: Path) -> None:
    bri("archive", "--older-than", "0")
    next((home / "archive").rglob("*.parquet")).write_bytes(b"")
    with pytest.raises(ArchiveDamaged):
        bri("unarchive", "holiday", "1")


def test_orphans_are_reported_and_removed_only_when_asked(home: Path) -> None:
    path = f"frames/{VIDEO_ID}/000001-0123456789ab.jpg"
    write_atomically(home / path, b"nobody names it")
    assert bri_json("orphans")["orphans"] == []
    for file in home.rglob("*"):
        if "store" not in file.parts:
            os.utime(file, (0, 0))
    assert "1 orphan(s), 15 bytes." in bri("orphans")
    told = bri_json("orphans")
    assert ([orphan["path"] for orphan in told["orphans"]], told["size_bytes"]) == ([path], 15)
    assert "removed" not in told
    assert (home / path).exists()
    assert "1 removed, 15 bytes." in bri("orphans", "--remove")
    assert not (home / path).exists()
    assert bri_json("orphans", "--remove")["removed"] == {"paths": [], "size_bytes": 0, "kept": []}
