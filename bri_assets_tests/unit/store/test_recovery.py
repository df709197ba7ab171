"""Backups and restores: nothing that was acknowledged is lost while a backup and what is staged are there."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bri_assets.errors import BackupDamaged, RestoreFailed, StoreBusy, StoreMissing
from bri_assets.files import sha256_bytes
from bri_assets.staging import Source, StagingArea
from bri_assets.store import Backups, Deletion, Drill, History, Purge, Store
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.journal import Journal
from bri_assets.store.recovery.backup_folder import Backup, kept
from bri_assets.store.recovery.restore import Restore, Restored
from bri_assets_tests.bundles import open_store, operations, rows, stage
from bri_assets_tests.snapshots import snapshot


def restore_of(home: Path) -> Restore:
    staging, journal = StagingArea(home / "staged"), Journal(home / "staged" / "journal.jsonl")
    file = StoreFile(home / "store" / "bri.duckdb", wait_s=1, journal=journal)
    return Restore(file, journal, home, staging, home / "backups")


def commit(home: Path, name: str, text: str = "a picture 0") -> str:
    sha256 = sha256_bytes(name.encode())
    video_id = f"{name}-{sha256[:12]}"
    tables = rows(home, video_id=video_id, sha256=sha256)
    tables["captions"][0]["text"] = text
    accepted = Source(
        video_id=video_id, path=f"/{name}.mp4", filename=f"{name}.mp4", sha256=sha256, signature="1:1:1:1:1"
    )
    StagingArea(home / "staged").accept(accepted)
    open_store(home).commit(stage(home, tables, run_id=text), run_id="run", channel="test")
    return video_id


def back_up(home: Path, keep: int = 3) -> Backup:
    return operations(Backups, home).make(home / "backups", keep=keep, reason="asked", channel="test")


def restore(home: Path, *, until: datetime | None = None, journal_only: bool = False, **options: bool) -> Restored:
    restoring = restore_of(home)
    backup = None if journal_only else restoring.choose(None, until)
    return restoring.restore(backup, until=until, channel="test", **options)


def shown(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row, but for what says of itself that it was restored."""
    found = snapshot(store, without=("uploads", "proofs", "schema_migrations", "backups"))
    # Moves of pointers keep their order, but are numbered anew where some were left behind.
    moves = [row[1:] for row in sorted(found["pointer_history"])]
    events = [row for row in found["audit_log"] if row[3] != "store.restored"]
    return found | {"audit_log": events, "pointer_history": moves}


def history_of_everything(home: Path) -> Store:
    """A backup, and after it every kind of event that a restore has to bring back."""
    commit(home, "first")
    second = commit(home, "second")
    back_up(home)
    changed = commit(home, "first", "seen again")
    commit(home, "third")
    operations(History, home).rollback(changed, 1, channel="test")
    operations(Deletion, home).delete(second, channel="test")
    gone = commit(home, "fourth")
    operations(Purge, home).purge(gone, reason="asked", channel="test")
    return open_store(home)


@pytest.mark.parametrize("journal_only", [False, True])
def test_a_restore_brings_back_everything_as_it_was(tmp_path: Path, journal_only: bool) -> None:
    store = history_of_everything(tmp_path)
    before = shown(store)
    store.file.path.unlink()
    done = restore(tmp_path, journal_only=journal_only)
    assert done.lost == []
    assert (done.videos, done.total_versions) == (3, 4)
    assert shown(store) == before
    assert [row["filename"] for row in store.status()]  # uploads come back from what is staged


