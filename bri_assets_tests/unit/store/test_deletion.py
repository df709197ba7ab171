"""Deleting hides a video at once, undeleting brings the very same back; a deleted one is not ingested or added to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bri_assets.errors import VideoDeleted, VideoNotFound
from bri_assets.files import sha256_bytes
from bri_assets.intake import Examined, Intake
from bri_assets.store import ClaimResult, NewUpload, Store
from bri_assets.store.deletion import Deletion, delete, require_not_deleted, undelete
from bri_assets.store.erasure.purge import Purge
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, open_store, rows, stage
from bri_assets_tests.snapshots import snapshot

OTHER_SHA256 = sha256_bytes(b"another upload")
OTHER_ID = f"holiday-{OTHER_SHA256[:12]}"
UPLOAD = NewUpload("/somewhere/holiday.mp4", "holiday.mp4", "1:2:3:4:5", 1000, SOURCE_SHA256, VIDEO_ID)
VIEWS = ("v_videos", "v_frames", "v_captions", "v_transcripts", "v_detections", "video_context")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one committed video."""
    store = open_store(tmp_path)
    store.claim(UPLOAD, requested_by="cli")
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    return store


def deletion(store: Store) -> Deletion:
    return Deletion(store.home, store.file, store.staging)


def events(store: Store) -> list[tuple[str, str, dict[str, Any]]]:
    with store.file.open() as connection:
        found = connection.execute(
            "SELECT action, entity_id, detail FROM audit_log WHERE action LIKE 'video.%' ORDER BY event_id"
        ).fetchall()
    return [(action, entity_id, json.loads(detail)) for action, entity_id, detail in found]


@pytest.mark.parametrize("name", [VIDEO_ID, "holiday.mp4", "holiday"])
def test_a_deleted_video_is_in_no_read_and_no_view_and_comes_back_the_same(store: Store, name: str) -> None:
    before = snapshot(store, without=("audit_log", "videos"))
    shown = store.video(VIDEO_ID)
    gone = deletion(store).delete(name, channel="cli")
    assert (gone.video_id, gone.changed) == (VIDEO_ID, True)
    with store.file.open() as connection:
        for view in VIEWS:
            assert connection.execute(f"FROM {view}").fetchall() == []
    with pytest.raises(VideoNotFound):
        store.video(VIDEO_ID)
    (row,) = store.status()
    assert (row["state"], row["version"]) == ("deleted", None)
    assert snapshot(store, without=("audit_log", "videos")) == before

    back = deletion(store).undelete(name, channel="cli")
    assert (back.deleted_at, back.changed) == (None, True)
    assert store.video(VIDEO_ID) == shown
    assert store.status()[0]["state"] == "committed"
    assert snapshot(store, without=("audit_log", "videos")) == before


def test_deleting_twice_and_undeleting_twice_change_nothing_and_say_so(store: Store) -> None:
    first, second = (deletion(store).delete(VIDEO_ID, channel="cli") for _ in range(2))
    assert (first.changed, second.changed) == (True, False)
    assert first.deleted_at == second.deleted_at is not None
    assert [deletion(store).undelete(VIDEO_ID, channel="cli").changed for _ in range(2)] == [True, False]
    assert events(store) == [
        ("video.deleted", VIDEO_ID, {"video_id": VIDEO_ID}),
        ("video.undeleted", VIDEO_ID, {"video_id": VIDEO_ID}),
    ]


