"""Claims: one upload, one run; the same bytes, one video; a refusal is remembered."""

from __future__ import annotations

from pathlib import Path

from bri_assets.store import ClaimResult, NewUpload
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, open_store, rows, stage

UPLOAD = NewUpload("/somewhere/holiday.mp4", "holiday.mp4", "1:2:3:4:5", 1000, SOURCE_SHA256, VIDEO_ID)
COPY = NewUpload("/elsewhere/copy.mp4", "copy.mp4", "9:9:9:9:9", 1000, SOURCE_SHA256, f"copy-{SOURCE_SHA256[:12]}")


def test_the_first_claim_ingests_and_the_second_does_not(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    first, second = (store.claim(UPLOAD, requested_by="cli") for _ in range(2))
    assert (first.result, first.attempt) == (ClaimResult.INGEST, 1)
    assert (second.result, second.attempt) == (ClaimResult.INGESTING, 1)


def test_the_same_bytes_under_another_name_are_the_same_video(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.claim(UPLOAD, requested_by="cli")
    claim = store.claim(COPY, requested_by="sensor")
    assert (claim.result, claim.video_id) == (ClaimResult.INGESTING, VIDEO_ID)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    assert [(row["filename"], row["state"], row["video_id"]) for row in store.status()] == [
        ("holiday.mp4", "committed", VIDEO_ID),
        ("copy.mp4", "committed", VIDEO_ID),
    ]
    assert store.claim(COPY, requested_by="cli").result is ClaimResult.COMMITTED
    assert store.pending() == []


def test_a_failed_upload_can_be_tried_again_and_each_try_is_counted(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.claim(UPLOAD, requested_by="cli")
    store.mark_failed(VIDEO_ID, run_id="run-1", channel="cli", code="run_failed", reason="the model raised")
    assert store.status()[0]["state"] == "failed"
    assert store.status()[0]["reason"] == "the model raised"
    again = store.claim(UPLOAD, requested_by="cli")
    assert (again.result, again.attempt) == (ClaimResult.INGEST, 2)
    assert store.status()[0]["reason"] is None


def test_a_failed_rerun_leaves_a_committed_upload_committed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.claim(UPLOAD, requested_by="cli")
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-1", channel="test")
    store.mark_failed(VIDEO_ID, run_id="run-2", channel="runs", code="run_failed", reason="the model raised")
    assert store.status()[0]["state"] == "committed"


def test_a_quarantined_file_is_remembered_until_it_changes(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    text = NewUpload("/somewhere/notes.txt", "notes.txt", "7:7:7:7:7", 12, "a" * 64, None)
    store.quarantine(text, code="not_a_video", reason="is no video.", requested_by="sensor")
    assert store.seen() == {"/somewhere/notes.txt": "7:7:7:7:7"}
    row = store.status()[0]
    assert (row["state"], row["code"], row["reason"], row["video_id"]) == (
        "quarantined",
        "not_a_video",
        "is no video.",
        None,
    )


def test_every_change_of_an_upload_is_in_the_audit_log(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.claim(UPLOAD, requested_by="cli")
    store.claim(COPY, requested_by="sensor")
    store.mark_failed(VIDEO_ID, run_id=None, channel="cli", code="stopped", reason="stopped")
    store.quarantine(COPY, code="unreadable", reason="cannot be read", requested_by="sensor")
    store.set_run(UPLOAD.upload_id, "run-7", channel="sensor")
    store.set_run("nobody", "run-7", channel="sensor")
    with store.file.open() as connection:
        events = connection.execute("SELECT action, entity_id FROM audit_log ORDER BY event_id").fetchall()
    failed = [("upload.failed", UPLOAD.upload_id), ("upload.failed", COPY.upload_id)]
    assert events[:2] == [("upload.accepted", UPLOAD.upload_id), ("upload.repeated", COPY.upload_id)]
    assert sorted(events[2:4]) == sorted(failed)
    assert events[4:] == [("upload.quarantined", COPY.upload_id), ("upload.started", UPLOAD.upload_id)]


def test_a_copy_that_failed_itself_never_passes_for_the_attempt_that_goes_on(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.claim(UPLOAD, requested_by="sensor")
    store.mark_failed(VIDEO_ID, run_id="run-1", channel="runs", code="run_died", reason="died")
    going = store.claim(COPY, requested_by="cli")
    assert going.result is ClaimResult.INGEST
    # The first file was touched, so the sensor looks at it again.
    assert store.claim(UPLOAD, requested_by="sensor").result is ClaimResult.INGESTING
    assert [pending.attempt_id for pending in store.pending()] == [going.attempt_id]
    assert {row["filename"]: row["state"] for row in store.status()} == {
        "holiday.mp4": "failed",
        "copy.mp4": "ingesting",
    }


def test_whoever_ingests_a_file_stays_the_one_though_the_sensor_sees_it_too(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.claim(UPLOAD, requested_by="cli")
    store.claim(UPLOAD, requested_by="sensor")
    assert [(pending.requested_by, pending.attempt) for pending in store.pending()] == [("cli", 1)]


def test_a_copy_that_somebody_waits_for_hurries_what_waits_in_a_backfill(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.claim(UPLOAD, requested_by="sensor", priority=-1)
    store.claim(COPY, requested_by="sensor", priority=1)
    assert [pending.priority for pending in store.pending()] == [1]
    store.claim(COPY, requested_by="sensor", priority=-1)
    assert [pending.priority for pending in store.pending()] == [1]


def test_another_attempt_does_not_carry_the_run_of_the_last(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.claim(UPLOAD, requested_by="sensor")
    store.set_run(UPLOAD.upload_id, "run-1", channel="sensor")
    store.mark_failed(VIDEO_ID, run_id="run-1", channel="runs", code="run_died", reason="died")
    store.claim(UPLOAD, requested_by="sensor")
    assert [(pending.attempt, pending.run_id) for pending in store.pending()] == [(2, None)]


def test_the_most_urgent_uploads_come_first_and_the_oldest_among_equals(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for name, priority in (("a", -1), ("b", 1), ("c", 0), ("d", 1), ("e", -1)):
        sha256 = (name * 64)[:64]
        upload = NewUpload(f"/u/{name}.mp4", f"{name}.mp4", "1-1-1-1-1", 1, sha256, f"{name}-{sha256[:12]}")
        store.claim(upload, requested_by="sensor", priority=priority)
    # That its run became known is no reason to go later.
    store.set_run(store.pending()[0].upload_id, "run-1", channel="sensor")
    assert [pending.video_id[0] for pending in store.pending()] == ["b", "d", "c", "a", "e"]
