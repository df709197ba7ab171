"""Files that are torn, changed, lost or older than they should be: what is damaged is named, and never served."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bri_assets.errors import (
    BackupDamaged,
    BriError,
    JournalDamaged,
    RowsInvalid,
    StagedDamaged,
    StagedMissing,
    StoreBehind,
    StoreDamaged,
    StoreMissing,
)
from bri_assets.schemas import STAGED_TABLES
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import Store
from bri_assets.store.access.journal import Journal
from bri_assets.store.recovery.backups import Backup, Backups
from bri_assets.store.recovery.restore import Restore
from bri_assets_tests.faults import jobs
from bri_assets_tests.faults.invariants import broken
from bri_assets_tests.faults.killing import KILLED, Point, Worker
from bri_assets_tests.faults.ledger import entries, note
from bri_assets_tests.faults.work import WORKS, bring, commit_new

#: A process dies with its commit in the write-ahead log, acknowledged.
TOLD = Point("", "bri_assets.store.access.journal:Journal._append")


def database(home: Path) -> Path:
    return Settings(home=home).store_path


def wal(home: Path) -> Path:
    return database(home).with_name("bri.duckdb.wal")


def torn(path: Path, share: float = 0.5) -> None:
    """Cut a file off."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flipped(path: Path, chance: random.Random, at: float | None = None) -> None:
    """Change one bit, somewhere or at a share of the file's length."""
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content)) if at is None else int(len(content) * at)
    content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def put_back(home: Path) -> None:
    """Bring a store back from the journal and what is staged, and see that it is whole."""
    restore = Restore.of(Settings(home=home))
    assert not restore.restore(restore.choose(None, None), channel="test").lost
    assert not broken(home)


def acknowledged_in_the_wal(home: Path) -> None:
    """Leave a write-ahead log in which there is a commit that the journal tells of."""
    worker = Worker(home.with_name("killed.log"), jobs.attempt, home, "commit", "in the log", TOLD)
    entry = worker.ready()
    assert worker.wait() == KILLED
    note(home, entry)
    assert wal(home).stat().st_size > 1000


def test_a_bit_that_flips_in_the_store_is_named_or_harmless(home: Path) -> None:
    """DuckDB holds every block against its checksum; a bit in a block that is not used does no harm."""
    whole, seed = database(home).read_bytes(), random.randrange(10**6)
    chance, named = random.Random(seed), 0
    for _ in range(24):
        database(home).write_bytes(whole)
        flipped(database(home), chance)
        found = Worker(home.with_name("look.log"), jobs.look, home, "commit", None, False).result().problems
        assert all(problem.startswith("StoreDamaged") for problem in found), (seed, found)
        named += bool(found)
    assert named > 3, seed


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5])
def test_a_torn_store_is_named_and_brought_back(home: Path, share: float) -> None:
    """By whoever reads what is gone, at the latest by a look at the whole (a backup begins with one)."""
    torn(database(home), share)
    (problem,) = Worker(home.with_name("look.log"), jobs.look, home, "commit", None, False).result().problems
    assert problem.startswith("StoreDamaged")
    assert "bri restore" in problem
    put_back(home)


def test_a_lost_store_is_not_made_anew(home: Path) -> None:
    database(home).unlink()
    with pytest.raises(StoreMissing, match="is not there, but its journal tells of events"):
        Store.of(Settings(home=home)).status()
    assert not database(home).exists()
    put_back(home)


def test_an_old_copy_in_the_place_of_the_store_is_named(home: Path) -> None:
    shutil.copy(database(home), home.with_name("old"))
    commit_new(home, "newer")
    shutil.copy(home.with_name("old"), database(home))
    with pytest.raises(StoreBehind, match="tells of 4 events, but the database has 3"):
        Store.of(Settings(home=home)).status()
    put_back(home)


def test_an_old_copy_that_takes_over_the_write_ahead_log_is_named(home: Path) -> None:
    """DuckDB replays the log onto a copy that it was not made for: the newest event is there, one before it is not."""
    shutil.copy(database(home), home.with_name("old"))
    commit_new(home, "newer")
    acknowledged_in_the_wal(home)
    shutil.copy(home.with_name("old"), database(home))
    with pytest.raises((StoreBehind, StoreDamaged)):
        Store.of(Settings(home=home)).status()
    wal(home).unlink(missing_ok=True)
    put_back(home)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.99])
def test_a_torn_log_that_loses_an_acknowledged_commit_is_named(home: Path, share: float) -> None:
    acknowledged_in_the_wal(home)
    torn(wal(home), share)
    with pytest.raises((StoreBehind, StoreDamaged)):
        Store.of(Settings(home=home)).status()
    put_back(home)


def test_a_lost_log_is_named(home: Path) -> None:
    acknowledged_in_the_wal(home)
    wal(home).unlink()
    with pytest.raises(StoreBehind):
        Store.of(Settings(home=home)).status()
    put_back(home)


def test_a_bit_that_flips_in_the_log_is_named_or_harmless(home: Path) -> None:
    acknowledged_in_the_wal(home)
    files, seed = (database(home).read_bytes(), wal(home).read_bytes()), random.randrange(10**6)
    chance, named = random.Random(seed), 0
    for _ in range(12):
        database(home).write_bytes(files[0])
        wal(home).write_bytes(files[1])
        flipped(wal(home), chance)
        found = Worker(home.with_name("look.log"), jobs.look, home, "commit", None, False).result().problems
        assert all(problem.startswith(("StoreDamaged", "StoreBehind")) for problem in found), (seed, found)
        named += bool(found)
    assert named > 3, seed
    database(home).write_bytes(files[0])
    wal(home).write_bytes(files[1])
    assert not broken(home)


