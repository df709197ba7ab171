"""Purging a video: its rows and files are removed for good, in an order that a kill at any moment leaves finishable.

It is hidden first, then its files go, then its rows, and at last it is said that nothing is left; whoever purges it
again goes on where that stopped. What a purge cannot reach is named in what it returns. What does not belong here: the
rows and files themselves (``purge_rows``, ``purge_files``) and hiding a video that may come back (``deletion``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from bri_assets.errors import BriError, VideoNotFound
from bri_assets.store import audit
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.deletion import find_held, minute, standing
from bri_assets.store.erasure.purge_files import PurgeBegun, RemovedFiles, has_files, remove_files
from bri_assets.store.erasure.purge_left import Left, left_of
from bri_assets.store.erasure.purge_rows import begin_purge, finish_purge, remove_rows

__all__ = ["Purge", "Purged", "PurgedAll", "uploads_still_there"]

#: Why a scheduled purge removes a video.
RETENTION = "retention"


@dataclass(frozen=True)
class Purged:
    """What a purge removed, and what it left.

    Args:
        video_id: the video.
        rows: rows that this call removed, by table.
        files: files that it removed.
        left: what is left of the video.
    """

    video_id: str
    rows: dict[str, int]
    files: RemovedFiles
    left: Left


@dataclass(frozen=True)
class PurgedAll:
    """What became of every purge that was due: done, or failed and why, by video."""

    purged: tuple[Purged, ...]
    failed: dict[str, str]


class Purge(Operations):
    """Purging one video, or all that are due."""

    def purge(self, name: str, *, reason: str, channel: str) -> Purged:
        """Remove a video for good, or finish its removal.

        Args:
            name: its id, the beginning of it, or a file name; it may be deleted, and need never have been committed.
            reason: why; kept in the audit log and in ``purges``.
            channel: the way in, for the audit log.

        Raises:
            VideoNotFound: there is nothing of such a video, or the name means more than one.
            StorageFailed: a file cannot be removed. The video stays hidden, and the next purge goes on.
        """
        begun = self.begin(name, reason=reason, channel=channel)
        files = remove_files(self.home, self.staging.root, begun)
        rows = self.remove(begun.video_id, channel=channel)
        self.finish(begun.video_id, files=files.count, channel=channel)
        return Purged(begun.video_id, rows, files, self.left(begun.video_id))

    def purge_due(self, *, after_days: float, channel: str) -> PurgedAll:
        """Purge every video that is due; one that fails stops no other.

        Args:
            after_days: see ``due``.
            channel: the way in, for the audit log.
        """
        purged, failed = list[Purged](), dict[str, str]()
        for video_id in self.due(after_days):
            try:
                purged.append(self.purge(video_id, reason=RETENTION, channel=channel))
            except BriError as error:
                failed[video_id] = str(error)
        return PurgedAll(tuple(purged), failed)

    @operation()
    def due(self, after_days: float) -> list[str]:
        """The videos that are to be purged.

        Those whose purge is not finished, those deleted at least ``after_days`` days ago, and purged ones of which a
        run that was under way has left files since.
        """
        with self.file.reading() as connection:
            due = [video_id for (video_id,) in connection.execute(_DUE, {"seconds": after_days * 86_400.0}).fetchall()]
            forgotten = [video_id for (video_id,) in connection.execute(_FORGOTTEN).fetchall()]
        return due + [video_id for video_id in forgotten if self._has_files(video_id)]

    @operation()
    def begin(self, name: str, *, reason: str, channel: str) -> PurgeBegun:
        """First step: hide the video for good and say that its purge has begun; see ``purge``."""
        with self.writing() as connection:
            found = standing(connection, find_held(connection, name))
            if found.forgotten and found.purged_at is not None and not self._has_files(found.video_id):
                what = f"was purged on {minute(found.purged_at)}; nothing of it is left to remove."
                raise VideoNotFound(found.video_id, what, f"`bri export {found.video_id} FOLDER` shows what is held.")
            who = audit.actor(channel)
            if begin_purge(connection, found.video_id, reason=reason, who=who):
                said = {"video_id": found.video_id, "reason": reason}
                _record(connection, "video.purge_begun", found.video_id, who, said)
            files = connection.execute(
                "SELECT file FROM archived_tables JOIN video_versions USING (version_id) WHERE video_id = ?",
                [found.video_id],
            ).fetchall()
            return PurgeBegun(found.video_id, tuple(file for (file,) in files))

    @operation()
    def remove(self, video_id: str, *, channel: str) -> dict[str, int]:
        """Third step, when the files are gone: remove the rows; returns how many, by table."""
        with self.file.open() as connection:
            kept = uploads_still_there(connection, video_id)
            who = audit.actor(channel)

            def told(removed: dict[str, int]) -> None:
                _record(connection, "video.rows_removed", video_id, who, {"video_id": video_id, **removed})

            return remove_rows(connection, video_id, kept, who=who, told=told)

    @operation()
    def finish(self, video_id: str, *, files: int, channel: str) -> None:
        """Last step: say that nothing is left; does nothing where that was said."""
        with self.writing() as connection:
            who = audit.actor(channel)
            counts = finish_purge(connection, video_id, files=files, who=who)
            if counts is not None:
                said = {"video_id": video_id, "rows": counts[0], "files": counts[1]}
                _record(connection, "video.purged", video_id, who, said)

    @operation()
    def left(self, video_id: str) -> Left:
        """What a purge of this video does not remove."""
        with self.file.reading() as connection:
            return left_of(connection, video_id)

    def _has_files(self, video_id: str) -> bool:
        return has_files(self.home, self.staging.root, video_id)


def uploads_still_there(connection: duckdb.DuckDBPyConnection, video_id: str) -> list[str]:
    """Ids of the uploads that became a video and whose files are where they were, by name and size."""
    found = connection.execute(
        """SELECT upload_id, path, size_bytes FROM uploads u WHERE video_id = ? AND NOT EXISTS (
               SELECT 1 FROM uploads n WHERE n.path = u.path AND n.updated_at > u.updated_at)""",
        [video_id],
    ).fetchall()
    return [upload_id for upload_id, path, size in found if Path(path).is_file() and Path(path).stat().st_size == size]


def _record(
    connection: duckdb.DuckDBPyConnection, action: str, video_id: str, who: str, detail: Mapping[str, object]
) -> None:
    audit.record(connection, who=who, action=action, entity="videos", entity_id=video_id, detail=dict(detail))


_DUE = """
SELECT video_id FROM purges WHERE finished_at IS NULL
UNION SELECT video_id FROM videos WHERE deleted_at IS NOT NULL AND epoch(now()) - epoch(deleted_at) >= $seconds
ORDER BY video_id
"""

#: Purged, and nobody has asked for them since.
_FORGOTTEN = """
SELECT video_id FROM purges WHERE finished_at IS NOT NULL
AND video_id NOT IN (SELECT video_id FROM videos)
AND video_id NOT IN (SELECT video_id FROM uploads WHERE video_id IS NOT NULL) ORDER BY video_id
"""