def test_what_was_there_is_kept_beside(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    back_up(tmp_path)
    path = open_store(tmp_path).file.path
    path.write_bytes(b"this is no database any more")
    done = restore(tmp_path)
    assert done.safety is not None
    assert (done.safety / path.name).read_bytes() == b"this is no database any more"
    assert (done.safety / "journal.jsonl").exists()
    assert open_store(tmp_path).video("first")["video"]["version"] == 1


def test_after_a_restore_numbers_go_on(tmp_path: Path) -> None:
    store = history_of_everything(tmp_path)
    store.file.path.unlink()
    restore(tmp_path)
    commit(tmp_path, "fifth")
    with store.file.open() as connection:
        version_ids = connection.execute("SELECT version_id FROM video_versions ORDER BY 1").fetchall()
        events = connection.execute("SELECT count(*), count(DISTINCT event_id) FROM audit_log").fetchall()[0]
    # The fourth was purged; its number is not given again.
    assert version_ids == [(1,), (2,), (3,), (4,), (6,)]
    assert events[0] == events[1]


def test_point_in_time(tmp_path: Path) -> None:
    first = commit(tmp_path, "first")
    back_up(tmp_path)
    commit(tmp_path, "first", "second version")
    until = datetime.now(UTC)
    while datetime.now(UTC) <= until:
        time.sleep(0.001)
    commit(tmp_path, "first", "a mistake")
    done = restore(tmp_path, until=until)
    assert done.versions == 1
    assert open_store(tmp_path).video(first)["captions"][0]["text"] == "second version"
    # The journal is that of the restored store: it is not behind, and what comes now is a new event.
    commit(tmp_path, "first", "mended")
    assert open_store(tmp_path).video(first)["captions"][0]["text"] == "mended"


def test_a_backup_that_was_made_later_is_not_taken(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    before = datetime.now(UTC)
    backup = back_up(tmp_path)
    restoring = restore_of(tmp_path)
    assert restoring.choose(None, before) is None
    with pytest.raises(BackupDamaged, match="older"):
        restoring.choose(backup.backup_id, before)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "record"])
