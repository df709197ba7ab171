"""The rows of a purge: who of them goes in which transaction, and what is said of it in ``purges``.

A purge is begun, then its children, its versions and the video itself are removed in a transaction each (DuckDB removes
no parent in the transaction of its children), and at last it is finished. Each step may be done again. Every function
takes the author and the time of the purge, for a replay after a restore; the audit log is the caller's. What does not
belong here: files, and the order of rows and files (``purge``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

import duckdb

from bri_assets.schemas import STORE_TABLES
from bri_assets.store.access.connection import transaction
from bri_assets.store.deletion import delete

__all__ = ["begin_purge", "finish_purge", "remove_children", "remove_rows", "remove_versions", "remove_video"]

#: Tables whose rows belong to a version; they go before it.
_OF_VERSIONS = tuple(
    spec.name for spec in STORE_TABLES if "video_versions" in {parent for _, parent in spec.stored_references}
)

#: What is kept of a video is said in ``purges``; its uploads may have to be kept from being ingested unasked.
_OWN_WAYS = ("videos", "video_versions", "uploads", "purges")

#: Other tables whose rows belong to a video.
_OF_VIDEOS = tuple(
    spec.name
    for spec in STORE_TABLES
    if "video_id" in {column.name for column in spec.columns} and spec.name not in (*_OWN_WAYS, *_OF_VERSIONS)
)


def begin_purge(
    connection: duckdb.DuckDBPyConnection, video_id: str, *, reason: str, who: str, at: datetime | None = None
) -> bool:
    """Hide a video for good, and let nobody start a run for it.

    Args:
        connection: with a transaction open.
        video_id: the video; it need never have been committed.
        reason: why; kept in ``purges``.
        who: as ``audit.actor`` gives it.
        at: when it was begun; None for now.

    Returns:
        Whether no purge of it was begun already.
    """
    begun = "SELECT 1 FROM purges WHERE video_id = ? AND finished_at IS NULL"
    if connection.execute(begun, [video_id]).fetchone():
        return False
    delete(connection, video_id, who=who, at=at)
    values = {"video_id": video_id, "reason": reason, "who": who, "at": at}
    connection.execute(
        """INSERT INTO purges VALUES ($video_id, $reason, 0, 0, NULL, coalesce($at::TIMESTAMPTZ, now()), $who,
                                      coalesce($at::TIMESTAMPTZ, now()), $who)
           ON CONFLICT (video_id) DO UPDATE SET
               reason = excluded.reason, rows_removed = 0, files_removed = 0, finished_at = NULL,
               created_at = excluded.created_at, created_by = excluded.created_by,
               updated_at = excluded.updated_at, updated_by = excluded.updated_by""",
        values,
    )
    connection.execute(
        """UPDATE uploads SET state = 'failed', code = 'purging', reason = 'Its video is being purged.',
                  updated_at = coalesce($at::TIMESTAMPTZ, now()), updated_by = $who
           WHERE video_id = $video_id AND state = 'ingesting'""",
        {"video_id": video_id, "who": who, "at": at},
    )
    return True


def remove_rows(
    connection: duckdb.DuckDBPyConnection,
    video_id: str,
    still_there: Collection[str],
    *,
    who: str,
    at: datetime | None = None,
    told: Callable[[dict[str, int]], None] = lambda _: None,
) -> dict[str, int]:
    """Remove every row of a video whose purge has begun, in transactions of its own.

    Args:
        connection: an open store without a transaction.
        video_id: the video.
        still_there: ids of its uploads whose files are where they were; see ``remove_video``.
        who: as ``audit.actor`` gives it.
        at: when it was purged; None for now.
        told: is handed what each of the transactions removed, in it, for the audit log.

    Returns:
        Rows removed by table; only tables that had any.
    """
    removed: dict[str, int] = {}
    for step in (remove_children, remove_versions, partial(remove_video, still_there=still_there)):
        with transaction(connection):
            gone = step(connection, video_id, who=who, at=at)
            if gone:
                told(gone)
        removed |= gone
    return removed


def remove_children(
    connection: duckdb.DuckDBPyConnection, video_id: str, *, who: str, at: datetime | None = None
) -> dict[str, int]:
    """Remove what belongs to the versions of a video, and all else that names it; in the caller's transaction."""
    of_it = "version_id IN (SELECT version_id FROM video_versions WHERE video_id = ?)"
    removed = {table: _delete(connection, table, of_it, video_id) for table in _OF_VERSIONS}
    removed |= {table: _delete(connection, table, "video_id = ?", video_id) for table in _OF_VIDEOS}
    return _told(connection, video_id, removed, who, at)


