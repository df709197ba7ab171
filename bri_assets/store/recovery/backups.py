"""Backups: a copy of the database that was opened and proven, in a folder of its own, with a record beside it.

Files that the database names (frame images, staged tables, the archive) are written once and never changed, so any tool
can copy them at any time; a backup holds the database alone. What does not belong here: bringing one back
(``restore``).
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from bri_assets.errors import BackupDamaged, StorageFailed
from bri_assets.files import sha256_file, storing
from bri_assets.store import audit
from bri_assets.store.access.duck import connect
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.access.swap import wal_of
from bri_assets.store.migrations import revision_of
from bri_assets.store.recovery.backup_folder import DATABASE, Backup, alone, begin, keep_files, kept, put_aside, remove
from bri_assets.store.recovery.whole import Wholeness, examine

__all__ = ["Backups", "Copied", "copy_in_a_process_of_its_own", "insert", "mark_expired", "prove_file"]


@dataclass(frozen=True)
class Copied:
    """A copy of the database's files.

    Args:
        at: when it was complete, UTC.
        paused_s: seconds for which writers waited.
        sha256: of the database file as it was read.
    """

    at: datetime
    paused_s: float
    sha256: str


class Backups(Operations):
    """Making backups and keeping a number of them."""

    def make(self, folder: Path, *, keep: int, reason: str, channel: str) -> Backup:
        """Copy the database, open and prove the copy, record it, and remove the backups that are too many.

        Commits wait while the files are copied (some seconds for each gigabyte), and go on while the copy is proven.

        Args:
            folder: of all backups.
            keep: newest backups to keep, this one among them.
            reason: ``asked``, ``scheduled``, ``migration``.
            channel: the way in, for the audit log.

        Raises:
            BackupDamaged: the copy cannot be proven; it is kept beside, named ``.damaged``, for a look.
            StoreBusy: another backup or drill is under way.
            StorageFailed: the disk refused.
        """
        with alone(folder, self.file.wait_s):
            backup = self._make(begin(folder), reason, audit.actor(channel))
            self.record(backup)
            for old in kept(folder, readable_only=True)[:-keep]:
                # Said first: the files of one that is said to be gone are removed by whoever makes the next one.
                self.expired(old.backup_id, channel)
                remove(old)
        return backup

    def _make(self, partial: Path, reason: str, who: str) -> Backup:
        started, copy = time.monotonic(), partial / DATABASE
        copied = self.copy_files(copy)
        try:
            _require_as_read(copy, copied.sha256)
            found, revision = prove_file(copy, self.file.key)
        except BackupDamaged:
            put_aside(partial)
            raise
        if found.wrong:
            what = f"does not hold what was committed: {found.wrong[0]}."
            remedy = "The store itself is damaged: see docs/runbooks/recovery.md."
            raise BackupDamaged(put_aside(partial), what, remedy)
        with storing(partial, 0):
            size, sha256 = copy.stat().st_size, sha256_file(copy)
        backup = Backup(
            backup_id=partial.with_suffix("").name,
            path=partial.with_suffix(""),
            revision=revision,
            last_event_id=found.last_event_id,
            videos=found.videos,
            versions=found.versions,
            size_bytes=size,
            sha256=sha256,
            seconds=round(time.monotonic() - started, 3),
            paused_s=copied.paused_s,
            reason=reason,
            created_at=copied.at,
            created_by=who,
        )
        keep_files(partial, backup)
        return backup

    @operation(again=False)
    def copy_files(self, target: Path) -> Copied:
        """Copy the database's files, as of one moment, to ``target``; nobody writes meanwhile.

        Raises:
            StorageFailed: the disk refused.
        """
        started = time.monotonic()
        with self.file.still():
            hashes = copy_in_a_process_of_its_own({self.file.path: target, wal_of(self.file.path): wal_of(target)})
        return Copied(datetime.now(UTC), round(time.monotonic() - started, 3), hashes[0])

    @operation()
    def record(self, backup: Backup) -> None:
        """Keep a backup's record in the store; of one that is there already, nothing changes."""
        with self.writing() as connection:
            if insert(connection, backup):
                audit.record(
                    connection,
                    who=backup.created_by,
                    action="backup.made",
                    entity="backups",
                    entity_id=backup.backup_id,
                    rows_sha256=backup.sha256,
                    detail=backup.model_dump(mode="json"),
                )

    @operation()
    def expired(self, backup_id: str, channel: str) -> None:
        """Record that a backup is one too many; its files are removed next, or by whoever makes the next backup."""
        who = audit.actor(channel)
        with self.writing() as connection:
            if mark_expired(connection, backup_id, who=who):
                audit.record(connection, who=who, action="backup.expired", entity="backups", entity_id=backup_id)


def _require_as_read(copy: Path, sha256: str) -> None:
    with storing(copy, 0):
        written = sha256_file(copy)
    if written != sha256:
        raise BackupDamaged(copy, "is not what was read from the store.", "Distrust that disk.")


def prove_file(path: Path, key: str | None) -> tuple[Wholeness, str]:
    """Open a copy of a database and prove all of it; its WAL is in the file afterwards. Returns its revision too.

    Raises:
        BackupDamaged: it cannot be opened or read to its end.
    """
    try:
        with connect(path, key) as connection:
            connection.execute("FORCE CHECKPOINT")
            return examine(connection), revision_of(connection)
    except duckdb.Error as error:
        raise BackupDamaged(path, f"cannot be read as a database: {error}.", "Make another one.") from error


def insert(connection: duckdb.DuckDBPyConnection, backup: Backup) -> bool:
    """Insert a backup's row; returns whether it was not there yet."""
    values = backup.model_dump(exclude={"paused_s"}) | {"path": str(backup.path)}
    names = ", ".join(values)
    places = ", ".join(f"${name}" for name in values)
    return bool(
        connection.execute(
            f"""INSERT INTO backups ({names}, updated_at, updated_by) VALUES ({places}, $created_at, $created_by)
                ON CONFLICT DO NOTHING RETURNING backup_id""",  # noqa: S608 - our own names
            values,
        ).fetchall()
    )


def mark_expired(
    connection: duckdb.DuckDBPyConnection, backup_id: str, *, who: str, at: datetime | None = None
) -> bool:
    """Mark a backup as removed; returns whether it was not yet."""
    return bool(
        connection.execute(
            """UPDATE backups SET expired_at = coalesce($at, now()), updated_at = coalesce($at, now()),
                      updated_by = $who WHERE backup_id = $backup_id AND expired_at IS NULL RETURNING backup_id""",
            {"at": at, "who": who, "backup_id": backup_id},
        ).fetchall()
    )


def copy_in_a_process_of_its_own(pairs: dict[Path, Path]) -> list[str]:
    """Copy files, each source to its target; a source that is not there is passed over. See ``copyfile``.

    Returns:
        The SHA-256 of each source as it was read, empty where there was none.

    Raises:
        StorageFailed: the disk refused.
    """
    names = [str(path) for pair in pairs.items() for path in pair]
    command = [sys.executable, "-m", "bri_assets.copyfile", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:]
        target = next(iter(pairs.values()))
        raise StorageFailed(target, f"could not be copied: {' '.join(said)}.", "Make room, or see its permissions.")
    return done.stdout.splitlines()
