"""What a claim on a video comes to: whether it is to be ingested, is there already, or was deleted or purged.

What does not belong here: the rows of ``uploads`` that a claim leaves (``uploads``).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import duckdb

from bri_assets.store import audit
from bri_assets.store.deletion import minute, standing

__all__ = ["ClaimResult", "hurry", "judge", "known_video", "outcome"]

#: Ways in that a person stands behind, by how they begin; what was purged comes back by no other.
_PERSONS = ("cli", "api/")


class ClaimResult(StrEnum):
    """What a claim came to."""

    INGEST = "ingest"
    COMMITTED = "committed"
    INGESTING = "ingesting"
    DELETED = "deleted"
    PURGED = "purged"


def known_video(connection: duckdb.DuckDBPyConnection, sha256: str | None) -> str | None:
    """The video that this content is, or of which something is still to be purged."""
    found = connection.execute(
        """SELECT video_id FROM videos WHERE sha256 = $sha256
           UNION ALL (SELECT video_id FROM uploads WHERE sha256 = $sha256 AND video_id IS NOT NULL ORDER BY created_at)
           UNION ALL SELECT video_id FROM purges WHERE finished_at IS NULL AND right(video_id, 12) = left($sha256, 12)
           LIMIT 1""",
        {"sha256": sha256},
    ).fetchone()
    return found[0] if found else None


def judge(
    connection: duckdb.DuckDBPyConnection, sha256: str | None, video_id: str, requested_by: str
) -> tuple[ClaimResult, str | None]:
    """What a claim comes to, and the reason where a deletion or purge is it.

    Args:
        connection: an open store.
        sha256: of the file.
        video_id: the video that it is or would be.
        requested_by: `cli`, `sensor`, …
    """
    found = standing(connection, video_id)
    if found.purge_begun_at is not None:
        what = f"is being purged since {minute(found.purge_begun_at)}"
        return ClaimResult.DELETED, f"{what}; `bri purge {video_id}` finishes that, then it can be ingested anew."
    if found.deleted_at is not None:
        what = f"was deleted on {minute(found.deleted_at)}; `bri undelete {video_id}` brings it back"
        return ClaimResult.DELETED, f"{what}, `bri purge {video_id}` forgets it so that it can be ingested anew."
    if connection.execute("SELECT 1 FROM current_versions WHERE video_id = ?", [video_id]).fetchone():
        return ClaimResult.COMMITTED, None
    busy = "SELECT 1 FROM uploads WHERE video_id = ? AND state = 'ingesting'"
    if connection.execute(busy, [video_id]).fetchone():
        return ClaimResult.INGESTING, None
    # An upload that names the video was brought since the purge, by a person.
    purged_at = None if found.uploaded or requested_by.startswith(_PERSONS) else _purged_at(connection, sha256)
    if purged_at is not None:
        what = f"is a video that was purged on {minute(purged_at)}."
        return ClaimResult.PURGED, f"{what} Remove the file, or `bri ingest` it to have it anew."
    return ClaimResult.INGEST, None


def hurry(connection: duckdb.DuckDBPyConnection, video_id: str, priority: int, who: str) -> None:
    """Let what is being made of a video go no later than a copy of its file would that somebody brings now."""
    changed = connection.execute(
        """UPDATE uploads SET priority = $priority, updated_by = $who
           WHERE video_id = $video_id AND state = 'ingesting' AND priority < $priority RETURNING upload_id""",
        {"priority": priority, "who": who, "video_id": video_id},
    ).fetchall()
    for (upload_id,) in changed:
        audit.record(
            connection,
            who=who,
            action="upload.hurried",
            entity="uploads",
            entity_id=upload_id,
            detail={"video_id": video_id, "priority": priority},
        )


def outcome(
    connection: duckdb.DuckDBPyConnection, result: ClaimResult, video_id: str, reason: str | None
) -> dict[str, str | None]:
    """What a claim makes of the upload's row: its ``state``, and where they are not as usual other columns."""
    match result:
        case ClaimResult.PURGED:
            return {"state": "quarantined", "video_id": None, "code": "purged", "reason": reason}
        case ClaimResult.DELETED if not standing(connection, video_id).committed:
            return {"state": "failed", "code": "purging", "reason": reason}
        case ClaimResult.DELETED | ClaimResult.COMMITTED:
            # That its video is deleted is read off the video, so that undeleting it brings back the same.
            return {"state": "committed"}
        case _:
            return {"state": "ingesting"}


def _purged_at(connection: duckdb.DuckDBPyConnection, sha256: str | None) -> datetime | None:
    """When a video of this content was purged last, under whatever name: their ids end alike."""
    found = connection.execute(
        "SELECT max(finished_at) FROM purges WHERE right(video_id, 12) = left(?, 12)", [sha256]
    ).fetchall()
    purged_at: datetime | None = found[0][0]
    return purged_at
