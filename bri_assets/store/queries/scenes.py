"""Scenes of a video, cut where the picture changes, and a video in short.

Two sampled frames that follow one another show other pictures where their perceptual hashes differ in more bits than
``quality.CHANGED_BITS``. What is said of a video here are facts of its rows and nothing else. What does not belong
here: stretches that a reader asks for (``ranges``).
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from bri_assets.store.quality import CHANGED_BITS
from bri_assets.store.queries import rows
from bri_assets.store.queries.model import Scene, Timeline
from bri_assets.store.queries.rows import EVIDENCE, Row, numbers, records
from bri_assets.store.queries.sources import Shown, shown
from bri_assets.store.queries.summary import summaries

__all__ = ["MOST", "scenes"]

#: Scenes of a video that are given.
MOST = 200

#: What is given of the words of a scene, in characters.
_WORDS = 500

_SCENES = f"""
WITH sampled AS (
    SELECT version_id, {EVIDENCE},
           bit_count(xor(picture, lag(picture) OVER by_time)) > {CHANGED_BITS} AS changed
    FROM (SELECT *, ('0x' || phash)::UBIGINT AS picture FROM frames WHERE version_id IN ({{ids}}))
    WINDOW by_time AS (PARTITION BY version_id ORDER BY frame_index)
), numbered AS (
    SELECT *, count(*) FILTER (changed) OVER (PARTITION BY version_id ORDER BY frame_index) AS scene_index FROM sampled
), scene AS (
    SELECT version_id, scene_index, min(timestamp_s) AS first_s, count(*) AS frames,
           min(frame_index) AS first_index, max(frame_index) AS last_index,
           list(frame_index ORDER BY frame_index)[(count(*) + 1) // 2] AS frame_index
    FROM numbered GROUP BY version_id, scene_index
)
SELECT version_id, scene_index, frames, first_index, last_index, {EVIDENCE}, captions.text AS caption,
       CASE WHEN scene_index = 0 THEN 0.0 ELSE first_s END AS start_s,
       lead(first_s) OVER in_order AS end_s, count(*) OVER (PARTITION BY version_id) AS scenes
FROM scene JOIN numbered USING (version_id, scene_index, frame_index)
LEFT JOIN (SELECT version_id, frame_index, text FROM captions WHERE version_id IN ({{ids}})) captions
     USING (version_id, frame_index)
WINDOW in_order AS (PARTITION BY version_id ORDER BY scene_index)
QUALIFY scene_index < {MOST} ORDER BY version_id, scene_index
"""  # noqa: S608 - our own text

_BOUNDS = """
SELECT unnest($version_ids::BIGINT[]) AS version_id, unnest($scene_indexes::INTEGER[]) AS scene_index,
       unnest($first_indexes::INTEGER[]) AS first_index, unnest($last_indexes::INTEGER[]) AS last_index,
       unnest($starts::DOUBLE[]) AS scene_start_s, unnest($ends::DOUBLE[]) AS scene_end_s
"""

#: A segment is said in the scene in which its middle lies, so that each is told once.
_CONTENT = f"""
WITH bounds AS ({_BOUNDS})
SELECT version_id, scene_index, class_name, count(DISTINCT frame_index) AS frames, NULL AS words
FROM bounds JOIN detections USING (version_id)
WHERE version_id IN ({{ids}}) AND frame_index BETWEEN first_index AND last_index
GROUP BY version_id, scene_index, class_name
UNION ALL
SELECT version_id, scene_index, NULL, NULL, left(string_agg(trim(text), ' ' ORDER BY segment_index), {_WORDS})
FROM bounds JOIN transcripts USING (version_id)
WHERE version_id IN ({{ids}}) AND (start_s + end_s) / 2 >= scene_start_s AND (start_s + end_s) / 2 < scene_end_s
GROUP BY version_id, scene_index
"""  # noqa: S608 - our own text


def scenes(connection: duckdb.DuckDBPyConnection, video_ids: Sequence[str]) -> list[Timeline]:
    """Each video in short; see ``Queries.scenes``."""
    videos = shown(connection, video_ids)
    if not videos:
        return []
    ids = numbers(video.version_id for video in videos.values())
    durations = {video.version_id: video.duration_s for video in videos.values()}
    found = records(connection.execute(_SCENES.format(ids=ids)))
    for row in found:
        row["end_s"] = max(durations[row["version_id"]], row["start_s"]) if row["end_s"] is None else row["end_s"]
    classes, words = _content(connection, found, ids)
    by_version: dict[int, list[Row]] = {}
    for row in found:
        by_version.setdefault(row["version_id"], []).append(row)
    counts = {version_id: of_it[0]["scenes"] for version_id, of_it in by_version.items()}
    said = summaries(connection, list(videos.values()), counts)
    return [
        _timeline(videos[video_id], by_version[videos[video_id].version_id], classes, words, said)
        for video_id in video_ids
    ]


def _timeline(
    video: Shown,
    found: Sequence[Row],
    classes: dict[tuple[int, int], dict[str, int]],
    words: dict[tuple[int, int], str],
    said: dict[int, str],
) -> Timeline:
    return Timeline(
        source=video.source,
        duration_s=video.duration_s,
        summary=said[video.version_id],
        scenes=[_scene(row, classes.get(_key(row), {}), words.get(_key(row), "")) for row in found],
        cut=found[0]["scenes"] > MOST,
    )


def _scene(row: Row, classes: dict[str, int], words: str) -> Scene:
    return Scene(
        scene_index=row["scene_index"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        frames=row["frames"],
        caption=rows.caption_text(row),
        classes=dict(sorted(classes.items(), key=lambda seen: (-seen[1], seen[0]))),
        words=words,
        evidence=rows.evidence(row),
    )


def _content(
    connection: duckdb.DuckDBPyConnection, found: Sequence[Row], ids: str
) -> tuple[dict[tuple[int, int], dict[str, int]], dict[tuple[int, int], str]]:
    """Classes and words of each scene."""
    asked = {
        "version_ids": [row["version_id"] for row in found],
        "scene_indexes": [row["scene_index"] for row in found],
        "first_indexes": [row["first_index"] for row in found],
        "last_indexes": [row["last_index"] for row in found],
        "starts": [row["start_s"] for row in found],
        "ends": [row["end_s"] for row in found],
    }
    classes: dict[tuple[int, int], dict[str, int]] = {}
    words: dict[tuple[int, int], str] = {}
    for row in records(connection.execute(_CONTENT.format(ids=ids), asked)):
        if row["class_name"] is None:
            words[_key(row)] = row["words"]
        else:
            classes.setdefault(_key(row), {})[row["class_name"]] = row["frames"]
    return classes, words


def _key(row: Row) -> tuple[int, int]:
    return row["version_id"], row["scene_index"]