def test_the_mark_and_its_event_are_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from bri_assets.store import deletion as module

    before = snapshot(store, without=())

    def fail(*_arguments: object, **_event: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(module.audit, "record", fail)
    with pytest.raises(RuntimeError):
        deletion(store).delete(VIDEO_ID, channel="cli")
    assert snapshot(store, without=()) == before


def test_a_replay_keeps_author_and_time_and_twice_is_once(store: Store) -> None:
    gone = deletion(store).delete(VIDEO_ID, channel="cli")
    deletion(store).undelete(VIDEO_ID, channel="cli")
    with store.writing() as connection:
        done = [delete(connection, VIDEO_ID, who="cli:ada", at=gone.deleted_at) for _ in range(2)]
        kept = connection.execute("SELECT deleted_at, updated_at, updated_by FROM videos").fetchone()
    assert done == [True, False]
    assert kept == (gone.deleted_at, gone.deleted_at, "cli:ada")
    with store.writing() as connection:
        assert [undelete(connection, VIDEO_ID, who="cli:ada") for _ in range(2)] == [True, False]


def test_what_is_not_there_cannot_be_deleted_and_a_name_is_not_guessed(store: Store, tmp_path: Path) -> None:
    for name in ("unheard-of", ""):
        with pytest.raises(VideoNotFound, match="no video"):
            deletion(store).delete(name, channel="cli")
    twin = rows(tmp_path, video_id=OTHER_ID, sha256=OTHER_SHA256)
    store.commit(stage(tmp_path, twin), run_id="run-2", channel="test")
    with pytest.raises(VideoNotFound, match="more than one"):
        deletion(store).delete("holiday", channel="cli")
    deletion(store).delete(VIDEO_ID, channel="cli")
    with pytest.raises(VideoNotFound, match="more than one"):
        deletion(store).undelete("holiday", channel="cli")
    assert store.video(OTHER_ID)["video"]["video_id"] == OTHER_ID


def test_a_video_that_was_never_committed_can_only_be_purged(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.claim(UPLOAD, requested_by="cli")
    with pytest.raises(VideoNotFound, match="bri purge"):
        deletion(store).delete(VIDEO_ID, channel="cli")


def test_a_deleted_video_is_not_ingested_again_and_the_claim_says_what_to_do(store: Store) -> None:
    deletion(store).delete(VIDEO_ID, channel="cli")
    copy = NewUpload("/elsewhere/copy.mp4", "copy.mp4", "9:9:9:9:9", 1000, SOURCE_SHA256, f"copy-{SOURCE_SHA256[:12]}")
    for upload, channel in ((UPLOAD, "cli"), (copy, "sensor")):
        admission = Intake(store, store.staging).admit(Examined(upload, None), requested_by=channel)
        assert admission.claim is not None
        assert (admission.claim.result, admission.claim.video_id) == (ClaimResult.DELETED, VIDEO_ID)
        assert f"bri undelete {VIDEO_ID}" in (admission.claim.reason or "")
        assert f"bri purge {VIDEO_ID}" in (admission.claim.reason or "")
    assert not (store.home / "staged" / VIDEO_ID / "upload.json").exists()
    assert [row["state"] for row in store.status()] == ["deleted", "deleted"]
    assert store.pending() == []
    deletion(store).undelete(VIDEO_ID, channel="cli")
    assert [row["state"] for row in store.status()] == ["committed", "committed"]


def test_nothing_is_added_to_a_video_that_is_deleted_purged_or_being_purged(store: Store) -> None:
    deletion(store).delete(VIDEO_ID, channel="cli")
    with store.file.open() as connection:
        require_not_deleted(connection, "unheard-of-0123456789ab")
        with pytest.raises(VideoDeleted, match="bri undelete"):
            require_not_deleted(connection, VIDEO_ID)
    purge = Purge(store.home, store.file, store.staging)
    purge.begin(VIDEO_ID, reason="asked", channel="cli")
    with store.file.open() as connection, pytest.raises(VideoDeleted, match="bri purge"):
        require_not_deleted(connection, VIDEO_ID)
    purge.purge(VIDEO_ID, reason="asked", channel="cli")
    with store.file.open() as connection, pytest.raises(VideoDeleted, match="bri ingest"):
        require_not_deleted(connection, VIDEO_ID)
    store.claim(UPLOAD, requested_by="cli")
    with store.file.open() as connection:
        require_not_deleted(connection, VIDEO_ID)
