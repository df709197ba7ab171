"""Migrating the store of a BRI_HOME: a backup first, then Alembic, and a row in the audit log.

What does not belong here: the migrations (``migrations``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from bri_assets.errors import StoreDamaged
from bri_assets.files import sha256_file
from bri_assets.store import audit, migrations
from bri_assets.store.access import swap
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.duck import connect, damaged
from bri_assets.store.recovery.backup_folder import DATABASE, Backup, alone, begin, keep_files
from bri_assets.store.recovery.backups import copy_in_a_process_of_its_own, insert

__all__ = ["Migrated", "migrate"]


@dataclass(frozen=True)
class Migrated:
    """What a migration did.

    Args:
        before: revision that the store had.
        after: revision that it has.
        backup: made before anything was changed; None where nothing had to be.
    """

    before: str
    after: str
    backup: Backup | None


def migrate(file: StoreFile, folder: Path, *, to: str = migrations.HEAD, channel: str) -> Migrated:
    """Bring the store to a revision, up or down.

    Args:
        file: the store; made, at the newest revision, where there is none.
        folder: of the backups.
        to: a revision, four digits.
        channel: the way in, for the audit log.

    Raises:
        StoreDamaged: it cannot be read, or a migration failed; the store is as it was.
        StoreBusy: somebody owns or holds the store.
        StorageFailed: the disk refused the backup; nothing was changed.
    """
    if not file.path.exists():
        with file.open():
            pass
    with alone(folder, file.wait_s), file.locked():
        swap.finish(file.path)
        before = _revision(file)
        if before == to:
            return Migrated(before, before, None)
        backup = _back_up(file, folder, before, channel)
        move = migrations.upgrade if to > before else migrations.downgrade
        move(file.path, to, key=file.key, then=_recorder(before, to, backup, audit.actor(channel)))
        return Migrated(before, to, backup)


def _revision(file: StoreFile) -> str:
    try:
        with connect(file.path, file.key) as connection:
            return migrations.revision_of(connection)
    except duckdb.Error as error:
        raise damaged(file.path, error) from error


def _back_up(file: StoreFile, folder: Path, revision: str, channel: str) -> Backup:
    """A backup of a store that this program may not fit: read to its end, not proven row by row."""
    started = time.monotonic()
    partial = begin(folder)
    copy = partial / DATABASE
    copy_in_a_process_of_its_own({file.path: copy, swap.wal_of(file.path): swap.wal_of(copy)})
    with connect(copy, file.key) as connection:
        connection.execute("FORCE CHECKPOINT")
        _read_everything(connection, copy)
        videos, versions, last_event_id = connection.execute(
            """SELECT (SELECT count(*) FROM videos), (SELECT count(*) FROM video_versions),
                      (SELECT coalesce(max(event_id), 0) FROM audit_log)"""
        ).fetchall()[0]
    backup = Backup(
        backup_id=partial.with_suffix("").name,
        path=partial.with_suffix(""),
        revision=revision,
        last_event_id=last_event_id,
        videos=videos,
        versions=versions,
        size_bytes=copy.stat().st_size,
        sha256=sha256_file(copy),
        seconds=round(time.monotonic() - started, 3),
        reason="migration",
        created_at=datetime.now(UTC),
        created_by=audit.actor(channel),
    )
    keep_files(partial, backup)
    return backup


def _read_everything(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
    try:
        for name in names:
            connection.execute(f"SELECT count(*), bit_xor(hash(t)) FROM {name} t").fetchall()  # noqa: S608 - its own names
    except duckdb.Error as error:
        raise StoreDamaged(path, f"cannot be read to its end: {error}.", "Nothing was migrated.") from error


def _recorder(before: str, after: str, backup: Backup, who: str) -> migrations.Then:
    def record(connection: duckdb.DuckDBPyConnection) -> None:
        if after >= migrations.WITH_BACKUPS:
            insert(connection, backup)
        audit.record(
            connection,
            who=who,
            action="store.migrated",
            entity="schema_migrations",
            entity_id=after,
            detail={"before": before, "after": after, "backup_id": backup.backup_id},
        )

    return record