def remove_versions(
    connection: duckdb.DuckDBPyConnection, video_id: str, *, who: str, at: datetime | None = None
) -> dict[str, int]:
    """Remove the versions of a video, when nothing belongs to them any more; in the caller's transaction."""
    removed = {"video_versions": _delete(connection, "video_versions", "video_id = ?", video_id)}
    return _told(connection, video_id, removed, who, at)


def remove_video(
    connection: duckdb.DuckDBPyConnection,
    video_id: str,
    still_there: Collection[str],
    *,
    who: str,
    at: datetime | None = None,
) -> dict[str, int]:
    """Remove a video that has no versions any more, and its uploads; in the caller's transaction.

    Args:
        connection: with a transaction open.
        video_id: the video.
        still_there: ids of its uploads whose files are where they were. Their rows stay, without the video, and say so,
            for otherwise the sensor would take the files for new ones.
        who: as ``audit.actor`` gives it.
        at: when it was purged; None for now.
    """
    connection.execute(
        """UPDATE uploads SET video_id = NULL, state = 'quarantined', code = 'purged', run_id = NULL,
                  reason = 'its video was purged on ' || strftime(coalesce($at::TIMESTAMPTZ, now()), '%Y-%m-%d %H:%M')
                           || ' UTC, but the file itself is still there. Remove it, or `bri ingest` it anew.',
                  updated_at = coalesce($at::TIMESTAMPTZ, now()), updated_by = $who
           WHERE video_id = $video_id AND list_contains($kept::VARCHAR[], upload_id)""",
        {"video_id": video_id, "kept": list(still_there), "who": who, "at": at},
    )
    removed = {table: _delete(connection, table, "video_id = ?", video_id) for table in ("uploads", "videos")}
    return _told(connection, video_id, removed, who, at)


def finish_purge(
    connection: duckdb.DuckDBPyConnection, video_id: str, *, files: int, who: str, at: datetime | None = None
) -> tuple[int, int] | None:
    """Say that nothing is left to remove.

    Args:
        connection: with a transaction open.
        video_id: the video.
        files: files that were removed.
        who: as ``audit.actor`` gives it.
        at: when it was finished; None for now.

    Returns:
        Rows and files that the purge removed in all; None where none was begun.
    """
    found = connection.execute(
        """UPDATE purges SET finished_at = coalesce($at::TIMESTAMPTZ, now()), files_removed = files_removed + $files,
                  updated_at = coalesce($at::TIMESTAMPTZ, now()), updated_by = $who
           WHERE video_id = $video_id AND finished_at IS NULL RETURNING rows_removed, files_removed""",
        {"video_id": video_id, "files": files, "who": who, "at": at},
    ).fetchone()
    return (int(found[0]), int(found[1])) if found else None


def _delete(connection: duckdb.DuckDBPyConnection, table: str, where: str, video_id: str) -> int:
    found = connection.execute(f"DELETE FROM {table} WHERE {where}", [video_id]).fetchone()  # noqa: S608 - our own text
    return int(found[0]) if found else 0


def _told(
    connection: duckdb.DuckDBPyConnection, video_id: str, removed: dict[str, int], who: str, at: datetime | None
) -> dict[str, int]:
    """Count what was removed; returns it without the tables that had nothing."""
    connection.execute(
        """UPDATE purges SET rows_removed = rows_removed + $rows, updated_at = coalesce($at::TIMESTAMPTZ, now()),
                  updated_by = $who WHERE video_id = $video_id""",
        {"video_id": video_id, "rows": sum(removed.values()), "who": who, "at": at},
    )
    return {table: count for table, count in removed.items() if count}
