"""What a purge leaves of a video, because it is not the store's to remove.

What does not belong here: removing anything (``purge``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

__all__ = ["BackupLeft", "Left", "left_of"]


@dataclass(frozen=True)
class BackupLeft:
    """A backup that may still hold a purged video.

    Args:
        backup_id: its id.
        path: its folder.
        created_at: when it was made, UTC.
        newer: backups that are kept and were made after it; it goes when there are BRI_BACKUP_KEEP of them.
    """

    backup_id: str
    path: str
    created_at: datetime
    newer: int


@dataclass(frozen=True)
class Left:
    """What a purge leaves, for it is not the store's to remove.

    Args:
        backups: those that were made while the video was there.
        uploads: paths of the uploaded files, where they still are.
        audit_events: events of the audit log that name the video: who did what and when, ids and hashes.
        elsewhere: what else may hold something of it, a sentence each.
    """

    backups: tuple[BackupLeft, ...]
    uploads: tuple[str, ...]
    audit_events: int
    elsewhere: tuple[str, ...]


def left_of(connection: duckdb.DuckDBPyConnection, video_id: str) -> Left:
    """What is left of a video that was purged."""
    backups = [BackupLeft(*row) for row in connection.execute(_BACKUPS, {"quoted": f'"{video_id}"'}).fetchall()]
    events = connection.execute(
        "SELECT count(*) FROM audit_log WHERE contains(detail::VARCHAR, ?)", [f'"{video_id}"']
    ).fetchall()
    # The same content has the same end of its id, whatever its name was.
    uploads = connection.execute(
        "SELECT path FROM uploads WHERE code = 'purged' AND left(sha256, 12) = right(?, 12) ORDER BY path",
        [video_id],
    ).fetchall()
    return Left(tuple(backups), tuple(path for (path,) in uploads), events[0][0], _ELSEWHERE)


#: Kept backups from between the first event that names the video and the end of its purge.
_BACKUPS = """
SELECT b.backup_id, b.path, b.created_at,
       (SELECT count(*) FROM backups n WHERE n.expired_at IS NULL AND n.created_at > b.created_at)
FROM backups b
WHERE b.expired_at IS NULL
  AND b.last_event_id >= (SELECT min(event_id) FROM audit_log WHERE contains(detail::VARCHAR, $quoted))
  AND b.last_event_id < (SELECT max(event_id) FROM audit_log
                         WHERE action = 'video.purged' AND contains(detail::VARCHAR, $quoted))
ORDER BY b.created_at
"""

_ELSEWHERE = (
    "Dagster's event store (DAGSTER_HOME): pictures in the metadata of its events, and the video's id, which is made of"
    " the file's name, as partition key and in the tags of runs.",
    "The audit log and its journal (staged/journal.jsonl): who did what and when, with ids and hashes; they stay.",
    "The database file: blocks that were freed hold old bytes until they are used again or `bri compact` is run.",
    "Copies of the database that a restore or a compaction put aside, if there are any.",
    "Exports (`bri export`) and Parquet files that somebody made.",
)
