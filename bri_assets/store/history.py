"""Which versions a video has, what changed between them, and going back to one.

Versions are never changed: going back moves the pointer, and going forward again moves it once more. What does not
belong here: reading one version (``Store.video``), deletion, and versions whose rows are in the archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from bri_assets.errors import StoreDamaged
from bri_assets.store import audit, facts, pointer, reads
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.commit import require_committed
from bri_assets.store.deletion import require_not_deleted, standing
from bri_assets.store.diff import VersionDiff, compare
from bri_assets.store.images import not_as_committed
from bri_assets.store.pointer import PointerMove

__all__ = ["History", "RolledBack", "VersionRecord", "VideoHistory", "roll_back"]

#: Images that are named of those that are damaged.
_MOST_NAMED = 10


@dataclass(frozen=True)
class VersionRecord:
    """One version of a video.

    Args:
        version: its number among the video's versions, from 1.
        version_id: its number in the whole store.
        state: ``committed``, or ``archived`` when its rows were moved.
        is_current: it is the one that is shown.
        committed_at: when it was committed, UTC.
        committed_by: who committed it.
        run_id: the Dagster run that did.
        counts: rows by table.
    """

    version: int
    version_id: int
    state: str
    is_current: bool
    committed_at: datetime
    committed_by: str
    run_id: str
    counts: dict[str, int]


@dataclass(frozen=True)
class VideoHistory:
    """Everything that became of a video.

    Args:
        video_id: the video.
        filename: name of its file.
        deleted_at: when it was deleted, UTC; None while it is not.
        versions: its versions by their number.
        moves: the moves of its pointer in their order.
    """

    video_id: str
    filename: str
    deleted_at: datetime | None
    versions: tuple[VersionRecord, ...]
    moves: tuple[PointerMove, ...]


@dataclass(frozen=True)
class RolledBack:
    """What came of a rollback.

    Args:
        video_id: the video.
        before: number of the version that was shown before.
        after: number of the version that is shown now.
    """

    video_id: str
    before: int
    after: int

    @property
    def changed(self) -> bool:
        """Whether another version is shown than before."""
        return self.before != self.after


class History(Operations):
    """The history of the videos of one BRI_HOME."""

    @operation()
    def history(self, name: str) -> VideoHistory:
        """Every version of a video and every move of its pointer; of a deleted video too.

        Args:
            name: what a person says: the video's id, the beginning of it, or a file name.

        Raises:
            VideoNotFound: there is none, or more than one.
            VideoDeleted: it is being purged.
        """
        with self.file.reading() as connection:
            video_id = reads.find_video(connection, name, deleted=True)
            if standing(connection, video_id).purge_begun_at is not None:
                require_not_deleted(connection, video_id)
            return _history(connection, video_id)

    @operation()
    def diff(self, name: str, before: int, after: int) -> VersionDiff:
        """What changed between two versions of a video that is not deleted.

        Args:
            name: what a person says.
            before: number of the first version.
            after: number of the second version.

        Raises:
            VideoNotFound: there is none, or more than one.
            VersionNotFound: it has no such version, or its rows are in the archive.
            StoreDamaged: the rows of either are not those that were committed.
        """
        with self.file.reading() as connection:
            video_id = reads.find_video(connection, name)
            sides = [_whole(connection, video_id, version) for version in (before, after)]
        return compare(*(facts.with_facts(found, self.staging) for found in sides))

    @operation()
    def rollback(self, name: str, version: int, *, channel: str) -> RolledBack:
        """Show an earlier version of a video again, or a later one; the version that is shown already stays.

        Its rows, the facts of its file and its images are held against what was committed before anything is changed.

        Args:
            name: what a person says.
            version: number of the version.
            channel: the way in, for the audit log.

        Raises:
            VideoNotFound: there is no such video, or more than one.
            VideoDeleted: the video is deleted, or is being purged.
            VersionNotFound: it has no such version, or its rows are in the archive.
            StoreDamaged: the version's rows or images are not those that were committed; names them.
        """
        with self.file.reading() as connection:
            video_id = reads.find_video(connection, name, deleted=True)
            require_not_deleted(connection, video_id)
            found = _whole(connection, video_id, version)
        if found["video"]["is_current"]:
            return RolledBack(video_id, version, version)
        found = facts.with_facts(found, self.staging)
        _require_images(self.home, found)
        with self.writing() as connection:
            # Others may have written since the checks.
            require_not_deleted(connection, video_id)
            reads.find_version(connection, video_id, version=version)
            before = _shown(connection, video_id)
            if before != version:
                roll_back(connection, found, who=audit.actor(channel))
                _record(connection, audit.actor(channel), found["video"], before)
        return RolledBack(video_id, before, version)


def roll_back(
    connection: duckdb.DuckDBPyConnection, found: dict[str, Any], *, who: str, at: datetime | None = None
) -> None:
    """Let the pointer name a version, and bring the facts of the file to those of that version.

    Args:
        connection: with a transaction open.
        found: the version, as ``reads.video`` and ``facts.with_facts`` return it.
        who: as ``audit.actor`` gives it.
        at: when; None for now.
    """
    video = found["video"]
    facts.restore(connection, found, who=who, at=at)
    pointer.flip(connection, video["video_id"], video["version_id"], cause="rollback", who=who, at=at)


def _record(connection: duckdb.DuckDBPyConnection, who: str, video: dict[str, Any], before: int) -> None:
    """The event holds numbers of the video and the bundle's hash, by which a replay finds the version again."""
    bundle = connection.execute(
        "SELECT bundle_sha256 FROM video_versions WHERE version_id = ?", [video["version_id"]]
    ).fetchone()
    audit.record(
        connection,
        who=who,
        action="version.rolled_back",
        entity="video_versions",
        entity_id=str(video["version_id"]),
        rows_sha256=bundle[0] if bundle else None,
        detail={"video_id": video["video_id"], "version": video["version"], "from_version": before},
    )


