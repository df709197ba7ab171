"""A compaction makes the file small and changes nothing else, whatever is committed meanwhile."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bri_assets.errors import StoreBusy, StoreDamaged
from bri_assets.files import sha256_bytes
from bri_assets.settings import Settings
from bri_assets.store import Store, migrations
from bri_assets.store.access.journal import Journal
from bri_assets.store.archives.archive import Archive
from bri_assets.store.compaction.rewrite import size_of
from bri_assets.store.compaction.same import different_shape
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.purge import Purge
from bri_assets.store.history import History
from bri_assets.store.memory import Memory, Turn
from bri_assets.store.tokens import Tokens
from bri_assets.store.uploads import NewUpload
from bri_assets_tests.snapshots import snapshot
from bri_assets_tests.unit.store.compacting import (
    commit,
    compaction_of,
    files_beside,
    id_of,
    meanwhile,
    store_in,
)

_ID_COLUMNS = {"video_versions": "version_id", "pointer_history": "change_id", "audit_log": "event_id"}


def given_out(store: Store) -> dict[str, int]:
    """The largest number of each sequence that is in use."""
    with store.file.open() as connection:
        return {
            table: connection.execute(f"SELECT coalesce(max({column}), 0) FROM {table}").fetchall()[0][0]
            for table, column in _ID_COLUMNS.items()
        }


def test_a_store_of_many_versions_becomes_as_small_as_a_fresh_one(tmp_path: Path) -> None:
    store, fresh = store_in(tmp_path / "old"), store_in(tmp_path / "fresh")
    for attempt in range(7):
        commit(store, note=incompressible(attempt))
    assert len(Archive(store.home, store.file, store.staging).archive(0, channel="test").archived) == 6
    before = snapshot(store)
    done = compaction_of(store).compact(channel="test")
    assert snapshot(store) == before
    commit(fresh, note=incompressible(6))
    compaction_of(fresh).compact(channel="test")
    assert done.bytes_before > 2 * done.bytes_after
    assert size_of(store.file.path) <= 1.5 * size_of(fresh.file.path)
    assert files_beside(store) == {"bri.duckdb"}


def incompressible(seed: int) -> str:
    return "".join(sha256_bytes(f"{seed} {part}".encode()) for part in range(30_000))


def test_compacting_is_an_event_of_the_audit_log_and_the_journal(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    commit(store)
    before = snapshot(store, without=())
    done = compaction_of(store).compact(channel="test")
    after = snapshot(store, without=())
    (event,) = [row for row in after["audit_log"] if row not in before["audit_log"]]
    assert before | {"audit_log": [*before["audit_log"], event]} == after
    assert event[3:5] == ("store.compacted", "store")
    assert json.loads(event[-1])["bytes_before"] == done.bytes_before
    told = list(Journal(Settings(home=tmp_path).journal_path).events())
    assert [one.event_id for one in told] == [row[0] for row in after["audit_log"]]


def test_whatever_happened_meanwhile_is_in_the_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    own = (store.home, store.file, store.staging)
    for name in ("hides", "shown", "begun", "goes", "rolls", "archives", "returns", "stays"):
        commit(store, name, "first")
    for name in ("goes", "rolls", "archives", "returns", "stays"):
        commit(store, name, "second")
    Deletion(*own).delete("shown", channel="test")
    archive, purge = Archive(*own), Purge(*own)
    archive.archive_version(version_id(store, "returns", 1), channel="test")
    archive.archive_version(version_id(store, "archives", 1), channel="test")
    memory, tokens = Memory(*own), Tokens(*own)
    for conversation in ("wiped", "kept"):
        memory.add(Turn(conversation_id=conversation, user="a", assistant="b", turn_id=conversation), channel="test")
    tokens.create("agent", "read", channel="test")
    for path in ("lost", "kept"):
        store.quarantine(upload(path), code="empty", reason="nothing in it", requested_by="test")
    expected: dict[str, Any] = {}

    def act() -> None:
        commit(store, "stays", "third")
        commit(store, "new", "first", frames=9)
        History(*own).rollback("rolls", 1, channel="test")
        Deletion(*own).delete("hides", channel="test")
        Deletion(*own).undelete("shown", channel="test")
        archive.unarchive("returns", 1, channel="test")
        archive.unarchive("archives", 1, channel="test")
        archive.archive_version(version_id(store, "archives", 1), channel="test")
        archive.archive_version(version_id(store, "stays", 2), channel="test")
        purge.purge("goes", reason="asked", channel="test")
        memory.wipe("wiped", channel="test")
        # The same turn id under other numbers.
        memory.add(Turn(conversation_id="wiped", user="c", assistant="d", turn_id="wiped"), channel="test")
        tokens.revoke("agent", channel="test")
        tokens.create("agent", "write", channel="test")
        store.claim(upload("new", "new"), requested_by="test")
        store.quarantine(upload("kept"), code="truncated", reason="it ends too early", requested_by="test")
        back = NewUpload("/goes", "goes", "signature", 10, sha256_bytes(b"goes"), id_of("goes"))
        store.claim(back, requested_by="cli")
        commit(store, "goes", "second")  # the same bundle under another number
        with store.writing() as connection:
            remove_in_part(connection, "begun")
            connection.execute("DELETE FROM uploads WHERE path = '/lost'")
        expected.update(snapshot(store, without=()))

    meanwhile(monkeypatch, act)
    done = compaction_of(store).compact(channel="test")
    found = snapshot(store, without=())
    assert len(found.pop("audit_log")) == len(expected.pop("audit_log")) + 1
    assert found == expected
    assert done.rows_since > 100


def version_id(store: Store, name: str, version: int) -> int:
    with store.file.open() as connection:
        found = connection.execute(
            "SELECT version_id FROM video_versions WHERE video_id = ? AND version = ?", [id_of(name), version]
        ).fetchone()
    assert found is not None
    return int(found[0])


def upload(path: str, name: str | None = None) -> NewUpload:
    sha256 = sha256_bytes(f"upload {path}".encode())
    return NewUpload(f"/{path}", path, "signature", 10, sha256, f"{name}-{sha256[:12]}" if name else None)


def remove_in_part(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """What a purge leaves that was killed half way: some rows are gone, and the version is still there."""
    connection.execute("INSERT INTO purges VALUES (?, 'asked', 0, 0, NULL, now(), 'x', now(), 'x')", [id_of(name)])
    for table in ("captions", "video_class_stats", "proofs"):
        connection.execute(
            f"DELETE FROM {table} WHERE version_id IN (SELECT version_id FROM video_versions WHERE video_id = ?)",
            [id_of(name)],
        )


def test_a_video_that_came_back_meanwhile_as_another_replaces_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore may give a number that was given already to another version, of another video."""
    store, other = store_in(tmp_path), store_in(tmp_path / "other")
    commit(store, "one")
    commit(store, "two")
    commit(other, "two", "another")
    commit(other, "one", "another")
    commit(other, "three", "another")
    with other.file.open():
        pass
    expected = snapshot(other)

    def act() -> None:
        store.file.path.unlink()
        other.file.path.rename(store.file.path)
        Settings(home=tmp_path).journal_path.unlink()

    meanwhile(monkeypatch, act)
    compaction_of(store).compact(channel="test")
    assert snapshot(store) == expected


