"""The folder of the backups: a folder for each, with the database and a record; whoever works in it is alone.

What does not belong here: copying and proving (``backups``) and bringing one back (``restore``).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import portalocker
from pydantic import BaseModel, ConfigDict, ValidationError

from bri_assets.errors import BackupDamaged, StoreBusy
from bri_assets.files import sha256_file, storing, sync_folder, write_atomically

__all__ = [
    "DATABASE",
    "SCRATCH",
    "Backup",
    "alone",
    "begin",
    "keep_files",
    "kept",
    "put_aside",
    "remove",
    "require_intact",
]

#: Name of the database in a backup's folder.
DATABASE = "bri.duckdb"

#: What the name of a scratch folder begins with; one that is left was left by a process that died.
SCRATCH = ".scratch-"

_RECORD, _PARTIAL, _DAMAGED = "backup.json", ".partial", ".damaged"


class Backup(BaseModel):
    """A backup as its record says; the columns of the table ``backups`` and where it lies.

    Args:
        backup_id: also the name of its folder.
        revision: of the store in it.
        last_event_id: newest event of the audit log in it.
        videos: in it.
        versions: whose rows are in it.
        size_bytes: of the database file.
        sha256: of the database file.
        seconds: that copying and proving took.
        paused_s: seconds for which commits waited.
        reason: why it was made.
        created_at: when the copy was complete, UTC.
        created_by: who made it.
    """

    model_config = ConfigDict(frozen=True)

    backup_id: str
    path: Path
    revision: str
    last_event_id: int
    videos: int
    versions: int
    size_bytes: int
    sha256: str
    seconds: float
    paused_s: float = 0.0
    reason: str
    created_at: datetime
    created_by: str

    @property
    def database(self) -> Path:
        """Its database file."""
        return self.path / DATABASE


@contextmanager
def alone(folder: Path, wait_s: float) -> Iterator[None]:
    """Be the only one that makes, removes or tries backups in a folder; what a process that died left is removed.

    Args:
        folder: of all backups; made where there is none.
        wait_s: longest wait for others, in seconds.

    Raises:
        StoreBusy: somebody else works there for longer.
        StorageFailed: the disk refused.
    """
    with storing(folder, 0):
        folder.mkdir(parents=True, exist_ok=True)
    flags = portalocker.LOCK_EX | portalocker.LOCK_NB
    lock = portalocker.Lock(folder / ".lock", "a", timeout=wait_s, check_interval=0.05, flags=flags)
    try:
        lock.acquire()
    except portalocker.LockException as error:
        what = f"another backup or drill has worked there for more than {wait_s:g} s."
        raise StoreBusy(folder, what, "Try again when it is done.") from error
    try:
        with storing(folder, 0):
            for left in (*folder.glob(f"*{_PARTIAL}"), *folder.glob(f"{SCRATCH}*")):
                shutil.rmtree(left)
        yield
    finally:
        lock.release()


def begin(folder: Path) -> Path:
    """Make the folder of a new backup, which is none before ``keep_files``.

    Raises:
        StorageFailed: the disk refused.
    """
    partial = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:8]}{_PARTIAL}"
    with storing(partial, 0):
        partial.mkdir(parents=True)
    return partial


def keep_files(partial: Path, backup: Backup) -> None:
    """Put the record beside the proven copy and give the folder its name, in this order.

    Raises:
        StorageFailed: the disk refused.
    """
    write_atomically(partial / _RECORD, backup.model_dump_json(indent=1).encode())
    with storing(backup.path, 0):
        partial.rename(backup.path)
    sync_folder(backup.path.parent)


def put_aside(partial: Path) -> Path:
    """Keep a copy that could not be proven, for a look, in the place of the one before; returns where it is.

    Raises:
        StorageFailed: the disk refused.
    """
    with storing(partial, 0):
        for before in partial.parent.glob(f"*{_DAMAGED}"):
            shutil.rmtree(before)
        return partial.rename(partial.with_suffix(_DAMAGED))


def remove(backup: Backup) -> None:
    """Remove a backup; one that is half removed when this process dies does not pass for a backup.

    Raises:
        StorageFailed: the disk refused.
    """
    gone = backup.path.with_name(backup.path.name + _PARTIAL)
    with storing(backup.path, 0):
        backup.path.rename(gone)
        shutil.rmtree(gone)


def kept(folder: Path, *, readable_only: bool = False) -> list[Backup]:
    """The backups in a folder, oldest first; what was not finished is none.

    Args:
        folder: of all backups.
        readable_only: pass over those whose record cannot be read, instead of raising.

    Raises:
        BackupDamaged: a record cannot be read.
    """
    found = [path for path in (folder.iterdir() if folder.is_dir() else ()) if (path / _RECORD).exists()]
    records = []
    for path in (path for path in found if path.suffix not in (_PARTIAL, _DAMAGED)):
        try:
            records.append(read(path))
        except BackupDamaged:
            if not readable_only:
                raise
    # A clock may have jumped back; events are numbered by a sequence.
    return sorted(records, key=lambda backup: (backup.last_event_id, backup.created_at))


def read(path: Path) -> Backup:
    """The record of the backup in a folder.

    Raises:
        BackupDamaged: there is none, or it cannot be read.
    """
    try:
        found = Backup.model_validate_json((path / _RECORD).read_bytes())
    except (OSError, ValidationError) as error:
        raise BackupDamaged(path, f"has no record that can be read: {error}.", "Choose another backup.") from error
    return found.model_copy(update={"path": path})  # folders of backups are moved and mounted elsewhere


def require_intact(backup: Backup) -> None:
    """See that the backup's file is, byte for byte, the one that was proven.

    Raises:
        BackupDamaged: it is not.
    """
    try:
        sha256 = sha256_file(backup.database)
    except OSError as error:
        raise BackupDamaged(backup.path, f"cannot be read: {error}.", "Choose another backup.") from error
    if sha256 != backup.sha256:
        what = "is damaged: its file has another SHA-256 than the one that was proven."
        raise BackupDamaged(backup.path, what, "Choose another backup; nothing was restored from this one.")
