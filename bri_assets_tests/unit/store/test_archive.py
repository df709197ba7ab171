"""Superseded versions move to Parquet and back, and are at every moment in the one place or the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bri_assets.errors import ArchiveDamaged, StorageFailed, VersionNotFound, VideoDeleted
from bri_assets.files import sha256_bytes, sha256_file
from bri_assets.schemas import VERSIONED_TABLES
from bri_assets.store import Store
from bri_assets.store.access.connection import transaction
from bri_assets.store.access.wire import signature_of
from bri_assets.store.archives import archive as module
from bri_assets.store.archives import archive_moves, archived
from bri_assets.store.archives.archive import Archive, ArchiveOutcome
from bri_assets.store.history import History
from bri_assets_tests.bundles import VIDEO_ID, open_store, rows, stage
from bri_assets_tests.snapshots import snapshot

TABLES = ("frames", "captions", "transcripts", "detections", "video_class_stats")


def two_versions(home: Path, video_id: str = VIDEO_ID, sha256: str | None = None) -> Store:
    """A store with a video of two versions, the second of which is shown."""
    store = open_store(home)
    tables = rows(home, video_id=video_id, **({"sha256": sha256} if sha256 else {}))
    store.commit(stage(home, tables), run_id="run-1", channel="test")
    tables["captions"][0]["text"] = "a better picture"
    store.commit(stage(home, tables, run_id="run-2"), run_id="run-2", channel="test")
    return store


def archive_of(store: Store) -> Archive:
    return Archive(store.home, store.file, store.staging)


def rows_held(store: Store, version_id: int = 1) -> dict[str, list[tuple[Any, ...]]]:
    with store.file.open() as connection:
        return {
            table: sorted(connection.execute(f"FROM {table} WHERE version_id = ?", [version_id]).fetchall(), key=repr)
            for table in TABLES
        }


def state(store: Store, version_id: int = 1) -> str:
    with store.file.open() as connection:
        found = connection.execute("SELECT state FROM video_versions WHERE version_id = ?", [version_id]).fetchone()
    assert found is not None
    return str(found[0])


def files_named(store: Store) -> dict[str, Path]:
    with store.file.open() as connection:
        return {file.table: store.home / file.file for file in archived.files_of(connection, 1)}


def wreck(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_superseded_version_moves_and_comes_back_as_it_was(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    whole, before = snapshot(store), rows_held(store)
    result = archive_of(store).archive(0, channel="test")
    assert result.archived == [ArchiveOutcome(VIDEO_ID, 1, 1, 19)]
    assert (result.skipped, result.failed) == ([], [])
    assert rows_held(store) == {table: [] for table in TABLES}
    assert state(store) == "archived"
    back = archive_of(store).unarchive("holiday", 1, channel="test")
    assert (back.changed, back.row_count) == (True, 19)
    assert rows_held(store) == before
    assert snapshot(store) == whole
    # Its files stay, for a backup may name them, and serve again.
    assert len(list((tmp_path / "archive").rglob("*.parquet"))) == 4
    assert archive_of(store).archive(0, channel="test").archived
    assert len(list((tmp_path / "archive").rglob("*.parquet"))) == 4
    assert archive_of(store).unarchive(VIDEO_ID, 1, channel="test").changed
    assert snapshot(store) == whole


def test_what_is_shown_is_untouched(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    shown, current = store.video(VIDEO_ID), rows_held(store, 2)
    archive_of(store).archive(0, channel="test")
    assert store.video(VIDEO_ID) == shown
    assert rows_held(store, 2) == current
    store.verify(VIDEO_ID)


def test_lineage_and_proofs_stay_and_the_files_are_named(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    whole = snapshot(store, without=("audit_log", "archived_tables", "video_versions", *TABLES))
    archive_of(store).archive(0, channel="test")
    assert snapshot(store, without=("audit_log", "archived_tables", "video_versions", *TABLES)) == whole
    with store.file.open() as connection:
        month = connection.execute("SELECT strftime(committed_at, '%Y-%m') FROM video_versions").fetchall()[0][0]
        lineage = dict(
            connection.execute("SELECT table_name, content_sha256 FROM lineage WHERE version_id = 1").fetchall()
        )
        named = connection.execute("SELECT table_name, file, file_sha256, row_count FROM archived_tables").fetchall()
    assert {name: file for name, file, *_ in named} == {
        spec.name: f"archive/{spec.name}/month={month}/{VIDEO_ID}-v1-{lineage[spec.name][:12]}.parquet"
        for spec in VERSIONED_TABLES
    }
    assert all(sha256_file(tmp_path / file) == digest for _, file, digest, _ in named)
    assert {name: count for name, *_, count in named} == {
        "frames": 4,
        "captions": 4,
        "transcripts": 3,
        "detections": 8,
    }


def test_a_person_reads_the_archive_with_duckdb(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    archive_of(store).archive(0, channel="test")
    found = duckdb.sql(
        f"""SELECT video_id, version, version_id, frame_index, text, month
            FROM read_parquet('{tmp_path}/archive/captions/*/*.parquet', hive_partitioning = true)
            ORDER BY frame_index"""
    ).fetchall()
    assert [row[:5] for row in found] == [(VIDEO_ID, 1, 1, index, f"a picture {index}") for index in range(4)]
    assert len({row[5] for row in found}) == 1


def test_a_table_without_rows_moves_too(tmp_path: Path) -> None:
    store, tables = open_store(tmp_path), rows(tmp_path)
    tables["transcripts"], tables["source_video"][0]["has_audio"] = [], False
    tables["source_video"][0]["audio_codec"] = None
    tables["detections"] = []
    store.commit(stage(tmp_path, tables), run_id="run-1", channel="test")
    tables["captions"][0]["text"] = "a better picture"
    store.commit(stage(tmp_path, tables, run_id="run-2"), run_id="run-2", channel="test")
    before = rows_held(store)
    assert archive_of(store).archive(0, channel="test").archived
    assert archive_of(store).unarchive(VIDEO_ID, 1, channel="test").changed
    assert rows_held(store) == before


def test_age_counts_from_when_the_pointer_moved_away(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    with store.file.open() as connection:
        connection.execute("UPDATE video_versions SET committed_at = committed_at - INTERVAL 90 DAY")
        connection.execute("UPDATE pointer_history SET changed_at = changed_at - INTERVAL 10 DAY")
    assert archive_of(store).due(11) == []
    assert [(due.version, due.row_count) for due in archive_of(store).due(9)] == [(1, 19)]


def test_a_clock_that_jumped_back_makes_no_version_old(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    with store.file.open() as connection:
        connection.execute("UPDATE pointer_history SET changed_at = changed_at - INTERVAL 90 DAY WHERE change_id = 2")
    assert archive_of(store).due(1) == []


def test_a_version_that_was_rolled_back_to_is_current(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    History(store.home, store.file, store.staging).rollback(VIDEO_ID, 1, channel="test")
    assert [due.version for due in archive_of(store).due(0)] == [2]
    assert archive_of(store).archive_version(1, channel="test") == "is the version that is shown"
    archive_of(store).archive(0, channel="test")
    assert (state(store, 1), state(store, 2)) == ("committed", "archived")
    with pytest.raises(VersionNotFound, match=f"bri unarchive {VIDEO_ID} 2"):
        History(store.home, store.file, store.staging).rollback(VIDEO_ID, 2, channel="test")
    archive_of(store).unarchive(VIDEO_ID, 2, channel="test")
    History(store.home, store.file, store.staging).rollback(VIDEO_ID, 2, channel="test")
    assert store.video(VIDEO_ID)["captions"][0]["text"] == "a better picture"


def test_versions_of_a_deleted_video_move_and_come_back(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    with store.file.open() as connection:
        connection.execute("UPDATE videos SET deleted_at = now()")
    assert archive_of(store).archive(0, channel="test").archived
    assert archive_of(store).unarchive(VIDEO_ID, 1, channel="test").changed


def test_a_video_that_is_being_purged_is_left_alone(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    archive_of(store).archive(0, channel="test")
    tables = rows(tmp_path)
    tables["captions"][0]["text"] = "the best picture"
    store.commit(stage(tmp_path, tables, run_id="run-3"), run_id="run-3", channel="test")
    with store.file.open() as connection:
        connection.execute("INSERT INTO purges VALUES (?, 'asked', 0, 0, NULL, now(), 'x', now(), 'x')", [VIDEO_ID])
    assert archive_of(store).due(0) == []
    assert archive_of(store).archive_version(2, channel="test") == "its video is being purged"
    with pytest.raises(VideoDeleted, match="purged"):
        archive_of(store).unarchive(VIDEO_ID, 1, channel="test")
    assert (state(store, 1), state(store, 2)) == ("archived", "committed")


def test_a_damaged_version_is_reported_and_stays_and_stops_no_other(tmp_path: Path) -> None:
    other = sha256_bytes(b"another upload")
    store = two_versions(tmp_path)
    two_versions(tmp_path, f"other-{other[:12]}", other)
    with store.file.open() as connection:
        connection.execute("UPDATE captions SET text = 'changed' WHERE version_id = 1 AND frame_index = 2")
        connection.execute("DELETE FROM transcripts WHERE version_id = 1 AND segment_index = 0")
    before = rows_held(store)
    result = archive_of(store).archive(0, channel="test")
    assert [(one.video_id, one.version) for one in result.archived] == [(f"other-{other[:12]}", 1)]
    (failed,) = result.failed
    assert (failed.video_id, failed.version) == (VIDEO_ID, 1)
    assert "captions (content hash" in failed.reason
    assert "transcripts (2 rows instead of 3)" in failed.reason
    assert "frames" not in failed.reason
    assert rows_held(store) == before
    assert state(store) == "committed"
    assert list((tmp_path / "archive").rglob(f"{VIDEO_ID}*")) == []


def test_rows_that_change_while_files_are_written_are_not_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, write = two_versions(tmp_path), module.write

    def meddle(*arguments: Any) -> Any:
        with store.file.open() as connection:
            connection.execute("UPDATE captions SET text = 'changed' WHERE version_id = 1 AND frame_index = 2")
        return write(*arguments)

    monkeypatch.setattr(module, "write", meddle)
    (failed,) = archive_of(store).archive(0, channel="test").failed
    assert "captions (content hash" in failed.reason
    assert (state(store), len(rows_held(store)["captions"])) == ("committed", 4)


def test_a_version_that_is_shown_again_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, write = two_versions(tmp_path), module.write
    history, before = History(store.home, store.file, store.staging), rows_held(store)

    def go_back(*arguments: Any) -> Any:
        history.rollback(VIDEO_ID, 1, channel="test")
        return write(*arguments)

    monkeypatch.setattr(module, "write", go_back)
    result = archive_of(store).archive(0, channel="test")
    assert [one.reason for one in result.skipped] == ["is the version that is shown"]
    assert rows_held(store) == before


@pytest.mark.parametrize("table", ["frames", "captions", "transcripts", "detections"])
def test_a_flipped_bit_in_the_archive_is_named_and_nothing_changes(tmp_path: Path, table: str) -> None:
    store = two_versions(tmp_path)
    archive_of(store).archive(0, channel="test")
    wreck(files_named(store)[table])
    before = snapshot(store, without=())
    with pytest.raises(ArchiveDamaged, match=rf"archive/{table}/.*SHA-256 is [0-9a-f]{{12}} instead of"):
        archive_of(store).unarchive(VIDEO_ID, 1, channel="test")
    assert snapshot(store, without=()) == before


def test_a_file_that_is_gone_or_another_is_named_and_nothing_changes(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    archive_of(store).archive(0, channel="test")
    path = files_named(store)["captions"]
    data = path.read_bytes()
    path.unlink()
    before = snapshot(store, without=())
    with pytest.raises(ArchiveDamaged, match="No such file"):
        archive_of(store).unarchive(VIDEO_ID, 1, channel="test")
    assert snapshot(store, without=()) == before
    path.write_bytes(data)
    # The store itself is told another hash: the rows must still be those of the lineage.
    other = files_named(store)["frames"]
    with store.file.open() as connection:
        connection.execute(
            "UPDATE archived_tables SET file = ?, file_sha256 = ? WHERE table_name = 'captions'",
            [other.relative_to(tmp_path).as_posix(), sha256_file(other)],
        )
    with pytest.raises(ArchiveDamaged, match="cannot be read"):
        archive_of(store).unarchive(VIDEO_ID, 1, channel="test")
    assert state(store) == "archived"


def test_rows_of_another_version_are_never_brought_back(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    archive_of(store).archive(0, channel="test")
    with store.file.open() as connection:
        version = archived.version_by_id(connection, 2)
        tables = archived.held(connection, 2)
    captions = next(spec for spec in VERSIONED_TABLES if spec.name == "captions")
    foreign = archived.write(tmp_path, version, captions, tables["captions"])
    with store.file.open() as connection:
        connection.execute(
            "UPDATE archived_tables SET file = ?, file_sha256 = ? WHERE table_name = 'captions'",
            [foreign.file, foreign.file_sha256],
        )
    with pytest.raises(ArchiveDamaged, match="content hash"):
        archive_of(store).unarchive(VIDEO_ID, 1, channel="test")


def test_what_lies_on_disk_is_read_back_before_any_row_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, put = two_versions(tmp_path), archived._put

    def bad_disk(*arguments: Any) -> Path:
        path = put(*arguments)
        if "/detections/" in path.as_posix():
            wreck(path)
        return path

    monkeypatch.setattr(archived, "_put", bad_disk)
    before = snapshot(store, without=())
    (failed,) = archive_of(store).archive(0, channel="test").failed
    assert "archive/detections" in failed.reason
    assert snapshot(store, without=()) == before
    monkeypatch.undo()
    # What was damaged is not overwritten, for a backup might name it: the rows go to a file beside it.
    assert archive_of(store).archive(0, channel="test").archived
    assert len(list((tmp_path / "archive" / "detections").rglob("*.parquet"))) == 2
    assert archive_of(store).unarchive(VIDEO_ID, 1, channel="test").changed


def test_a_full_disk_leaves_the_rows_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = two_versions(tmp_path)

    def refuse(path: Path, data: bytes) -> None:
        raise StorageFailed(path, f"{len(data)} bytes could not be stored: No space left on device (ENOSPC).")

    monkeypatch.setattr(archived, "write_atomically", refuse)
    before = snapshot(store, without=())
    (failed,) = archive_of(store).archive(0, channel="test").failed
    assert "No space left" in failed.reason
    assert snapshot(store, without=()) == before


class Killed(BaseException):
    """What stands for a kill: nothing of the package catches it."""


def dies(after: int, step: Callable[..., Any]) -> Callable[..., Any]:
    """The step, which is carried out ``after`` times and then ends everything."""
    left = [after]

    def stepping(*arguments: Any, **named: Any) -> Any:
        if not left[0]:
            raise Killed
        left[0] -= 1
        return step(*arguments, **named)

    return stepping


@pytest.mark.parametrize(
    ("where", "name", "after"),
    [
        (module, "require_committed_rows", 0),
        (module, "write", 0),
        (module, "write", 2),
        (archived, "_checked", 3),
        (module, "move_out", 0),
        (archive_moves, "_mark", 0),
        (module, "_record", 0),
    ],
)
def test_a_kill_leaves_the_rows_in_one_place_and_the_next_run_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, after: int
) -> None:
    store = two_versions(tmp_path)
    before, held = snapshot(store, without=()), rows_held(store)
    monkeypatch.setattr(where, name, dies(after, getattr(where, name)))
    with pytest.raises(Killed):
        archive_of(store).archive(0, channel="test")
    monkeypatch.undo()
    assert snapshot(store, without=()) == before
    assert archive_of(store).archive(0, channel="test").archived
    assert len(list((tmp_path / "archive").rglob("*.parquet"))) == 4
    archive_of(store).unarchive(VIDEO_ID, 1, channel="test")
    assert rows_held(store) == held


@pytest.mark.parametrize(
    ("where", "name", "after"),
    [(module, "load", 0), (module, "move_in", 0), (archive_moves, "_mark", 0), (module, "_record", 0)],
)
def test_a_kill_while_it_comes_back_leaves_it_in_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, after: int
) -> None:
    store = two_versions(tmp_path)
    held = rows_held(store)
    archive_of(store).archive(0, channel="test")
    before = snapshot(store, without=())
    monkeypatch.setattr(where, name, dies(after, getattr(where, name)))
    with pytest.raises(Killed):
        archive_of(store).unarchive(VIDEO_ID, 1, channel="test")
    monkeypatch.undo()
    assert snapshot(store, without=()) == before
    assert archive_of(store).unarchive(VIDEO_ID, 1, channel="test").changed
    assert rows_held(store) == held


def test_what_is_not_archived_is_left_as_it_is(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    before = snapshot(store, without=())
    assert not archive_of(store).unarchive(VIDEO_ID, 2, channel="test").changed
    assert snapshot(store, without=()) == before
    with pytest.raises(VersionNotFound, match="no version 7"):
        archive_of(store).unarchive(VIDEO_ID, 7, channel="test")
    archive_of(store).archive(0, channel="test")
    assert archive_of(store).archive_version(1, channel="test") == "is archived already"


def test_both_ways_leave_their_row_in_the_audit_log(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    archive_of(store).archive(0, channel="schedule")
    archive_of(store).unarchive(VIDEO_ID, 1, channel="cli")
    with store.file.open() as connection:
        found = connection.execute(
            "SELECT action, split_part(actor, ':', 1), entity_id, detail FROM audit_log ORDER BY event_id DESC LIMIT 2"
        ).fetchall()
    assert [row[:3] for row in reversed(found)] == [
        ("version.archived", "schedule", "1"),
        ("version.unarchived", "cli", "1"),
    ]
    for *_, detail in found:
        told = json.loads(detail)
        assert (told["video_id"], told["version"]) == (VIDEO_ID, 1)
        assert set(told["files"]) == {spec.name for spec in VERSIONED_TABLES}
        assert "picture" not in detail


def test_an_event_can_happen_again_on_an_older_copy(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    held = rows_held(store)
    archive_of(store).archive(0, channel="cli")
    with store.file.open() as connection:
        detail, actor, when = connection.execute(
            "SELECT detail, actor, occurred_at FROM audit_log WHERE action = 'version.archived'"
        ).fetchall()[0]
        kept = connection.execute("FROM archived_tables").fetchall()
    archive_of(store).unarchive(VIDEO_ID, 1, channel="cli")
    with store.file.open() as connection:
        with transaction(connection):
            again = archive_moves.replay_archived(connection, tmp_path, json.loads(detail), who=actor, at=when)
        assert again
        assert sorted(connection.execute("FROM archived_tables").fetchall()) == sorted(kept)
        with transaction(connection):
            assert not archive_moves.replay_archived(connection, tmp_path, json.loads(detail), who=actor, at=when)
            assert archive_moves.replay_unarchived(connection, tmp_path, json.loads(detail))
            assert not archive_moves.replay_unarchived(connection, tmp_path, json.loads(detail))
    assert rows_held(store) == held


def test_archived_rows_can_be_read_where_they_are(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    held = {name: [row[1:] for row in found] for name, found in rows_held(store).items()}
    archive_of(store).archive(0, channel="test")
    with store.file.reading() as connection:
        tables = archived.read_archived(tmp_path, connection, 1)
        for spec in VERSIONED_TABLES:
            assert tables[spec.name].column_names == [column.name for column in spec.columns]
            assert (
                sorted(map(tuple, (row.values() for row in tables[spec.name].to_pylist())), key=repr) == held[spec.name]
            )
        with pytest.raises(ArchiveDamaged, match="names files of"):
            archived.read_archived(tmp_path, connection, 2)


def test_a_reader_that_holds_on_stops_neither_way(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    held = rows_held(store)
    with store.file.open() as connection, connection.cursor() as reader:
        reader.begin()
        reader.execute("FROM captions").fetchall()
        version, tables = archived.version_by_id(connection, 1), archived.held(connection, 1)
        files = [archived.write(tmp_path, version, spec, tables[spec.name]) for spec in VERSIONED_TABLES]
        for _ in range(3):
            with transaction(connection):
                archive_moves.move_out(connection, tmp_path, version, files, who="test")
            with transaction(connection):
                archive_moves.move_in(connection, version, archived.load(tmp_path, version, files))
        assert len(reader.execute("FROM captions").fetchall()) == 8
        reader.rollback()
    assert rows_held(store) == held


def test_results_travel(tmp_path: Path) -> None:
    store = two_versions(tmp_path)
    due = archive_of(store).due(0)
    travel = signature_of(Archive.due.__wrapped__)  # type: ignore[attr-defined]
    assert travel.result(travel.plain_result(due)) == due
    back = archive_of(store).unarchive(VIDEO_ID, 1, channel="test")
    travel = signature_of(Archive.unarchive.__wrapped__)  # type: ignore[attr-defined]
    assert asdict(travel.result(travel.plain_result(back))) == asdict(back)