def test_a_torn_staged_file_is_named_and_nothing_is_committed(home: Path) -> None:
    entry = bring(home, "staged")
    (path,) = (home / "staged" / entry.video_id).glob("captions-*.parquet")
    bundle = entry.bundle_in(home)
    torn(path)
    with pytest.raises(StagedDamaged, match=path.name):
        Store.of(Settings(home=home)).commit(bundle, run_id="run", channel="test")
    assert not broken(home)


def test_a_torn_manifest_is_named(home: Path) -> None:
    entry = bring(home, "staged")
    torn(home / "staged" / entry.video_id / "captions.json")
    with pytest.raises(StagedDamaged, match=r"captions\.json"):
        entry.bundle_in(home)


@pytest.mark.parametrize("table", STAGED_TABLES)
def test_a_bit_that_flips_in_a_staged_file_is_named_or_harmless(home: Path, table: str) -> None:
    """A bit of Parquet that says nothing of the rows does no harm: rows that are read are those that were staged."""
    staging, seed = StagingArea(home / "staged"), random.randrange(10**6)
    manifest = staging.newest(bring(home, "staged").video_id, table)
    path, chance, named = staging.path(manifest), random.Random(seed), 0
    whole, rows = path.read_bytes(), staging.read(manifest)
    for _ in range(40):
        path.write_bytes(whole)
        flipped(path, chance)
        try:
            assert staging.read(manifest).equals(rows), seed
        except (StagedDamaged, RowsInvalid):
            named += 1
    assert named > 3, seed


def test_a_bit_that_flips_in_a_manifest_is_named(home: Path) -> None:
    """Whatever it says: that another tool made the rows would be a lie too."""
    entry, seed = bring(home, "staged"), random.randrange(10**6)
    path, chance = home / "staged" / entry.video_id / "captions.json", random.Random(seed)
    whole = path.read_bytes()
    for _ in range(40):
        path.write_bytes(whole)
        flipped(path, chance)
        with pytest.raises((StagedDamaged, StagedMissing)):
            StagingArea(home / "staged").bundle(entry.video_id)


def test_a_torn_staged_file_loses_a_restore_and_says_so(home: Path) -> None:
    (path,) = (home / "staged" / entries(home)[0].video_id).glob("captions-*.parquet")
    torn(path)
    before = database(home).read_bytes()
    with pytest.raises(BriError, match=path.name):
        put_back(home)
    assert database(home).read_bytes() == before


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_journal_that_was_torn_in_its_last_line_is_healed(home: Path, cut: int) -> None:
    path = Settings(home=home).journal_path
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    assert not broken(home)
    assert path.read_bytes() == content


def test_a_bit_that_flips_in_the_last_line_of_the_journal_is_named(home: Path) -> None:
    flipped(Settings(home=home).journal_path, random.Random(2), 0.99)
    with pytest.raises(JournalDamaged, match="its last line is not what was written"):
        Store.of(Settings(home=home)).status()


def test_a_bit_that_flips_inside_the_journal_is_named_by_whoever_reads_it(home: Path) -> None:
    flipped(Settings(home=home).journal_path, random.Random(3), 0.5)
    with pytest.raises(JournalDamaged, match="line 2 is not what was written"):
        list(Journal(Settings(home=home).journal_path).events())
    assert broken(home)


def backup_of(home: Path) -> Backup:
    settings = Settings(home=home)
    return Backups.of(settings).make(settings.backup_dir, keep=3, reason="asked", channel="test")


@pytest.mark.parametrize("damage", [torn, lambda path: flipped(path, random.Random(1))], ids=["torn", "flipped"])
def test_a_damaged_backup_is_refused_and_the_store_stays(home: Path, damage: Callable[[Path], None]) -> None:
    backup = backup_of(home)
    damage(backup.database)
    before = database(home).read_bytes()
    restore = Restore.of(Settings(home=home))
    with pytest.raises(BackupDamaged, match="damaged"):
        restore.restore(restore.choose(backup.backup_id, None), channel="test")
    assert database(home).read_bytes() == before
    assert not [problem for problem in broken(home) if "a backup is kept that is damaged" not in problem]


@pytest.mark.parametrize("damage", [torn, lambda path: path.write_bytes(b"{}")], ids=["torn", "changed"])
def test_a_damaged_record_of_a_backup_is_named(home: Path, damage: Callable[[Path], None]) -> None:
    backup = backup_of(home)
    damage(backup.path / "backup.json")
    with pytest.raises(BackupDamaged, match="no record that can be read"):
        Restore.of(Settings(home=home)).choose(backup.backup_id, None)


def test_a_backup_and_what_was_staged_since_bring_back_a_store_that_was_lost(home: Path) -> None:
    backup_of(home)
    for work in ("commit", "rollback", "delete", "undelete", "archive"):
        note(home, WORKS[work].do(home, WORKS[work].prepare(home, work)))
    with_everything = entries(home)
    database(home).unlink()
    wal(home).unlink(missing_ok=True)
    put_back(home)
    assert len(with_everything) > 8
