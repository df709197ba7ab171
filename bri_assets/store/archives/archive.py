"""Superseded versions out of the database and into Parquet files, and back.

A version's rows are in the database until their files are on disk, read back and proven; then one transaction takes the
rows out and names the files. So at every moment they are in the one or in the other. Lineage and proofs stay. What does
not belong here: the files themselves (``archived``), the rows' way (``archive_moves``), giving the space back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from bri_assets.errors import (
    BriError,
    CommitUnverified,
    OwnerGone,
    StoreBusy,
    VideoDeleted,
)
from bri_assets.schemas import VERSIONED_TABLES
from bri_assets.store import audit, reads
from bri_assets.store.access.connection import transaction
from bri_assets.store.access.duck import cursor
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.archives.archive_moves import move_in, move_out
from bri_assets.store.archives.archived import (
    ArchivedFile,
    StoredVersion,
    files_of,
    held,
    load,
    read_archived,
    require_committed_rows,
    version_by_id,
    version_by_number,
    write,
)

__all__ = [
    "Archive",
    "ArchiveOutcome",
    "ArchiveResult",
    "SupersededVersion",
    "UnarchiveOutcome",
    "read_archived",
]


@dataclass(frozen=True)
class SupersededVersion:
    """A version that is no longer shown, with rows in the database.

    Args:
        video_id: the video.
        version: its number among the video's versions.
        version_id: its number in the whole store.
        superseded_at: when the pointer last moved away from it, UTC.
        row_count: rows in all four tables.
    """

    video_id: str
    version: int
    version_id: int
    superseded_at: datetime
    row_count: int


@dataclass(frozen=True)
class ArchiveOutcome:
    """What became of one version.

    Args:
        video_id: the video.
        version: its number among the video's versions.
        version_id: its number in the whole store.
        row_count: rows that it has in all four tables.
        reason: why it was skipped or failed; empty where it was archived.
    """

    video_id: str
    version: int
    version_id: int
    row_count: int
    reason: str = ""


@dataclass(frozen=True)
class ArchiveResult:
    """What became of every version that was due: it was archived, left as it was for a reason, or failed."""

    archived: list[ArchiveOutcome]
    skipped: list[ArchiveOutcome]
    failed: list[ArchiveOutcome]


@dataclass(frozen=True)
class UnarchiveOutcome:
    """A version whose rows are in the database; ``changed`` says whether they were in the archive before."""

    video_id: str
    version: int
    version_id: int
    row_count: int
    changed: bool


class Archive(Operations):
    """The archive of one BRI_HOME; see ``Operations`` for what it is made of and what every operation raises."""

    def archive(self, older_than_days: float, *, channel: str) -> ArchiveResult:
        """Archive every version that was superseded long enough ago, one at a time; one that fails stops no other.

        Args:
            older_than_days: least age since it was superseded, in days, >= 0.
            channel: the way in, for the audit log.
        """
        archived, skipped, failed = list[ArchiveOutcome](), list[ArchiveOutcome](), list[ArchiveOutcome]()
        stopped = ""
        for due in self.due(older_than_days):
            outcome = (due.video_id, due.version, due.version_id, due.row_count)
            if stopped:
                skipped.append(ArchiveOutcome(*outcome, f"was not begun: {stopped}"))
                continue
            try:
                reason = self.archive_version(due.version_id, channel=channel)
            except BriError as error:
                failed.append(ArchiveOutcome(*outcome, str(error)))
                # Each of the others would wait as long for nothing; the next run takes them up.
                stopped = error.what if isinstance(error, StoreBusy | OwnerGone) else ""
            else:
                (skipped if reason else archived).append(ArchiveOutcome(*outcome, reason))
        return ArchiveResult(archived, skipped, failed)

    @operation()
    def due(self, older_than_days: float) -> list[SupersededVersion]:
        """Versions with rows in the database that were superseded at least so many days ago, the oldest first."""
        with self.file.reading() as connection:
            found = connection.execute(_DUE, {"seconds": older_than_days * 86400}).fetchall()
        return [SupersededVersion(*row) for row in found]

    @operation()
    def archive_version(self, version_id: int, *, channel: str) -> str:
        """Archive one version, whatever its age.

        Returns:
            Why it was left as it is; empty where it was archived.

        Raises:
            VersionNotFound: there is no such version.
            StoreDamaged: its rows are not those that were committed; they stay where they are.
            StorageFailed, ArchiveDamaged: its files could not be written, or read back as something else.
        """
        with self.file.reading() as connection:
            version = version_by_id(connection, version_id)
            stays = _stays(connection, version_id)
            if stays:
                return stays
            tables = held(connection, version_id)
        require_committed_rows(version, tables)
        files = [write(self.home, version, spec, tables[spec.name]) for spec in VERSIONED_TABLES]
        with self.writing() as connection:
            stays = _stays(connection, version_id)
            if stays:
                return stays
            who = audit.actor(channel)
            move_out(connection, self.home, version, files, who=who)
            _record(connection, "version.archived", version, files, who)
        return ""

    @operation()
    def unarchive(self, video: str, version: int, *, channel: str) -> UnarchiveOutcome:
        """Bring the rows of an archived version back; one that is not archived is left as it is.

        Its files stay, for a backup may name them; the search for orphans removes them in time.

        Args:
            video: as a person names it (``reads.find_video``), or the id of a deleted video.
            version: its number among the video's versions.
            channel: the way in, for the audit log.

        Raises:
            VideoNotFound, VersionNotFound: there is none.
            VideoDeleted: the video is being purged.
            ArchiveDamaged: a file is not what was archived; nothing changed.
            StoreDamaged: the database holds rows of a version that it says is archived; nothing changed.
            CommitUnverified: the database lost what it acknowledged.
        """
        with self.file.reading() as connection:
            found = version_by_number(connection, reads.find_video(connection, video, deleted=True), version)
            files = files_of(connection, found.version_id)
        count = sum(count for count, _ in found.promised.values())
        back = UnarchiveOutcome(found.video_id, found.version, found.version_id, count, found.state == "archived")
        if not back.changed:
            return back
        tables, who = load(self.home, found, files), audit.actor(channel)
        with self.file.open() as connection:
            with transaction(connection):
                if version_by_id(connection, found.version_id).state != "archived":
                    return UnarchiveOutcome(found.video_id, found.version, found.version_id, count, changed=False)
                if _being_purged(connection, found.video_id):
                    raise VideoDeleted(found.video_id, "is being purged: nothing of it comes back.")
                move_in(connection, found, tables)
                _record(connection, "version.unarchived", found, files, who)
            _verify(cursor(connection), found)
        return back


_DUE = """
WITH moves AS (
    SELECT change_id, from_version_id AS version_id,
           max(changed_at) OVER (PARTITION BY video_id ORDER BY change_id) AS effective_at
    FROM pointer_history
), away AS (
    SELECT version_id, arg_max(effective_at, change_id) AS superseded_at FROM moves
    WHERE version_id IS NOT NULL GROUP BY version_id
)
SELECT n.video_id, n.version, n.version_id, a.superseded_at,
       n.frames + n.captions + n.transcript_segments + n.detections
