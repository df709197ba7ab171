"""A purge leaves nothing of a video in tables and files but what it names; killed anywhere, the next finishes it."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bri_assets.errors import StorageFailed, StoreDamaged, VideoDeleted, VideoNotFound
from bri_assets.files import sha256_bytes
from bri_assets.intake import Examined, Intake
from bri_assets.schemas import STORE_TABLES
from bri_assets.staging import Source
from bri_assets.store import ClaimResult, NewUpload, Store
from bri_assets.store.archives.archive import Archive
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure import purge as module
from bri_assets.store.erasure.purge import Purge, uploads_still_there
from bri_assets.store.erasure.purge_files import PurgeBegun, remove_files
from bri_assets.store.erasure.purge_rows import begin_purge, finish_purge, remove_rows
from bri_assets.store.memory import Memory, Turn
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, open_store, rows, stage
from bri_assets_tests.snapshots import snapshot

OTHER_SHA256 = sha256_bytes(b"another upload")
OTHER_ID = f"other-{OTHER_SHA256[:12]}"
GONE = NewUpload("/nowhere/holiday.mp4", "holiday.mp4", "1:2:3:4:5", 1000, SOURCE_SHA256, VIDEO_ID)
OTHER = NewUpload("/nowhere/other.mp4", "other.mp4", "5:4:3:2:1", 1000, OTHER_SHA256, OTHER_ID)
SAID = {"reason": "an erasure request", "channel": "cli"}
#: What is kept of a purged video on purpose.
KEPT = ("audit_log", "purges", "uploads", "schema_migrations")


@pytest.fixture
def there(tmp_path: Path) -> NewUpload:
    """An upload whose file is where it was."""
    path = tmp_path / "uploads" / "holiday.mp4"
    path.parent.mkdir()
    path.write_bytes(b"x" * 1000)
    return NewUpload(str(path), "holiday.mp4", "9:9:9:9:9", 1000, SOURCE_SHA256, VIDEO_ID)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two videos: one with an archived, a brought-back and a current version, and another one."""
    home = tmp_path_factory.mktemp("template")
    store = open_store(home)
    store.claim(OTHER, requested_by="cli")
    twin = rows(home, video_id=OTHER_ID, sha256=OTHER_SHA256)
    store.commit(stage(home, twin), run_id="run-0", channel="test")
    Intake(store, store.staging).admit(Examined(GONE, None), requested_by="cli")
    tables = rows(home)
    for number in (1, 2, 3):
        tables["captions"][0]["text"] = f"picture {number}"
        store.commit(stage(home, tables, run_id=f"run-{number}"), run_id=f"run-{number}", channel="test")
    archive = Archive(store.home, store.file, store.staging)
    archive.archive(0, channel="test")
    archive.unarchive(VIDEO_ID, 2, channel="test")
    for video_id in (VIDEO_ID, OTHER_ID):
        turn = Turn(conversation_id="c", user="What is it?", assistant="A picture.", video_id=video_id)
        Memory(store.home, store.file, store.staging).add(turn, channel="test")
    return home


@pytest.fixture
def store(template: Path, tmp_path: Path, there: NewUpload) -> Store:
    """The same, with a second upload of the first video, whose file is there."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    store = open_store(tmp_path)
    Intake(store, store.staging).admit(Examined(there, None), requested_by="cli")
    return store


def purge(store: Store) -> Purge:
    return Purge(store.home, store.file, store.staging)


def deletion(store: Store) -> Deletion:
    return Deletion(store.home, store.file, store.staging)


def files_of(home: Path, video_id: str) -> list[str]:
    """Every file under BRI_HOME that has the video's id in its path."""
    files = [path for folder in ("staged", "frames", "archive") for path in (home / folder).rglob("*")]
    return sorted(path.relative_to(home).as_posix() for path in files if video_id in str(path) and path.is_file())


