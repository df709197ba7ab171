"""Reads of what is committed and of what became of each upload. Nothing here changes a row."""

from __future__ import annotations

from typing import Any

import duckdb

from bri_assets.errors import VideoNotFound

__all__ = ["find_video", "status", "video"]

_STATUS = """
SELECT u.video_id, u.filename,
       CASE WHEN v.deleted_at IS NOT NULL THEN 'deleted' ELSE u.state END AS state,
       n.version, v.duration_s, v.has_audio, n.frames, n.captions, n.transcript_segments, n.detections,
       n.committed_at, u.reason, u.code, u.path, u.upload_id, u.attempts, u.run_id, u.created_at, u.updated_at
FROM uploads u
LEFT JOIN videos v ON v.video_id = u.video_id
LEFT JOIN current_versions c ON c.video_id = u.video_id AND v.deleted_at IS NULL
LEFT JOIN video_versions n ON n.version_id = c.version_id
QUALIFY u.state IN ('committed', 'ingesting') OR u.updated_at = max(u.updated_at) OVER (PARTITION BY u.path)
ORDER BY u.created_at, u.upload_id
"""

_TABLES = {
    "frames": "SELECT * EXCLUDE (video_id) FROM v_frames WHERE video_id = ? ORDER BY frame_index",
    "captions": "SELECT * EXCLUDE (video_id) FROM v_captions WHERE video_id = ? ORDER BY frame_index",
    "transcripts": "SELECT * EXCLUDE (video_id) FROM v_transcripts WHERE video_id = ? ORDER BY segment_index",
    "detections": (
        "SELECT * EXCLUDE (video_id) FROM v_detections WHERE video_id = ? ORDER BY frame_index, detection_index"
    ),
}


def status(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Every upload, oldest first, with the counts of the version that is shown (None where there is none).

    Of a path that was refused or failed and has other content since, only what it holds now counts; what it was stands
    in the audit log.
    """
    return _records(connection.execute(_STATUS))


def find_video(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """The id of the committed video that a person means: its id, the beginning of it, or a file name.

    Raises:
        VideoNotFound: there is none, or more than one.
    """
    found = connection.execute(
        """SELECT DISTINCT video_id, video_id = $name AS exact
           FROM v_videos LEFT JOIN (SELECT video_id, filename AS other_name FROM uploads) u USING (video_id)
           WHERE starts_with(video_id, $name) OR filename = $name OR u.other_name = $name
           ORDER BY exact DESC, video_id""",
        {"name": name},
    ).fetchall()
    if found and (found[0][1] or len(found) == 1):
        return str(found[0][0])
    if found:
        names = ", ".join(video_id for video_id, _ in found[:5])
        raise VideoNotFound(name, f"means more than one video: {names}.", "Name one by its id.")
    raise VideoNotFound(name, "no committed video has this id or file name.", "See `bri status`.")


def video(connection: duckdb.DuckDBPyConnection, video_id: str) -> dict[str, Any]:
    """All that is committed of one video, from its current version.

    Returns:
        ``video`` (one record), ``frames``, ``captions``, ``transcripts``, ``detections`` (lists of records), and
        ``lineage``, all with the field names of the schemas.

    Raises:
        VideoNotFound: it is not committed.
    """
    found = _records(connection.execute(_VIDEO, [video_id]))
    if not found:
        raise VideoNotFound(video_id, "is not committed.", "See `bri status`.")
    tables = {name: _records(connection.execute(sql, [video_id])) for name, sql in _TABLES.items()}
    return {"video": found[0], **tables, "lineage": _records(connection.execute(_LINEAGE, [video_id]))}


_VIDEO = """
SELECT x.*, n.version
FROM v_videos x JOIN current_versions c USING (video_id) JOIN video_versions n USING (version_id) WHERE x.video_id = ?
"""

_LINEAGE = """
SELECT l.* EXCLUDE (version_id) FROM lineage l JOIN current_versions c USING (version_id)
WHERE c.video_id = ? ORDER BY table_name
"""


def _records(cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