def test_numbers_are_never_given_out_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    commit(store, "first")
    purge = Purge(store.home, store.file, store.staging)
    commit(store, "purged-before")
    purge.purge("purged-before", reason="asked", channel="test")
    used = given_out(store)

    def act() -> None:
        commit(store, "purged-meanwhile")
        used.update(given_out(store))
        purge.purge("purged-meanwhile", reason="asked", channel="test")
        used.update(audit_log=given_out(store)["audit_log"])

    meanwhile(monkeypatch, act)
    compaction_of(store).compact(channel="test")
    assert commit(store, "next") == used["video_versions"] + 1 == 4
    with store.file.open() as connection:
        changes = connection.execute("SELECT change_id FROM pointer_history ORDER BY 1").fetchall()
        events = connection.execute("SELECT event_id FROM audit_log ORDER BY 1").fetchall()
    assert changes[-1] == (used["pointer_history"] + 1,)
    assert [event for (event,) in events] == list(range(1, len(events) + 1))


def test_views_and_constraints_are_those_of_the_migrations(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    commit(store)
    views = ("v_videos", "v_frames", "v_captions", "v_transcripts", "v_detections", "video_context")

    def shown() -> dict[str, Any]:
        with store.file.open() as connection:
            return {view: sorted(connection.execute(f"FROM {view}").fetchall(), key=repr) for view in views}

    before = shown()
    assert all(before.values())
    compaction_of(store).compact(channel="test")
    assert shown() == before
    migrations.upgrade(tmp_path / "fresh.duckdb")
    with store.file.open() as connection:
        connection.execute(f"ATTACH '{tmp_path}/fresh.duckdb' AS fresh (READ_ONLY)")
        assert different_shape(connection, "bri", "fresh") == []
        for refused in (
            "INSERT INTO captions VALUES (999, 0, 'of no version', 0.5)",
            "INSERT INTO captions VALUES (1, 999, 'too sure', 1.5)",
            "INSERT INTO captions VALUES (1, 0, 'twice', 0.5)",
            "INSERT INTO captions VALUES (1, 999, NULL, 0.5)",
            "DELETE FROM videos",
        ):
            with pytest.raises(duckdb.ConstraintException):
                connection.execute(refused)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        ("UPDATE captions SET text = 'another' WHERE frame_index = 2", "version 1 in captions"),
        ("DELETE FROM detections", "version 1 in detections"),
        ("CREATE TABLE mine (i INTEGER)", "mine"),
        ("CREATE VIEW mine AS SELECT 1", "mine"),
        ("COMMENT ON TABLE frames IS 'another'", "frames"),
    ],
)
def test_a_store_that_is_not_as_it_should_be_is_left_alone(tmp_path: Path, harm: str, named: str) -> None:
    store = store_in(tmp_path)
    commit(store)
    with store.file.open() as connection:
        connection.execute(harm)
    before, inode = snapshot(store, without=()), store.file.path.stat().st_ino
    with pytest.raises(StoreDamaged, match=named):
        compaction_of(store).compact(channel="test")
    assert store.file.path.stat().st_ino == inode
    assert snapshot(store, without=()) == before
    assert files_beside(store) == {"bri.duckdb"}