def test_a_damaged_backup_is_refused_and_the_store_stays(tmp_path: Path, damage: str) -> None:
    first = commit(tmp_path, "first")
    backup = back_up(tmp_path)
    content = bytearray(backup.database.read_bytes())
    content[len(content) // 2] ^= 1
    match damage:
        case "flipped":
            backup.database.write_bytes(content)
        case "cut":
            backup.database.write_bytes(content[: len(content) // 2])
        case "gone":
            backup.database.unlink()
        case "record":
            (backup.path / "backup.json").write_text("{")
    with pytest.raises(BackupDamaged):
        restore(tmp_path)
    assert open_store(tmp_path).video(first)["video"]["version"] == 1


def test_a_store_that_is_damaged_is_not_backed_up_as_if_it_were_whole(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    with open_store(tmp_path).file.open() as connection:
        connection.execute("UPDATE captions SET text = 'a lie' WHERE frame_index = 1")
    with pytest.raises(BackupDamaged, match="captions"):
        back_up(tmp_path)
    assert list(kept(tmp_path / "backups")) == []


@pytest.mark.parametrize("lost", ["staged", "image"])
def test_what_cannot_be_brought_back_is_named_and_nothing_is_changed(tmp_path: Path, lost: str) -> None:
    commit(tmp_path, "first")
    back_up(tmp_path)
    second = commit(tmp_path, "second")
    before = shown(open_store(tmp_path))
    kind = "staged" if lost == "staged" else "frames"
    pattern = "captions-*" if lost == "staged" else "000002-*"
    for file in (tmp_path / kind / second).glob(pattern):
        file.unlink()
    with pytest.raises(RestoreFailed, match=r"version\.committed of 2.*--accept-loss"):
        restore(tmp_path)
    assert shown(open_store(tmp_path)) == before
    done = restore(tmp_path, accept_loss=True)
    assert len(done.lost) == 1
    assert (done.videos, done.versions) == (1, 0)
    assert open_store(tmp_path).video("first")["video"]["version"] == 1


def test_a_restore_waits_for_nobody_for_long(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    back_up(tmp_path)
    with open_store(tmp_path).file.open(), pytest.raises(StoreBusy):
        restore(tmp_path)


def test_only_so_many_backups_are_kept(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    made = [back_up(tmp_path, keep=2).backup_id for _ in range(3)]
    assert [backup.backup_id for backup in kept(tmp_path / "backups")] == made[1:]
    with open_store(tmp_path).file.open() as connection:
        rows = connection.execute("SELECT backup_id, expired_at IS NULL FROM backups ORDER BY 1").fetchall()
    assert rows == [(made[0], False), (made[1], True), (made[2], True)]


def test_the_drill_restores_what_there_is_and_changes_nothing(tmp_path: Path) -> None:
    store = history_of_everything(tmp_path)
    before, files = snapshot(store, without=()), sorted(tmp_path.rglob("*"))
    found = operations(Drill, tmp_path).run(restore_of(tmp_path))
    assert found.recovers, found.differences
    assert (found.videos, found.versions, found.events) == (3, 4, 10)
    assert found.backup_id is not None
    assert snapshot(store, without=()) == before
    assert sorted(tmp_path.rglob("*")) == files


def test_the_drill_says_what_would_not_come_back(tmp_path: Path) -> None:
    history_of_everything(tmp_path)
    for file in (tmp_path / "staged").glob("third-*/frames-*"):
        file.unlink()
    found = operations(Drill, tmp_path).run(restore_of(tmp_path))
    assert not found.recovers
    assert "version.committed of 4" in found.differences[0]


@pytest.mark.parametrize("and_a_backup", [False, True])
def test_what_a_restore_left_behind_never_comes_back(tmp_path: Path, and_a_backup: bool) -> None:
    first = commit(tmp_path, "first")
    back_up(tmp_path)
    until = datetime.now(UTC)
    while datetime.now(UTC) <= until:
        time.sleep(0.001)
    commit(tmp_path, "first", "a mistake")
    commit(tmp_path, "second", "another mistake")
    abandoned = back_up(tmp_path)
    restore(tmp_path, until=until)
    commit(tmp_path, "first", "as it should be")
    operations(Deletion, tmp_path).delete(commit(tmp_path, "third"), channel="test")
    if and_a_backup:
        back_up(tmp_path)
    before = shown(open_store(tmp_path))
    assert operations(Drill, tmp_path).run(restore_of(tmp_path)).recovers
    open_store(tmp_path).file.path.unlink()
    restore(tmp_path)
    assert shown(open_store(tmp_path)) == before
    assert open_store(tmp_path).video(first)["captions"][0]["text"] == "as it should be"
    with pytest.raises(BackupDamaged, match="left behind"):
        restore_of(tmp_path).choose(abandoned.backup_id, None)


def test_a_restore_to_a_time_gives_no_number_again(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    back_up(tmp_path)
    until = datetime.now(UTC)
    while datetime.now(UTC) <= until:
        time.sleep(0.001)
    commit(tmp_path, "first", "a mistake")
    left = open_store(tmp_path).video("first")["video"]["version_id"]
    restore(tmp_path, until=until)
    commit(tmp_path, "first", "as it should be")
    assert open_store(tmp_path).video("first")["video"]["version_id"] > left


def test_a_damaged_line_of_the_journal_is_no_loss_where_the_backup_has_its_event(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    commit(tmp_path, "second")
    back_up(tmp_path)
    commit(tmp_path, "third")
    path = tmp_path / "staged" / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[0] = lines[0][:-3] + b"xxx"
    path.write_bytes(b"\n".join(lines))
    assert restore(tmp_path).lost == []
    lines[3] = lines[3][:-3] + b"xxx"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(RestoreFailed, match="line 4"):
        restore(tmp_path)


def test_no_new_store_is_made_where_there_are_backups(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    back_up(tmp_path)
    file = StoreFile(tmp_path / "store" / "bri.duckdb", backups=tmp_path / "backups")
    file.path.unlink()
    with pytest.raises(StoreMissing, match="there are backups of it"), file.open():
        raise AssertionError("opened")
