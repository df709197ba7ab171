"""The recovery drill: a restore into a scratch place, compared with the store as it is.

What does not belong here: restoring (``restore``).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from bri_assets.errors import BackupDamaged
from bri_assets.files import sha256_bytes, storing
from bri_assets.store.access.duck import connect
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.recovery.backup_folder import SCRATCH, alone
from bri_assets.store.recovery.restore import Rebuilt, Restore

__all__ = ["Drill", "DrillResult", "Standpoint"]

#: What readers are shown: two stores with the same rows here, that are whole, show the same.
_SHOWN = """
SELECT c.video_id, c.version_id, n.version, n.bundle_sha256, v.deleted_at IS NOT NULL
FROM current_versions c JOIN video_versions n USING (version_id) JOIN videos v ON v.video_id = c.video_id
ORDER BY c.video_id
"""


@dataclass(frozen=True)
class Standpoint:
    """Where a store stands at one moment.

    Args:
        last_event_id: newest event of its audit log.
        videos: that are shown or deleted.
        sha256: hash over which version of each video is shown, made of which bundle, and whether it is deleted.
    """

    last_event_id: int
    videos: int
    sha256: str


@dataclass(frozen=True)
class DrillResult:
    """What a drill found.

    Args:
        backup_id: the backup that was restored; None where everything came from the journal.
        backup_age_s: how old it was, in seconds; None without one.
        events: that happened again since the backup.
        videos: in the restored store.
        versions: whose rows are in it.
        rows: of the four tables in it.
        unsaid: turns of conversations since the backup, which a restore would not bring back: no difference, a measure
            of how far apart backups are.
        differences: in what the restored store is not the store as it is; empty when recovery works.
        seconds: that the restore took, from nothing to proven.
    """

    backup_id: str | None
    backup_age_s: float | None
    events: int
    videos: int
    versions: int
    rows: int
    unsaid: int
    differences: list[str]
    seconds: float

    @property
    def recovers(self) -> bool:
        """Whether the restore gave back the store as it is."""
        return not self.differences


class Drill(Operations):
    """Trying whether the newest backup and the journal give the store back."""

    @operation()
    def standpoint(self) -> Standpoint:
        """Where the store stands now."""
        with self.file.reading() as connection:
            return _standpoint(connection)

    def run(self, restore: Restore) -> DrillResult:
        """Restore into a scratch folder beside the backups, compare with the store, and remove the scratch folder.

        Commits go on meanwhile; what is compared is the store as it was when the drill began.

        Args:
            restore: of the same BRI_HOME.

        Raises:
            BackupDamaged: the newest backup is damaged.
            StoreBusy: a backup or another drill is under way.
            StorageFailed: the disk refused.
        """
        with alone(restore.folder, self.file.wait_s):
            with storing(restore.folder, 0):
                scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=restore.folder))
            return self._run(restore, scratch)

    def _run(self, restore: Restore, scratch: Path) -> DrillResult:
        expected, started = self.standpoint(), time.monotonic()
        try:
            backup = restore.choose(None, None)
            rebuilt = restore.rebuild(scratch / "bri.duckdb", backup, up_to=expected.last_event_id)
            seconds = round(time.monotonic() - started, 3)
            with connect(rebuilt.path, restore.file.key) as connection:
                differences = _differences(rebuilt, expected, _standpoint(connection))
        except duckdb.Error as error:
            raise BackupDamaged(restore.folder, f"the drill failed: {error}.", "Make another backup.") from error
        finally:
            shutil.rmtree(scratch)
        return DrillResult(
            backup.backup_id if backup else None,
            round((datetime.now(UTC) - backup.created_at).total_seconds(), 1) if backup else None,
            rebuilt.replayed.events,
            rebuilt.found.videos,
            rebuilt.found.versions,
            rebuilt.found.rows,
            rebuilt.replayed.unsaid,
            differences,
            seconds,
        )


def _standpoint(connection: duckdb.DuckDBPyConnection) -> Standpoint:
    shown = connection.execute(_SHOWN).fetchall()
    last = connection.execute("SELECT coalesce(max(event_id), 0) FROM audit_log").fetchall()[0][0]
    return Standpoint(last, len(shown), sha256_bytes(repr(shown).encode()))


def _differences(rebuilt: Rebuilt, expected: Standpoint, found: Standpoint) -> list[str]:
    differences = [*rebuilt.found.wrong, *rebuilt.replayed.lost, *rebuilt.damaged]
    if found != expected:
        differences.append(
            f"the store shows {expected.videos} videos after event {expected.last_event_id}, what was restored"
            f" {found.videos} after event {found.last_event_id}, and not the same versions"
        )
    return differences
