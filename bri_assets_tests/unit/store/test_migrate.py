"""`bri migrate`: both ways with rows in every table, a backup first, and a failing step that changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from bri_assets.errors import StoreDamaged, StoreOutdated
from bri_assets.schemas import STORE_TABLES
from bri_assets.store import Archive, Memory, Tokens, migrations
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.journal import Journal
from bri_assets.store.memory import Turn
from bri_assets.store.recovery.backup_folder import kept
from bri_assets.store.recovery.migrate import migrate
from bri_assets_tests.bundles import open_store, operations
from bri_assets_tests.unit.store.test_recovery import commit, history_of_everything, restore

#: What each revision added.
ADDED = {
    "0002": {"archived_tables", "purges", "backups"},
    "0003": {"quality", "alerts", "alert_deliveries", "alert_silences"},
    "0004": {"memory", "tokens"},
}
#: What every migration writes into.
TOLD = {"audit_log", "schema_migrations", "alembic_version", "backups"}


def file_of(home: Path) -> StoreFile:
    return StoreFile(home / "store" / "bri.duckdb", wait_s=1, journal=Journal(home / "staged" / "journal.jsonl"))


def tables(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that there is, whatever its revision."""
    with duckdb.connect(str(file_of(home).path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {name: sorted(connection.execute(f"FROM {name}").fetchall(), key=repr) for name in names}


def full(home: Path) -> None:
    """A store with rows in every table."""
    history_of_everything(home)
    commit(home, "first", "seen a third time")
    operations(Archive, home).archive(0, channel="test")
    turn = Turn(conversation_id="c", user="What is seen?", assistant="A picture.")
    operations(Memory, home).add(turn, channel="test")
    operations(Tokens, home).create("agent", "read", channel="test")
    open_store(home).set_run("nobody", "run", channel="test")
    with open_store(home).file.open() as connection:
        connection.execute(
            """INSERT INTO uploads SELECT 'u-1', '/a', 'a', 's', 1, NULL, NULL, 'quarantined', 'c', 'r', 1, 0, 'cli',
               NULL, now(), 't', now(), 't'"""
        )
        connection.execute(
            """INSERT INTO alerts SELECT 'a-0123456789abcdef', 'disk_low', 'disk:/', '', 1, 'ERROR', 's', 'r', '{}',
               NULL, now(), NULL, 't', now(), 't'"""
        )
        connection.execute(
            """INSERT INTO alert_deliveries SELECT 'a-0123456789abcdef', 'fired', 'json', 0, now(), NULL, NULL, NULL,
               now(), 't', now(), 't'"""
        )
        connection.execute(
            "INSERT INTO alert_silences SELECT 's-0123456789abcdef', '*', '*', 'r', now(), now(), 't', now(), 't'"
        )


def test_every_table_has_rows_in_these_tests(tmp_path: Path) -> None:
    full(tmp_path)
    found = tables(tmp_path)
    assert {spec.name for spec in STORE_TABLES if not found[spec.name]} == set()


@pytest.mark.parametrize("revision", migrations.known()[:-1])
def test_down_and_up_again_keeps_every_row_that_both_can_hold(tmp_path: Path, revision: str) -> None:
    full(tmp_path)
    lost = set().union(*(names for added, names in ADDED.items() if added > revision))
    for version in (1, 2):
        operations(Archive, tmp_path).unarchive("first", version, channel="test")
    before = tables(tmp_path)
    down = migrate(file_of(tmp_path), tmp_path / "backups", to=revision, channel="test")
    assert (down.before, down.after) == (migrations.HEAD, revision)
    held = tables(tmp_path)
    for name in set(before) - lost - TOLD:
        assert held[name] == before[name], name
    assert lost.isdisjoint(held)
    with pytest.raises(StoreOutdated, match="bri migrate"):
        open_store(tmp_path).status()

    up = migrate(file_of(tmp_path), tmp_path / "backups", channel="test")

    assert (up.before, up.after) == (revision, migrations.HEAD)
    again = tables(tmp_path)
    for name in set(before) - lost - TOLD:
        assert again[name] == before[name], name
    assert [row[3] for row in again["audit_log"] if row not in before["audit_log"]] == ["store.migrated"] * 2
    assert open_store(tmp_path).video("first")["video"]["version"] == 3


def test_a_backup_is_made_first_and_brings_the_store_back(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    done = migrate(file_of(tmp_path), tmp_path / "backups", to="0001", channel="test")
    assert done.backup is not None
    assert [(one.backup_id, one.reason, one.revision) for one in kept(tmp_path / "backups")] == [
        (done.backup.backup_id, "migration", migrations.HEAD)
    ]
    migrate(file_of(tmp_path), tmp_path / "backups", channel="test")
    assert [one.revision for one in kept(tmp_path / "backups")] == [migrations.HEAD, "0001"]
    # The newest backup is of the older revision: it is brought up when it is restored.
    restore(tmp_path)
    assert open_store(tmp_path).video("first")["video"]["version"] == 1


def test_a_store_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    before = tables(tmp_path)
    assert migrate(file_of(tmp_path), tmp_path / "backups", channel="test").backup is None
    assert tables(tmp_path) == before
    assert kept(tmp_path / "backups") == []


def test_a_failing_upgrade_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    migrate(file_of(tmp_path), tmp_path / "backups", to="0001", channel="test")
    with duckdb.connect(str(file_of(tmp_path).path)) as connection:
        connection.execute("CREATE TABLE purges (in_the_way INTEGER)")  # the second table that 0002 makes
    before = tables(tmp_path)
    with pytest.raises(StoreDamaged, match=r"(?s)purges.*as it was before"):
        migrate(file_of(tmp_path), tmp_path / "backups", channel="test")
    assert tables(tmp_path) == before
    assert "archived_tables" not in before
    assert migrations.HEAD not in {row[0] for row in before["schema_migrations"]}


def test_a_failing_downgrade_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    full(tmp_path)
    before = tables(tmp_path)
    with pytest.raises(StoreDamaged, match="bri unarchive"):
        migrate(file_of(tmp_path), tmp_path / "backups", to="0001", channel="test")
    assert tables(tmp_path) == before