FROM video_versions n JOIN away a USING (version_id)
ANTI JOIN current_versions c USING (version_id)
WHERE n.state = 'committed' AND epoch(now()) - epoch(a.superseded_at) >= $seconds
  AND n.video_id NOT IN (SELECT video_id FROM purges WHERE finished_at IS NULL)
ORDER BY a.superseded_at, n.version_id
"""


def _stays(connection: duckdb.DuckDBPyConnection, version_id: int) -> str:
    """Why a version may not be archived now; empty where it may."""
    version = version_by_id(connection, version_id)
    if version.state == "archived":
        return "is archived already"
    if connection.execute("SELECT 1 FROM current_versions WHERE version_id = ?", [version_id]).fetchone():
        return "is the version that is shown"
    return "its video is being purged" if _being_purged(connection, version.video_id) else ""


def _being_purged(connection: duckdb.DuckDBPyConnection, video_id: str) -> bool:
    query = "SELECT 1 FROM purges WHERE video_id = ? AND finished_at IS NULL"
    return connection.execute(query, [video_id]).fetchone() is not None


def _record(
    connection: duckdb.DuckDBPyConnection,
    action: str,
    version: StoredVersion,
    files: Sequence[ArchivedFile],
    who: str,
) -> None:
    tables = {file.table: [file.file, file.file_sha256, file.row_count] for file in files}
    audit.record(
        connection,
        who=who,
        action=action,
        entity="video_versions",
        entity_id=str(version.version_id),
        detail={"video_id": version.video_id, "version": version.version, "files": tables},
    )


def _verify(cursor: duckdb.DuckDBPyConnection, version: StoredVersion) -> None:
    """Read what was brought back through a cursor of its own, which sees only what the database really holds."""
    tables = held(cursor, version.version_id)
    wrong = [spec.name for spec in VERSIONED_TABLES if version.differs(spec, tables[spec.name])]
    if version_by_id(cursor, version.version_id).state != "committed" or wrong:
        raise CommitUnverified(
            version.name,
            f"was brought back from the archive, but {', '.join(wrong) or 'its state'} reads back as something else.",
            "Stop the pipeline and restore the newest backup: the database or its disk lost rows.",
        )
