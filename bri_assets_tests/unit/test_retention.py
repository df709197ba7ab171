"""The commands `bri delete`, `undelete`, `purge` and `export`: what they say, and their exit statuses."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from bri_assets.commands.retention import app
from bri_assets.errors import BriError, VideoDeleted, VideoNotFound
from bri_assets.intake import examine
from bri_assets.session import Session
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.erasure.purge import Purge
from bri_assets_tests.bundles import VIDEO_ID, open_store, rows, stage
from bri_assets_tests.clips import make_clip
from bri_assets_tests.snapshots import snapshot


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with one video, which the commands find by BRI_HOME."""
    store = open_store(tmp_path / "home")
    store.commit(stage(store.home, rows(store.home)), run_id="run-1", channel="test")
    monkeypatch.setenv("BRI_HOME", str(store.home))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("BRI_PURGE_AFTER_DAYS", "0")
    return store


def bri(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_delete_and_undelete_say_what_they_did(store: Store) -> None:
    for word in ("is deleted", "was already deleted"):
        done = bri("delete", "holiday")
        assert (done.exit_code, word in done.output) == (0, True)
    said = json.loads(bri("delete", "holiday", "--json").stdout)
    assert (said["video_id"], said["changed"]) == (VIDEO_ID, False)
    for word in ("is back", "nothing changed"):
        assert word in bri("undelete", "holiday").output
    assert json.loads(bri("undelete", "holiday", "--json").stdout)["deleted_at"] is None
    assert isinstance(bri("delete", "unheard-of").exception, VideoNotFound)


def test_a_purge_asks_and_says_what_it_removed_and_what_it_leaves(store: Store) -> None:
    refused = bri("purge", "holiday")
    assert refused.exit_code == 2
    assert "--yes" in refused.output
    assert store.video(VIDEO_ID)
    done = bri("purge", "holiday", "--yes", "--reason", "asked by letter")
    assert done.exit_code == 0
    assert all(word in done.output for word in ("4 frames", "8 detections", "left", "Dagster's event store", "audit"))
    assert isinstance(bri("undelete", VIDEO_ID).exception, VideoNotFound)


def test_a_purge_of_all_that_is_due_removes_those_and_fails_where_one_fails(store: Store) -> None:
    assert "No purge is due" in bri("purge", "--due").output
    bri("delete", "holiday")
    frames = store.home / "frames" / VIDEO_ID
    frames.rename(store.home / "elsewhere")
    frames.symlink_to(store.home / "elsewhere")
    failed = bri("purge", "--due", "--json")
    assert failed.exit_code == 1
    assert list(json.loads(failed.stdout)["failed"]) == [VIDEO_ID]
    assert isinstance(bri("undelete", "holiday").exception, VideoDeleted)
    frames.unlink()
    done = json.loads(bri("purge", "--due", "--json").stdout)
    assert [purged["rows"]["frames"] for purged in done["purged"]] == [4]


@pytest.mark.parametrize("words", [[], ["holiday", "--due"]])
def test_a_purge_of_nothing_or_of_both_is_wrong_usage(store: Store, words: list[str]) -> None:
    assert bri("purge", *words).exit_code == 2
    assert store.video(VIDEO_ID)


def test_an_export_says_where_it_lies_and_is_not_overwritten(store: Store, tmp_path: Path) -> None:
    done = bri("export", "holiday", str(tmp_path / "out"))
    assert (done.exit_code, "1 version(s)" in done.output) == (0, True)
    again = bri("export", "holiday", str(tmp_path / "out"))
    assert (again.exit_code, isinstance(again.exception, BriError)) == (1, True)
    said = json.loads(bri("export", "holiday", str(tmp_path / "more"), "--json").stdout)
    assert said["folder"] == str(tmp_path / "more")
    assert "tables/frames.parquet" in {file["file"] for file in said["files"]}


@pytest.mark.parametrize("state", ["deleted", "being purged"])
def test_an_ingest_of_what_was_deleted_says_what_to_do_and_ingests_nothing(
    store: Store, tmp_path: Path, state: str
) -> None:
    path = make_clip(tmp_path / "clip.mp4", seconds=1)
    upload = examine(path).upload
    assert upload.video_id is not None
    assert upload.sha256 is not None
    store.claim(upload, requested_by="cli")
    tables = rows(store.home, video_id=upload.video_id, sha256=upload.sha256)
    store.commit(stage(store.home, tables), run_id="run-2", channel="test")
    bri("delete", upload.video_id)
    if state == "being purged":
        Purge(store.home, store.file, store.staging).begin(upload.video_id, reason="asked", channel="cli")
    before = snapshot(store, without=("audit_log", "uploads"))
    told = io.StringIO()
    assert Session(Settings(settle_s=0), Console(file=told)).ingest(path) is False
    assert "not ingested" in told.getvalue()
    assert f"bri purge {upload.video_id}" in told.getvalue()
    assert (f"bri undelete {upload.video_id}" in told.getvalue()) is (state == "deleted")
    assert snapshot(store, without=("audit_log", "uploads")) == before
    assert [row["state"] for row in store.status()] == ["deleted"]