def _whole(connection: duckdb.DuckDBPyConnection, video_id: str, version: int) -> dict[str, Any]:
    version_id = reads.find_version(connection, video_id, version=version)
    require_committed(connection, video_id, version_id)
    return reads.video(connection, video_id, version_id)


def _shown(connection: duckdb.DuckDBPyConnection, video_id: str) -> int:
    """Number of the version that is shown."""
    return next(record.version for record in _history(connection, video_id).versions if record.is_current)


def _history(connection: duckdb.DuckDBPyConnection, video_id: str) -> VideoHistory:
    found = connection.execute(
        """SELECT n.version, n.version_id, n.state, n.version_id IS NOT DISTINCT FROM c.version_id, n.committed_at,
                  n.committed_by, n.run_id,
                  {'frames': n.frames, 'captions': n.captions, 'transcripts': n.transcript_segments,
                   'detections': n.detections}
           FROM video_versions n LEFT JOIN current_versions c USING (video_id)
           WHERE n.video_id = ? ORDER BY n.version""",
        [video_id],
    ).fetchall()
    versions, moves = tuple(VersionRecord(*row) for row in found), pointer.moves(connection, video_id)
    query = "SELECT filename, deleted_at FROM videos WHERE video_id = ?"
    ((filename, deleted_at),) = connection.execute(query, [video_id]).fetchall()
    return VideoHistory(video_id, filename, deleted_at, versions, moves)


def _require_images(home: Path, found: dict[str, Any]) -> None:
    """See that the images of a version are on disk as they were committed.

    Raises:
        StoreDamaged: names those that are not.
    """
    wrong = not_as_committed(home, found["frames"])
    if wrong:
        more = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
        raise StoreDamaged(
            found["video"]["video_id"],
            f"{len(wrong)} image(s) of version {found['video']['version']} are missing or were changed:"
            f" {', '.join(wrong[:_MOST_NAMED])}{more}.",
            "Put them back from a backup of BRI_HOME, or take another version.",
        )
