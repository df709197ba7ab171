"""Reads of what is committed and of what became of each upload. Nothing here changes a row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb

from bri_assets.errors import VersionNotFound, VideoNotFound
from bri_assets.schemas import SOURCE_VIDEO, VERSIONED_TABLES
from bri_assets.store import pointer

__all__ = ["find_version", "find_video", "status", "video"]

_STATUS = """
SELECT u.video_id, u.filename,
       CASE WHEN v.deleted_at IS NOT NULL THEN 'deleted' ELSE u.state END AS state,
       n.version, v.duration_s, v.has_audio, n.frames, n.captions, n.transcript_segments, n.detections,
       n.committed_at, u.reason, u.code, u.path, u.upload_id, u.attempts, u.run_id, u.created_at, u.updated_at
FROM uploads u
LEFT JOIN videos v ON v.video_id = u.video_id
LEFT JOIN (SELECT video_id, version_id FROM current_versions SEMI JOIN (FROM videos WHERE deleted_at IS NULL)
           USING (video_id)) c ON c.video_id = u.video_id
LEFT JOIN video_versions n ON n.version_id = c.version_id
QUALIFY u.state IN ('committed', 'ingesting') OR u.updated_at = max(u.updated_at) OVER (PARTITION BY u.path)
ORDER BY u.created_at, u.upload_id
"""

_TABLES = {
    spec.name: f"SELECT * EXCLUDE (version_id) FROM {spec.name} WHERE version_id = ? ORDER BY {', '.join(spec.key)}"  # noqa: S608 - our own names
    for spec in VERSIONED_TABLES
}


def status(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Every upload, oldest first, with the counts of the version that is shown (None where there is none).

    Of a path that was refused or failed and has other content since, only what it holds now counts; what it was stands
    in the audit log.
    """
    return _records(connection.execute(_STATUS))


def find_video(connection: duckdb.DuckDBPyConnection, name: str, *, deleted: bool = False) -> str:
    """The id of the committed video that a person means: its id, the beginning of it, or a file name.

    Args:
        connection: an open store.
        name: what the person says.
        deleted: find deleted videos too.

    Raises:
        VideoNotFound: there is none, or more than one.
    """
    found = connection.execute(
        """SELECT DISTINCT video_id, video_id = $name AS exact
           FROM videos v SEMI JOIN current_versions USING (video_id)
           LEFT JOIN (SELECT video_id, filename AS other_name FROM uploads) u USING (video_id)
           WHERE (starts_with(video_id, $name) OR v.filename = $name OR u.other_name = $name)
             AND ($deleted OR v.deleted_at IS NULL)
           ORDER BY exact DESC, video_id""",
        {"name": name, "deleted": deleted},
    ).fetchall()
    if found and (found[0][1] or len(found) == 1):
        return str(found[0][0])
    if found:
        names = ", ".join(video_id for video_id, _ in found[:5])
        raise VideoNotFound(name, f"means more than one video: {names}.", "Name one by its id.")
    raise VideoNotFound(name, "no committed video has this id or file name.", "See `bri status`.")


def find_version(
    connection: duckdb.DuckDBPyConnection, video_id: str, *, version: int | None = None, as_of: datetime | None = None
) -> int:
    """The ``version_id`` of a version whose rows are in the database.

    Args:
        connection: an open store.
        video_id: the video.
        version: its number among the video's versions.
        as_of: the version that was shown at this time; without a zone it is UTC. Without both: the one shown now.

    Raises:
        VersionNotFound: there is none, or was none at that time, or its rows are in the archive.
        ValueError: both are given.
    """
    if version is not None and as_of is not None:
        raise ValueError("either a version or a time can be asked for")
    found = connection.execute(
        "SELECT version_id, version, state FROM video_versions WHERE video_id = ? ORDER BY version", [video_id]
    ).fetchall()
    if version is None:
        asked = pointer.shown(connection, video_id) if as_of is None else pointer.shown_at(connection, video_id, as_of)
        what = "has no version that is shown" if as_of is None else f"had no version at {as_of:%Y-%m-%d %H:%M:%S}"
        match = [row for row in found if row[0] == asked]
    else:
        what = f"has no version {version}"
        match = [row for row in found if row[1] == version]
    if not match:
        has = f"it has {found[0][1]} to {found[-1][1]}" if found else "it has none"
        raise VersionNotFound(video_id, f"{what}; {has}.", f"See `bri history {video_id}`.")
    version_id, number, state = match[0]
    if state != "committed":
        raise VersionNotFound(
            video_id, f"the rows of version {number} are in the archive.", f"Run `bri unarchive {video_id} {number}`."
        )
    return int(version_id)


def video(connection: duckdb.DuckDBPyConnection, video_id: str, version_id: int | None = None) -> dict[str, Any]:
    """All that is committed of one video, of one version.

    The facts of the file in ``video`` are those of the version that is shown; ``facts.with_facts`` brings them to those
    of another one.

    Args:
        connection: an open store.
        video_id: the video.
        version_id: the version, as ``find_version`` gives it; default: the one that is shown.

    Returns:
        ``video`` (one record, with ``version``, ``version_id`` and ``is_current``), ``frames``, ``captions``,
        ``transcripts``, ``detections`` (lists of records), and ``lineage``, all with the field names of the schemas.

    Raises:
        VideoNotFound: it is not committed, or is deleted.
    """
    found = _records(connection.execute(_VIDEO, {"video_id": video_id, "version_id": version_id}))
    if not found:
        raise VideoNotFound(video_id, "is not committed.", "See `bri status`.")
    asked = found[0]["version_id"]
    tables = {name: _records(connection.execute(sql, [asked])) for name, sql in _TABLES.items()}
    return {"video": found[0], **tables, "lineage": _records(connection.execute(_LINEAGE, [asked]))}


_VIDEO = f"""
SELECT {", ".join(f"v.{column.name}" for column in SOURCE_VIDEO.columns)},
       n.frames, n.captions, n.transcript_segments, n.detections, n.transcript_outcome,
       n.sample_interval_s, n.sample_slots, n.empty_slots, n.committed_at,
       n.version, n.version_id, n.version_id = c.version_id AS is_current
FROM videos v JOIN current_versions c USING (video_id)
JOIN video_versions n ON n.video_id = v.video_id AND n.version_id = coalesce($version_id, c.version_id)
WHERE v.video_id = $video_id AND v.deleted_at IS NULL
"""  # noqa: S608 - our own names

_LINEAGE = "SELECT * EXCLUDE (version_id) FROM lineage WHERE version_id = ? ORDER BY table_name"


def _records(cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