def rows_of(store: Store, video_id: str) -> dict[str, int]:
    """Rows that belong to a video, by table; tables without any are left out."""
    with store.file.open() as connection:
        counts = {}
        for spec in STORE_TABLES:
            names = {column.name for column in spec.stored_columns}
            if spec.name in KEPT or not names & {"video_id", "version_id"}:
                continue
            # A version that is gone would leave its rows behind unseen: whatever is not the other video's counts.
            where = (
                "video_id = ?"
                if "video_id" in names
                else ("version_id NOT IN (SELECT version_id FROM video_versions WHERE video_id <> ?)")
            )
            found = connection.execute(f"SELECT count(*) FROM {spec.name} WHERE {where}", [video_id]).fetchall()
            counts[spec.name] = found[0][0]
    return {table: count for table, count in counts.items() if count}


def others(store: Store) -> dict[str, Any]:
    """Everything of the other video."""
    shown = store.video(OTHER_ID)
    return {"shown": shown, "rows": rows_of(store, OTHER_ID).keys(), "files": files_of(store.home, OTHER_ID)}


def events(store: Store, action: str) -> list[dict[str, Any]]:
    with store.file.open() as connection:
        found = connection.execute("SELECT detail FROM audit_log WHERE action = ?", [action]).fetchall()
    return [json.loads(detail) for (detail,) in found]


def upload_rows(store: Store) -> list[tuple[Any, ...]]:
    with store.file.open() as connection:
        return connection.execute("SELECT path, state, code, video_id FROM uploads ORDER BY path").fetchall()


def test_a_purge_leaves_nothing_and_touches_no_other_video(store: Store) -> None:
    before, held, files = others(store), rows_of(store, VIDEO_ID), files_of(store.home, VIDEO_ID)
    assert (held["archived_tables"], held["memory"]) == (4, 2)
    assert any("archive/" in file and "-v2-" in file for file in files)

    done = purge(store).purge("holiday", **SAID)

    assert rows_of(store, VIDEO_ID) == {}
    assert files_of(store.home, VIDEO_ID) == []
    assert others(store) == before
    assert done.rows == {**held, "uploads": 1}
    assert done.files.count == len(files)
    assert done.files.size_bytes > 0
    with pytest.raises(VideoNotFound):
        store.video(VIDEO_ID)
    counts = {"video_id": VIDEO_ID, "rows": sum(done.rows.values()), "files": len(files)}
    assert events(store, "video.purged") == [counts]
    assert events(store, "video.purge_begun") == [{"video_id": VIDEO_ID, "reason": "an erasure request"}]
    with store.file.open() as connection:
        kept = connection.execute("SELECT rows_removed, files_removed, finished_at > created_at FROM purges").fetchall()
    assert kept == [(counts["rows"], counts["files"], True)]


