"""Deleting a video and taking that back: it is hidden from every read at once, and nothing of it is removed.

And what others ask before they touch a video: whether it is deleted, is being purged, or was purged. What does not
belong here: removing anything (``purge``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from bri_assets.errors import VideoDeleted, VideoNotFound
from bri_assets.store import audit
from bri_assets.store.access.operations import Operations, operation

__all__ = [
    "Deleted",
    "Deletion",
    "Standing",
    "delete",
    "find_held",
    "minute",
    "require_not_deleted",
    "standing",
    "undelete",
]


@dataclass(frozen=True)
class Deleted:
    """What came of deleting a video or of taking that back.

    Args:
        video_id: the video.
        deleted_at: when it was deleted, UTC; None where it is not deleted any more.
        changed: whether this changed anything.
    """

    video_id: str
    deleted_at: datetime | None
    changed: bool


@dataclass(frozen=True)
class Standing:
    """How a video stands.

    Args:
        video_id: the video.
        committed: it has a row in ``videos``, deleted or not.
        deleted_at: when it was deleted, UTC; None where it is not.
        purge_begun_at: when a purge was begun that is not finished, UTC; None where there is none.
        purged_at: when it was purged, UTC; None where it never was. It may have been ingested anew since.
        uploaded: an upload names it.
    """

    video_id: str
    committed: bool
    deleted_at: datetime | None
    purge_begun_at: datetime | None
    purged_at: datetime | None
    uploaded: bool

    @property
    def forgotten(self) -> bool:
        """It was purged, and nobody has asked for it since."""
        return self.purged_at is not None and not (self.committed or self.uploaded)


class Deletion(Operations):
    """Soft delete and undelete."""

    @operation()
    def find(self, name: str) -> str:
        """The id of the video that a person means; see ``find_held``."""
        with self.file.reading() as connection:
            return find_held(connection, name)

    @operation()
    def delete(self, name: str, *, channel: str) -> Deleted:
        """Hide a video from every read; a video that is deleted already stays as it is.

        Args:
            name: its id, the beginning of it, or a file name.
            channel: the way in, for the audit log.

        Raises:
            VideoNotFound: there is no such video, more than one, or it was never committed.
            VideoDeleted: it is being purged, and its row is gone already.
        """
        with self.writing() as connection:
            found = standing(connection, find_held(connection, name))
            _require_committed(found)
            changed = delete(connection, found.video_id, who=audit.actor(channel))
            if changed:
                _record(connection, "video.deleted", found.video_id, channel)
            return Deleted(found.video_id, standing(connection, found.video_id).deleted_at, changed)

    @operation()
    def undelete(self, name: str, *, channel: str) -> Deleted:
        """Show a deleted video again, exactly as it was; a video that is not deleted stays as it is.

        Args:
            name: its id, the beginning of it, or a file name.
            channel: the way in, for the audit log.

        Raises:
            VideoNotFound: there is no such video, more than one, or it was purged.
            VideoDeleted: it is being purged.
        """
        with self.writing() as connection:
            found = standing(connection, find_held(connection, name))
            if found.purge_begun_at is not None:
                raise _being_purged(found.video_id, found.purge_begun_at)
            _require_committed(found)
            changed = undelete(connection, found.video_id, who=audit.actor(channel))
            if changed:
                _record(connection, "video.undeleted", found.video_id, channel)
            return Deleted(found.video_id, None, changed)


def delete(connection: duckdb.DuckDBPyConnection, video_id: str, *, who: str, at: datetime | None = None) -> bool:
    """Mark a video as deleted; the audit log is the caller's.

    Args:
        connection: with a transaction open.
        video_id: the video.
        who: as ``audit.actor`` gives it.
        at: when it was done; None for now.

    Returns:
        Whether it was not deleted before.
    """
    # With RETURNING it would remove and insert the row, which its versions forbid.
    changed = connection.execute(
        """UPDATE videos SET deleted_at = coalesce($at::TIMESTAMPTZ, now()),
                  updated_at = coalesce($at::TIMESTAMPTZ, now()), updated_by = $who
           WHERE video_id = $video_id AND deleted_at IS NULL""",
        {"video_id": video_id, "who": who, "at": at},
    ).fetchone()
    return bool(changed and changed[0])


def undelete(connection: duckdb.DuckDBPyConnection, video_id: str, *, who: str, at: datetime | None = None) -> bool:
    """Take the mark off again; arguments as for ``delete``.

    Returns:
        Whether it was deleted before.
    """
    changed = connection.execute(
        """UPDATE videos SET deleted_at = NULL, updated_at = coalesce($at::TIMESTAMPTZ, now()), updated_by = $who
           WHERE video_id = $video_id AND deleted_at IS NOT NULL""",
        {"video_id": video_id, "who": who, "at": at},
    ).fetchone()
    return bool(changed and changed[0])


def standing(connection: duckdb.DuckDBPyConnection, video_id: str) -> Standing:
    """How a video stands; of one that nobody ever heard of, nothing is true."""
    found = connection.execute(
        """SELECT v.video_id IS NOT NULL, v.deleted_at,
                  CASE WHEN p.finished_at IS NULL THEN p.created_at END, p.finished_at,
                  EXISTS (SELECT 1 FROM uploads u WHERE u.video_id = $video_id)
           FROM (SELECT $video_id AS video_id) asked LEFT JOIN videos v USING (video_id)
           LEFT JOIN purges p ON p.video_id = asked.video_id""",
        {"video_id": video_id},
    ).fetchall()
    return Standing(video_id, *found[0])


def require_not_deleted(connection: duckdb.DuckDBPyConnection, video_id: str) -> None:
    """Refuse to add to a video that is deleted, is being purged, or was purged while somebody still worked on it.

    A replay does not ask this: there the order of events says it, and an upload that was brought anew may not be known.

    Args:
        connection: an open store.
        video_id: the video; one that is not there yet is fine.

    Raises:
        VideoDeleted: says which of these, and what to do.
    """
    found = standing(connection, video_id)
    if found.purge_begun_at is not None:
        raise _being_purged(video_id, found.purge_begun_at)
    if found.deleted_at is not None:
        remedy = f"`bri undelete {video_id}` brings it back."
        raise VideoDeleted(video_id, f"was deleted on {minute(found.deleted_at)}.", remedy)
    if found.forgotten and found.purged_at is not None:
        what = f"was purged on {minute(found.purged_at)}, and nobody has brought its file since."
        raise VideoDeleted(video_id, what, "If it shall be there again, `bri ingest` its file.")


def find_held(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """The id of the video that a person means, deleted, failed and purged ones included.

    Args:
        connection: an open store.
        name: its id, the beginning of it, or a file name. Purged videos count only where no other is meant.

    Raises:
        VideoNotFound: there is none, or more than one.
    """
    found = connection.execute(
        """SELECT video_id, video_id = $name AS exact, bool_or(held) AS held
           FROM (SELECT video_id, filename, true AS held FROM videos
                 UNION ALL SELECT video_id, filename, true FROM uploads WHERE video_id IS NOT NULL
                 UNION ALL SELECT video_id, NULL, finished_at IS NULL FROM purges)
           WHERE $name <> '' AND (starts_with(video_id, $name) OR filename = $name)
           GROUP BY video_id ORDER BY exact DESC, held DESC, video_id""",
        {"name": name},
    ).fetchall()
    meant = [row for row in found if row[1]] or [row for row in found if row[2]] or found
    if len(meant) == 1:
        return str(meant[0][0])
    if meant:
        names = ", ".join(row[0] for row in meant[:5])
        raise VideoNotFound(name, f"means more than one video: {names}.", "Name one by its id.")
    raise VideoNotFound(name, "no video has this id or file name.", "See `bri status`.")


def _require_committed(found: Standing) -> None:
    if found.committed:
        return
    if found.purge_begun_at is not None:
        raise _being_purged(found.video_id, found.purge_begun_at)
    if found.forgotten and found.purged_at is not None:
        what = f"was purged on {minute(found.purged_at)}: nothing of it is left that could come back."
        raise VideoNotFound(found.video_id, what, "If it shall be there again, `bri ingest` its file.")
    remedy = f"`bri purge {found.video_id}` removes what is there of it."
    raise VideoNotFound(found.video_id, "was never committed, so no read shows it.", remedy)


def _being_purged(video_id: str, begun_at: datetime) -> VideoDeleted:
    what = f"is being purged since {minute(begun_at)}, and what is removed cannot come back."
    return VideoDeleted(video_id, what, f"`bri purge {video_id}` finishes that.")


def _record(connection: duckdb.DuckDBPyConnection, action: str, video_id: str, channel: str) -> None:
    audit.record(
        connection,
        who=audit.actor(channel),
        action=action,
        entity="videos",
        entity_id=video_id,
        detail={"video_id": video_id},
    )


def minute(when: datetime) -> str:
    """A time as a person is told it: to the minute, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