def test_rows_that_somebody_changed_meanwhile_by_hand_are_not_lost_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path)
    commit(store)

    def act() -> None:
        with store.file.open() as connection:
            connection.execute("UPDATE captions SET text = 'by hand'")

    meanwhile(monkeypatch, act)
    inode = store.file.path.stat().st_ino
    with pytest.raises(StoreDamaged, match="captions"):
        compaction_of(store).compact(channel="test")
    assert store.file.path.stat().st_ino == inode
    assert files_beside(store) == {"bri.duckdb"}


def test_a_reader_that_holds_on_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path, wait_s=0.5)
    commit(store)
    before = snapshot(store, without=())
    with ExitStack() as holding:
        meanwhile(monkeypatch, lambda: holding.enter_context(store.file.reading()))
        with pytest.raises(StoreBusy):
            compaction_of(store).compact(channel="test")
    assert snapshot(store, without=()) == before
    assert files_beside(store) == {"bri.duckdb"}


def test_there_is_one_compaction_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    commit(store)

    def act() -> None:
        with pytest.raises(StoreBusy, match="is being compacted already"):
            compaction_of(store).compact(channel="test")

    meanwhile(monkeypatch, act)
    compaction_of(store).compact(channel="test")
    assert files_beside(store) == {"bri.duckdb"}


def test_adopting_a_file_twice_is_adopting_it_once(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    commit(store)
    compaction_of(store).compact(channel="test")
    commit(store, note="afterwards")
    before = snapshot(store, without=())
    name = next(row[5] for row in before["audit_log"] if row[3] == "store.compacted")
    again = compaction_of(store).adopt(name, channel="test")
    assert again.rows == 0
    assert snapshot(store, without=()) == before


def test_a_file_that_is_not_there_is_not_adopted(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    commit(store)
    before = snapshot(store, without=())
    with pytest.raises(StoreDamaged, match="is not there"):
        compaction_of(store).adopt("bri.duckdb.compact-00000000", channel="test")
    assert snapshot(store, without=()) == before
    assert files_beside(store) == {"bri.duckdb"}


def test_only_a_file_that_a_compaction_made_is_adopted(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    commit(store)
    with pytest.raises(ValueError, match="no file that a compaction made"):
        compaction_of(store).adopt("bri.duckdb", channel="test")
    assert store.video("holiday")["video"]["version"] == 1
