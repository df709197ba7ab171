"""Versions of a video: what is told of them, reading any of them, and going back to one and forward again."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bri_assets.errors import StoreDamaged, VersionNotFound, VideoDeleted, VideoNotFound
from bri_assets.files import sha256_bytes
from bri_assets.staging import Bundle
from bri_assets.store import Store
from bri_assets.store import history as module
from bri_assets.store.access.operations import OPERATIONS
from bri_assets.store.access.wire import pack, signature_of, unpack
from bri_assets.store.history import History, RolledBack
from bri_assets_tests.bundles import VIDEO_ID, Rows, open_store, rows, stage
from bri_assets_tests.snapshots import snapshot

SHOWN = ("current_versions", "pointer_history", "videos")
CONTENT = ("frames", "captions", "transcripts", "detections")


def committed(home: Path, *, facts: bool = False) -> tuple[Store, Rows, Rows]:
    """Two versions of a video, of which the second has other rows, other images and, if wished, other facts."""
    store, first = open_store(home), rows(home)
    store.commit(stage(home, first, run_id="run-1"), run_id="run-1", channel="test")
    second = rows(home)
    second["captions"][1]["text"] = "a better picture"
    del second["detections"][-1]
    digest = sha256_bytes(b"another picture")
    path = f"frames/{VIDEO_ID}/000002-{digest[:12]}.jpg"
    (home / path).write_bytes(b"another picture")
    second["frames"][2] |= {"image_path": path, "image_sha256": digest}
    if facts:
        second["source_video"][0] |= {"duration_s": 9.0, "fps": 24.0, "audio_codec": None}
    store.commit(stage(home, second, run_id="run-2"), run_id="run-2", channel="test")
    return store, first, second


def history_of(store: Store) -> History:
    return History(store.home, store.file, store.staging)


def execute(store: Store, statement: str) -> list[tuple[Any, ...]]:
    with store.file.open() as connection:
        return connection.execute(statement).fetchall()


def assert_holds(found: dict[str, Any], tables: Rows) -> None:
    """A read gave these rows, and no facts of another version."""
    assert {name: found[name] for name in CONTENT} == {name: tables[name] for name in CONTENT}
    assert tables["source_video"][0].items() <= found["video"].items()
    counts = [found["video"][name] for name in ("frames", "captions", "transcript_segments", "detections")]
    assert counts == [len(tables[name]) for name in CONTENT]


# Reads


@pytest.mark.parametrize("facts", [False, True])
def test_each_version_reads_back_as_it_was_staged(tmp_path: Path, facts: bool) -> None:
    store, first, second = committed(tmp_path, facts=facts)
    for version, tables in ((1, first), (2, second), (None, second)):
        found = store.video(VIDEO_ID, version=version)
        assert_holds(found, tables)
        number = version or 2
        said = [found["video"][name] for name in ("version", "version_id", "is_current")]
        assert said == [number, number, number == 2]
        assert {row["run_id"] for row in found["lineage"]} == {f"run-{number}"}


def test_facts_of_a_version_that_can_no_longer_be_had_are_not_made_up(tmp_path: Path) -> None:
    store, _, second = committed(tmp_path, facts=True)
    ((staged,),) = execute(
        store, "SELECT staged_file FROM lineage WHERE version_id = 1 AND table_name = 'source_video'"
    )
    (tmp_path / staged).unlink()
    before = snapshot(store, without=())
    with pytest.raises(StoreDamaged, match="the facts of its file were others at version 1"):
        store.video(VIDEO_ID, version=1)
    with pytest.raises(StoreDamaged, match="Put staged/"):
        history_of(store).rollback(VIDEO_ID, 1, channel="test")
    assert snapshot(store, without=()) == before
    assert_holds(store.video(VIDEO_ID), second)


def test_facts_that_were_changed_by_hand_are_told(tmp_path: Path) -> None:
    store, *_ = committed(tmp_path)
    execute(store, "UPDATE videos SET duration_s = 1000")
    with pytest.raises(StoreDamaged, match="the row in videos"):
        store.video(VIDEO_ID)


def test_a_version_whose_lineage_is_gone_is_damaged(tmp_path: Path) -> None:
    store, *_ = committed(tmp_path)
    execute(store, "DELETE FROM lineage WHERE version_id = 2")
    execute(store, "DELETE FROM lineage WHERE version_id = 1 AND table_name = 'captions'")
    with pytest.raises(StoreDamaged, match="source_video, frames, captions, transcripts, detections of version 2"):
        store.video(VIDEO_ID)
    with pytest.raises(StoreDamaged, match="rows in captions of version 1"):
        store.video(VIDEO_ID, version=1)


def test_a_version_that_is_not_there_or_archived_says_what_to_do(tmp_path: Path) -> None:
    store, *_ = committed(tmp_path)
    with pytest.raises(VersionNotFound, match=f"has no version 3; it has 1 to 2. See `bri history {VIDEO_ID}`"):
        store.video(VIDEO_ID, version=3)
    execute(store, "UPDATE video_versions SET state = 'archived' WHERE version_id = 1")
    with pytest.raises(VersionNotFound, match=f"bri unarchive {VIDEO_ID} 1"):
        store.video(VIDEO_ID, version=1)
    moved = execute(store, "SELECT changed_at FROM pointer_history WHERE to_version_id = 1")[0][0]
    with pytest.raises(VersionNotFound, match=f"bri unarchive {VIDEO_ID} 1"):
        store.video(VIDEO_ID, as_of=moved)


def test_a_version_and_a_time_together_are_wrong_usage(tmp_path: Path) -> None:
    store, *_ = committed(tmp_path)
    with pytest.raises(ValueError, match="either"):
        store.video(VIDEO_ID, version=1, as_of=datetime.now(UTC))


# History


def test_history_tells_versions_and_moves(tmp_path: Path) -> None:
    store, *_ = committed(tmp_path)
    history, began = history_of(store), datetime.now(UTC)
    history.rollback("holiday", 1, channel="cli")
    found = history.history("holiday.mp4")
    assert (found.video_id, found.filename, found.deleted_at) == (VIDEO_ID, "holiday.mp4", None)
    who = f"test:{getpass.getuser()}"
    assert [(row.version, row.version_id, row.state, row.is_current) for row in found.versions] == [
        (1, 1, "committed", True),
        (2, 2, "committed", False),
    ]
    assert [(row.run_id, row.committed_by) for row in found.versions] == [("run-1", who), ("run-2", who)]
    assert [row.counts for row in found.versions] == [
        {"frames": 4, "captions": 4, "transcripts": 3, "detections": 8},
        {"frames": 4, "captions": 4, "transcripts": 3, "detections": 7},
    ]
    assert [(move.from_version, move.to_version, move.cause, move.changed_by) for move in found.moves] == [
        (None, 1, "commit", who),
        (1, 2, "commit", who),
        (2, 1, "rollback", f"cli:{getpass.getuser()}"),
    ]
    assert timedelta(0) <= found.moves[-1].changed_at - began < timedelta(minutes=1)
    signature = signature_of(OPERATIONS["History.history"])
    assert signature.result(unpack(pack(signature.plain_result(found)))) == found


def test_the_history_of_a_deleted_video_says_so(tmp_path: Path) -> None:
    store, *_ = committed(tmp_path)
    execute(store, "UPDATE videos SET deleted_at = TIMESTAMPTZ '2030-01-01 12:00:00+00'")
    found = history_of(store).history("holiday")
    assert found.deleted_at == datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert len(found.versions) == len(found.moves) == 2
    with pytest.raises(VideoNotFound):
        store.video("holiday")


def test_a_video_that_is_being_purged_has_no_history(tmp_path: Path) -> None:
    store, *_ = committed(tmp_path)
    execute(store, "UPDATE videos SET deleted_at = now()")
    execute(store, f"INSERT INTO purges VALUES ('{VIDEO_ID}', 'asked', 0, 0, NULL, now(), 'test', now(), 'test')")
    for work in (history_of(store).history, lambda name: history_of(store).rollback(name, 1, channel="test")):
        with pytest.raises(VideoDeleted, match="purged"):
            work(VIDEO_ID)
    with pytest.raises(VideoNotFound):
        history_of(store).history("nobody")


# Rollback


@pytest.mark.parametrize("facts", [False, True])
def test_a_rollback_shows_the_earlier_version_and_can_be_undone(tmp_path: Path, facts: bool) -> None:
    store, first, second = committed(tmp_path, facts=facts)
    history, before = history_of(store), snapshot(store)
    assert history.rollback("holiday", 1, channel="test") == RolledBack(VIDEO_ID, 2, 1)
    found = store.video(VIDEO_ID)
    assert_holds(found, first)
    assert (found["video"]["version"], found["video"]["is_current"]) == (1, True)
    assert_holds(store.video(VIDEO_ID, version=2), second)
    store.verify(VIDEO_ID)
    with store.file.reading() as connection:
        texts = connection.execute("SELECT caption FROM video_context ORDER BY frame_index").fetchall()
        (duration,) = connection.execute("SELECT duration_s FROM v_videos").fetchall()
    assert [text for (text,) in texts] == [row["text"] for row in first["captions"]]
    assert duration == (8.0,)
    assert history.rollback("holiday", 2, channel="test") == RolledBack(VIDEO_ID, 1, 2)
    assert_holds(store.video(VIDEO_ID), second)
    after = snapshot(store)
    assert {name for name in before if before[name] != after[name]} <= set(SHOWN)
    moves = execute(store, "SELECT from_version_id, to_version_id, cause FROM pointer_history ORDER BY change_id")
    assert moves == [(None, 1, "commit"), (1, 2, "commit"), (2, 1, "rollback"), (1, 2, "rollback")]


def test_a_rollback_leaves_its_row_in_the_audit_log(tmp_path: Path) -> None:
    store, *_ = committed(tmp_path)
    history_of(store).rollback(VIDEO_ID, 1, channel="cli")
    (found,) = execute(
        store,
        """SELECT actor, entity, entity_id, rows_sha256, detail FROM audit_log
           WHERE action = 'version.rolled_back'""",
    )
    ((bundle,),) = execute(store, "SELECT bundle_sha256 FROM video_versions WHERE version_id = 1")
    assert found[:4] == (f"cli:{getpass.getuser()}", "video_versions", "1", bundle)
    assert json.loads(found[4]) == {"video_id": VIDEO_ID, "version": 1, "from_version": 2}
    ((changed_by,),) = execute(store, "SELECT changed_by FROM current_versions")
    assert changed_by == found[0]


def test_going_back_to_what_is_shown_changes_nothing(tmp_path: Path) -> None:
    store, *_ = committed(tmp_path)
    before = snapshot(store, without=())
    done = history_of(store).rollback(VIDEO_ID, 2, channel="test")
    assert (done, done.changed) == (RolledBack(VIDEO_ID, 2, 2), False)
    assert snapshot(store, without=()) == before
    assert history_of(store).rollback(VIDEO_ID, 1, channel="test").changed
    before = snapshot(store, without=())
    assert not history_of(store).rollback(VIDEO_ID, 1, channel="test").changed
    assert snapshot(store, without=()) == before


def test_a_commit_after_a_rollback_is_the_next_version(tmp_path: Path) -> None:
    store, first, _ = committed(tmp_path, facts=True)
    history_of(store).rollback(VIDEO_ID, 1, channel="test")
    first["captions"][0]["text"] = "third"
    third = store.commit(stage(tmp_path, first, run_id="run-3"), run_id="run-3", channel="test")
    assert third.version == 3
    assert_holds(store.video(VIDEO_ID), first)
    moves = execute(store, "SELECT from_version_id, to_version_id FROM pointer_history ORDER BY change_id")
    assert moves[-2:] == [(2, 1), (1, 3)]


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE videos SET deleted_at = now()", VideoDeleted),
        ("UPDATE video_versions SET state = 'archived' WHERE version_id = 1", VersionNotFound),
        ("UPDATE current_versions SET version_id = 1", None),
    ],
)
def test_what_others_write_while_images_are_looked_at_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, error: type[Exception] | None
) -> None:
    store, *_ = committed(tmp_path)
    look, states = module._require_images, []

    def look_while_others_write(home: Path, found: dict[str, Any]) -> None:
        look(home, found)
        execute(store, statement)
        states.append(snapshot(store, without=()))

    monkeypatch.setattr(module, "_require_images", look_while_others_write)
    if error is None:
        assert not history_of(store).rollback(VIDEO_ID, 1, channel="test").changed
    else:
        with pytest.raises(error):
            history_of(store).rollback(VIDEO_ID, 1, channel="test")
    assert [snapshot(store, without=())] == states


def test_a_rollback_can_happen_again_as_it_did(tmp_path: Path) -> None:
    store, first, _ = committed(tmp_path, facts=True)
    found, when = store.video(VIDEO_ID, version=1), datetime(2030, 1, 1, 12, tzinfo=UTC)
    with store.writing() as connection:
        module.roll_back(connection, found, who="cli:ada", at=when)
    assert_holds(store.video(VIDEO_ID), first)
    assert execute(store, "SELECT changed_at, changed_by FROM current_versions") == [(when, "cli:ada")]
    assert execute(store, "SELECT updated_at, updated_by FROM videos") == [(when, "cli:ada")]
    moved = "SELECT to_version_id, cause, changed_at, changed_by FROM pointer_history ORDER BY change_id DESC LIMIT 1"
    assert execute(store, moved) == [(1, "rollback", when, "cli:ada")]


@pytest.mark.parametrize(
    ("statement", "error", "match"),
    [
        ("UPDATE videos SET deleted_at = now()", VideoDeleted, f"bri undelete {VIDEO_ID}"),
        ("UPDATE video_versions SET state = 'archived' WHERE version_id = 1", VersionNotFound, "bri unarchive .* 1"),
        ("UPDATE captions SET text = 'a lie' WHERE version_id = 1", StoreDamaged, "captions of version 1"),
        ("DELETE FROM detections WHERE version_id = 1 AND frame_index = 3", StoreDamaged, "detections of version 1"),
        ("DELETE FROM transcripts WHERE version_id = 1", StoreDamaged, "transcripts of version 1"),
        ("UPDATE frames SET timestamp_s = 0.5 WHERE version_id = 1 AND frame_index = 0", StoreDamaged, "frames of"),
        ("DELETE FROM lineage WHERE version_id = 1 AND table_name = 'frames'", StoreDamaged, "frames of version 1"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_nothing_changes(
    tmp_path: Path, statement: str, error: type[Exception], match: str
) -> None:
    store, *_ = committed(tmp_path)
    execute(store, statement)
    before = snapshot(store, without=())
    with pytest.raises(error, match=match):
        history_of(store).rollback(VIDEO_ID, 1, channel="test")
    assert snapshot(store, without=()) == before


def test_a_version_or_video_that_is_not_there_is_refused(tmp_path: Path) -> None:
    store, *_ = committed(tmp_path)
    before = snapshot(store, without=())
    for version in (0, 3):
        with pytest.raises(VersionNotFound, match="it has 1 to 2"):
            history_of(store).rollback(VIDEO_ID, version, channel="test")
    with pytest.raises(VideoNotFound):
        history_of(store).rollback("nobody", 1, channel="test")
    assert snapshot(store, without=()) == before


@pytest.mark.parametrize("damage", ["gone", "changed", "a folder"])
def test_nobody_goes_back_to_images_that_are_not_there(tmp_path: Path, damage: str) -> None:
    store, first, _ = committed(tmp_path)
    path = first["frames"][2]["image_path"]
    image = tmp_path / path
    image.unlink()
    if damage == "changed":
        image.write_bytes(b"a third picture")
    elif damage == "a folder":
        image.mkdir()
    before = snapshot(store, without=())
    with pytest.raises(StoreDamaged, match=f"1 image.s. of version 1 .*{path}"):
        history_of(store).rollback(VIDEO_ID, 1, channel="test")
    assert snapshot(store, without=()) == before
    # The version that is shown has an image of its own there.
    store.verify(VIDEO_ID)


def test_many_damaged_images_are_counted(tmp_path: Path) -> None:
    store, tables = open_store(tmp_path), rows(tmp_path, frames=15)
    store.commit(stage(tmp_path, tables, run_id="run-1"), run_id="run-1", channel="test")
    store.commit(stage(tmp_path, tables, run_id="run-2"), run_id="run-2", channel="test")
    for row in tables["frames"]:
        (tmp_path / row["image_path"]).unlink()
    with pytest.raises(StoreDamaged, match=r"15 image\(s\).* and 5 more"):
        history_of(store).rollback(VIDEO_ID, 1, channel="test")


def test_a_bundle_that_is_committed_already_does_not_move_the_pointer(tmp_path: Path) -> None:
    store, tables = open_store(tmp_path), rows(tmp_path)
    bundles = list[Bundle]()
    for number in (1, 2):
        tables["captions"][0]["text"] = f"version {number}"
        bundles.append(stage(tmp_path, tables, run_id=f"run-{number}"))
        store.commit(bundles[-1], run_id=f"run-{number}", channel="test")
    history_of(store).rollback(VIDEO_ID, 1, channel="test")
    assert store.commit(bundles[1], run_id="run-2", channel="test").version == 2
    assert store.video(VIDEO_ID)["video"]["version"] == 1