STEPS = ("remove_files", "remove_children", "remove_versions", "remove_video", "finish_purge")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "within"])
def test_a_purge_that_is_killed_shows_nothing_and_the_next_finishes_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    from bri_assets.store.erasure import purge_rows

    before, home = others(store), module if step in ("remove_files", "finish_purge") else purge_rows
    real = getattr(home, step)

    def killed(*arguments: Any, **named: Any) -> None:
        if when == "within":
            real(*arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(home, step, killed)
        with pytest.raises(KeyboardInterrupt):
            purge(store).purge(VIDEO_ID, **SAID)

    with store.file.open() as connection:
        for view in ("v_videos", "v_frames", "v_captions", "v_transcripts", "v_detections", "video_context"):
            query = f"SELECT count(*) FROM {view} WHERE video_id = ?"
            assert connection.execute(query, [VIDEO_ID]).fetchall() == [(0,)]
    with pytest.raises(VideoNotFound):
        store.video(VIDEO_ID)
    with pytest.raises(VideoDeleted, match="bri purge"):
        deletion(store).undelete(VIDEO_ID, channel="cli")
    for upload, channel in ((GONE, "cli"), (OTHER, "cli")):
        claim = store.claim(upload, requested_by=channel)
        wanted = ClaimResult.DELETED if upload is GONE else ClaimResult.COMMITTED
        assert (claim.result, claim.video_id) == (wanted, upload.video_id)
    assert store.pending() == []

    assert purge(store).due(after_days=1000) == [VIDEO_ID]
    done = purge(store).purge_due(after_days=1000, channel="schedule")
    assert [item.video_id for item in done.purged] == [VIDEO_ID]
    assert done.failed == {}
    assert rows_of(store, VIDEO_ID) == {}
    assert files_of(store.home, VIDEO_ID) == []
    assert others(store) == before
    assert len(events(store, "video.purged")) == len(events(store, "video.purge_begun")) == 1
    assert purge(store).due(after_days=0) == []


def test_the_reason_and_the_beginning_of_an_unfinished_purge_stay(store: Store) -> None:
    purge(store).begin(VIDEO_ID, **SAID)
    purge(store).purge_due(after_days=1000, channel="schedule")
    with store.file.open() as connection:
        kept = connection.execute("SELECT reason, split_part(created_by, ':', 1), finished_at IS NULL FROM purges")
        assert kept.fetchall() == [("an erasure request", "cli", False)]


def test_a_file_that_is_still_there_is_named_and_not_ingested_unasked(store: Store, there: NewUpload) -> None:
    signature = store.seen()[there.path]
    done = purge(store).purge(VIDEO_ID, **SAID)
    assert done.left.uploads == (there.path,)
    assert store.seen()[there.path] == signature
    assert GONE.path not in store.seen()
    row = next(row for row in store.status() if row["path"] == there.path)
    assert (row["state"], row["code"], row["video_id"]) == ("quarantined", "purged", None)
    assert "still there" in row["reason"]

    # Somebody touches the file, or drops it again under another name.
    touched = NewUpload(there.path, there.filename, "8:8:8:8:8", 1000, SOURCE_SHA256, VIDEO_ID)
    copy = NewUpload(there.path + "2", "copy.mp4", "7:7:7:7:7", 1000, SOURCE_SHA256, f"copy-{SOURCE_SHA256[:12]}")
    for upload in (touched, copy):
        admission = Intake(store, store.staging).admit(Examined(upload, None), requested_by="sensor")
        assert admission.claim is None
        assert admission.refusal is not None
        assert admission.refusal.code == "purged"
        assert "bri ingest" in str(admission.refusal)
    assert store.pending() == []
    assert files_of(store.home, VIDEO_ID) == []
    assert {row[1:] for row in upload_rows(store) if row[0] != OTHER.path} == {("quarantined", "purged", None)}

    asked = Intake(store, store.staging).admit(Examined(copy, None), requested_by="cli").claim
    assert asked is not None
    assert (asked.result, asked.video_id) == (ClaimResult.INGEST, copy.video_id)
    assert store.claim(touched, requested_by="sensor").result is ClaimResult.INGESTING


def test_a_path_that_holds_other_content_since_is_not_said_to_hold_the_purged_one(
    store: Store, there: NewUpload
) -> None:
    Path(there.path).write_bytes(b"y" * 2000)
    replaced = NewUpload(there.path, "holiday.mp4", "6:6:6:6:6", 2000, "c" * 64, "holiday-cccccccccccc")
    store.claim(replaced, requested_by="sensor")
    done = purge(store).purge(VIDEO_ID, **SAID)
    assert done.left.uploads == ()
    assert store.seen()[there.path] == "6:6:6:6:6"
    assert [row for row in upload_rows(store) if row[0] == there.path] == [
        (there.path, "ingesting", None, "holiday-cccccccccccc")
    ]


def test_a_purged_video_can_be_ingested_anew_and_purged_again(store: Store, tmp_path: Path) -> None:
    purge(store).purge(VIDEO_ID, **SAID)
    with pytest.raises(VideoNotFound, match="purged on"):
        purge(store).purge(VIDEO_ID, **SAID)
    with pytest.raises(VideoNotFound, match="bri ingest"):
        deletion(store).undelete(VIDEO_ID, channel="cli")
    assert store.claim(GONE, requested_by="cli").result is ClaimResult.INGEST
    committed = store.commit(stage(tmp_path, rows(tmp_path)), run_id="run-9", channel="test")
    assert committed.version == 1
    assert len(store.video(VIDEO_ID)["frames"]) == 4
    assert store.status()[-1]["state"] == "committed"
    purge(store).purge(VIDEO_ID, **SAID)
    assert (rows_of(store, VIDEO_ID), files_of(store.home, VIDEO_ID)) == ({}, [])
    assert len(events(store, "video.purged")) == 2


def test_a_video_that_was_never_committed_is_purged_too(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    claim = Intake(store, store.staging).admit(Examined(GONE, None), requested_by="sensor").claim
    assert claim is not None
    assert len(store.pending()) == 1
    stage(tmp_path, rows(tmp_path))
    begun = purge(store).begin("holiday.mp4", **SAID)
    assert begun == PurgeBegun(VIDEO_ID, ())
    assert store.pending() == []
    assert [row["code"] for row in store.status()] == ["purging"]
    purge(store).purge(VIDEO_ID, **SAID)
    assert store.status() == []
    assert files_of(tmp_path, VIDEO_ID) == []
    with store.file.open() as connection:
        assert connection.execute("SELECT files_removed FROM purges").fetchall()[0][0] > 4


def test_what_a_run_wrote_after_the_purge_is_due_again(store: Store, tmp_path: Path) -> None:
    purge(store).purge(VIDEO_ID, **SAID)
    assert purge(store).due(after_days=0) == []
    store.staging.accept(Source(video_id=VIDEO_ID, path="/a", filename="a", sha256="a" * 64, signature="1"))
    assert purge(store).due(after_days=0) == [VIDEO_ID]
    done = purge(store).purge_due(after_days=0, channel="schedule")
    assert [item.files.count for item in done.purged] == [1]
    assert files_of(tmp_path, VIDEO_ID) == []


def test_only_what_was_deleted_long_enough_ago_is_due(store: Store) -> None:
    deletion(store).delete(VIDEO_ID, channel="cli")
    assert purge(store).due(after_days=1) == []
    assert purge(store).due(after_days=0) == [VIDEO_ID]
    with store.file.open() as connection:
        connection.execute("UPDATE videos SET deleted_at = now() - INTERVAL 25 HOUR WHERE deleted_at IS NOT NULL")
    assert purge(store).due(after_days=1) == [VIDEO_ID]
    assert purge(store).due(after_days=2) == []


def test_one_purge_that_fails_stops_no_other(store: Store) -> None:
    for video_id in (VIDEO_ID, OTHER_ID):
        deletion(store).delete(video_id, channel="cli")
    frames = store.home / "frames" / VIDEO_ID
    frames.rename(store.home / "elsewhere")
    frames.symlink_to(store.home / "elsewhere")
    done = purge(store).purge_due(after_days=0, channel="schedule")
    assert [item.video_id for item in done.purged] == [OTHER_ID]
    assert list(done.failed) == [VIDEO_ID]
    assert f"bri purge {VIDEO_ID}" in done.failed[VIDEO_ID]
    assert len(os.listdir(store.home / "elsewhere")) == 4
    frames.unlink()
    assert [item.video_id for item in purge(store).purge_due(after_days=0, channel="schedule").purged] == [VIDEO_ID]


def test_a_folder_that_cannot_be_removed_keeps_the_rows_hidden(store: Store) -> None:
    frames = store.home / "frames" / VIDEO_ID
    frames.rename(store.home / "elsewhere")
    frames.symlink_to(store.home / "elsewhere")
    held = rows_of(store, VIDEO_ID)
    with pytest.raises(StorageFailed, match="bri purge"):
        purge(store).purge(VIDEO_ID, **SAID)
    assert rows_of(store, VIDEO_ID) == held
    assert VIDEO_ID not in {row["video_id"] for row in store.status() if row["state"] == "committed"}


@pytest.mark.parametrize(
    "begun",
    [
        PurgeBegun("..", ()),
        PurgeBegun("../other-0123456789ab", ()),
        PurgeBegun(VIDEO_ID, ("archive/../staged/journal.jsonl",)),
        PurgeBegun(VIDEO_ID, ("store/bri.duckdb",)),
        PurgeBegun(VIDEO_ID, ("/etc/passwd",)),
    ],
)
def test_no_name_reaches_out_of_the_folders_of_a_video(store: Store, begun: PurgeBegun) -> None:
    before = sorted(path for path in store.home.rglob("*"))
    with pytest.raises(StoreDamaged):
        remove_files(store.home, store.home / "staged", begun)
    assert sorted(path for path in store.home.rglob("*")) == before


def test_backups_from_before_the_purge_are_named_and_no_others(store: Store) -> None:
    last = len(events(store, "version.committed"))
    with store.file.open() as connection:
        newest = connection.execute("SELECT max(event_id) FROM audit_log").fetchall()[0][0]
        first = connection.execute("SELECT min(event_id) FROM audit_log WHERE entity_id = ?", [GONE.upload_id])
        too_old = first.fetchall()[0][0] - 1
        for number, (event_id, expired) in enumerate([(too_old, None), (newest, "2026-01-02"), (newest, None)]):
            connection.execute(
                """INSERT INTO backups VALUES (?, '/backups', '0002', ?, 1, 1, 1, repeat('a', 64), 1.0, 'asked',
                       TIMESTAMPTZ '2026-01-01' + to_days(?), 'cli', ?::TIMESTAMPTZ, now(), 'cli')""",
                [f"b{number}", event_id, number, expired],
            )
    assert last == 4
    purge(store).purge(VIDEO_ID, **SAID)
    with store.file.open() as connection:
        connection.execute(
            """INSERT INTO backups SELECT * REPLACE ('b9' AS backup_id, 1000000 AS last_event_id, now() AS created_at)
               FROM backups WHERE backup_id = 'b2'"""
        )
    (backup,) = purge(store).left(VIDEO_ID).backups
    assert (backup.backup_id, backup.newer) == ("b2", 1)
    assert purge(store).left(VIDEO_ID).audit_events > 4


def test_a_replay_keeps_author_and_time_and_twice_is_once(store: Store, there: NewUpload) -> None:
    at, who = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "cli:ada"
    with store.writing() as connection:
        assert [begin_purge(connection, VIDEO_ID, reason="asked", who=who, at=at) for _ in range(2)] == [True, False]
        assert connection.execute("SELECT deleted_at FROM videos WHERE video_id = ?", [VIDEO_ID]).fetchone() == (at,)
    held, before = rows_of(store, VIDEO_ID), snapshot(store, without=())["audit_log"]
    files = files_of(store.home, VIDEO_ID)
    with store.file.open() as connection:
        there_still = uploads_still_there(connection, VIDEO_ID)
        first, second = (remove_rows(connection, VIDEO_ID, there_still, who=who, at=at) for _ in range(2))
    assert (sum(first.values()), second) == (sum(held.values()) + 1, {})
    with store.writing() as connection:
        counts = [finish_purge(connection, VIDEO_ID, files=3, who=who, at=at) for _ in range(2)]
        row = connection.execute("FROM purges").fetchone()
    assert counts == [(sum(first.values()), 3), None]
    assert row == (VIDEO_ID, "asked", sum(held.values()) + 1, 3, at, at, who, at, who)
    assert rows_of(store, VIDEO_ID) == {}
    assert files_of(store.home, VIDEO_ID) == files
    assert "2026-03-04 05:06 UTC" in next(r["reason"] for r in store.status() if r["path"] == there.path)
    assert snapshot(store, without=())["audit_log"] == before
