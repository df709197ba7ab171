"""When objects are seen: sampled frames with them, merged into intervals.

A frame stands for the time until the next sampled one. One sampled frame in which a detector misses what it sees before
and after it does not end an interval; a hole in the video, which has no frames, does not either. What does not belong
here: which videos are looked at (``objects``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from bri_assets.store.queries.model import Evidence, Interval, ObjectsInVideo
from bri_assets.store.queries.rows import EVIDENCE, Row, numbers, records
from bri_assets.store.queries.sources import Shown

__all__ = ["MISSED", "MOST", "of_each", "together"]

#: Sampled frames in a row without the object that do not end an interval.
MISSED = 1

#: Intervals of a video that are given.
MOST = 200

#: How well each class is seen in each frame, of the classes that are asked for.
_SEEN = """
SELECT version_id, frame_index, class_name, count(*) AS objects, max(confidence) AS confidence
FROM detections
WHERE version_id IN ({ids}) AND list_contains($class_names::VARCHAR[], class_name) AND confidence >= $min_confidence
GROUP BY version_id, frame_index, class_name
"""

#: A frame with all of them is as sure as the class that is seen worst in it.
_TOGETHER = f"""
SELECT version_id, frame_index, '' AS class_name, sum(objects) AS objects, min(confidence) AS confidence
FROM ({_SEEN}) GROUP BY version_id, frame_index HAVING count(*) = len($class_names)
"""  # noqa: S608 - our own text

_INTERVALS = f"""
WITH hit AS ({{hits}}), sampled AS (
    SELECT version_id, struct_pack(frame_index, timestamp_s, image_path, image_sha256) AS shot, frame_index,
           timestamp_s, row_number() OVER by_time AS place, lead(timestamp_s) OVER by_time AS next_s
    FROM (SELECT version_id, {EVIDENCE} FROM frames WHERE version_id IN ({{ids}}))
    WINDOW by_time AS (PARTITION BY version_id ORDER BY frame_index)
), seen AS (
    SELECT hit.*, shot, timestamp_s, place, next_s,
           place - lag(place) OVER (PARTITION BY version_id, class_name ORDER BY place) AS step
    FROM hit JOIN sampled USING (version_id, frame_index)
), numbered AS (
    SELECT *, count(*) FILTER (step IS NULL OR step > {MISSED} + 1)
                  OVER (PARTITION BY version_id, class_name ORDER BY place) AS number,
           count(*) OVER (PARTITION BY version_id, class_name) AS all_frames
    FROM seen
)
SELECT version_id, class_name, number, any_value(all_frames) AS all_frames, min(timestamp_s) AS start_s,
       last(next_s ORDER BY place) AS end_s, count(*) AS frames, max(objects)::INTEGER AS most_at_once,
       max(confidence) AS confidence, first(shot ORDER BY place) AS first,
       first(shot ORDER BY confidence DESC, place) AS best, last(shot ORDER BY place) AS last
FROM numbered WHERE number <= {MOST} + 1
GROUP BY version_id, class_name, number ORDER BY version_id, class_name, number
"""  # noqa: S608 - our own text


def together(
    connection: duckdb.DuckDBPyConnection,
    videos: Sequence[Shown],
    class_names: Sequence[str],
    min_confidence: float = 0.0,
) -> list[ObjectsInVideo]:
    """When all of some classes are seen in the same frame, in each video where they are, in the videos' order.

    Args:
        connection: an open store.
        videos: the versions that are looked at.
        class_names: one or more, each once.
        min_confidence: detections below it do not count, 0 to 1.
    """
    found = _find(connection, _TOGETHER, videos, class_names, min_confidence)
    return [
        _in_video(video, class_names, found[video.version_id, ""])
        for video in videos
        if (video.version_id, "") in found
    ]


def of_each(
    connection: duckdb.DuckDBPyConnection, videos: Sequence[Shown], classes: Mapping[int, Sequence[str]]
) -> dict[int, list[ObjectsInVideo]]:
    """When each of some classes is seen, by version, in the order of its classes.

    Args:
        connection: an open store.
        videos: the versions that are looked at.
        classes: of each of them, by ``version_id``.
    """
    every = sorted({name for names in classes.values() for name in names})
    found = _find(connection, _SEEN, videos, every, 0.0)
    return {
        video.version_id: [
            _in_video(video, [name], found[video.version_id, name])
            for name in classes[video.version_id]
            if (video.version_id, name) in found
        ]
        for video in videos
    }


def _find(
    connection: duckdb.DuckDBPyConnection,
    hits: str,
    videos: Sequence[Shown],
    class_names: Sequence[str],
    min_confidence: float,
) -> dict[tuple[int, str], list[Row]]:
    ids = numbers(video.version_id for video in videos)
    statement = _INTERVALS.format(hits=hits.format(ids=ids), ids=ids)
    asked = {"class_names": list(class_names), "min_confidence": min_confidence}
    grouped: dict[tuple[int, str], list[Row]] = {}
    for row in records(connection.execute(statement, asked)):
        grouped.setdefault((row["version_id"], row["class_name"]), []).append(row)
    return grouped


def _in_video(video: Shown, class_names: Sequence[str], found: Sequence[Row]) -> ObjectsInVideo:
    return ObjectsInVideo(
        source=video.source,
        class_names=list(class_names),
        frames=found[0]["all_frames"],
        intervals=[_interval(row, video.duration_s) for row in found[:MOST]],
        cut=len(found) > MOST,
    )


def _interval(row: Row, duration_s: float) -> Interval:
    end_s = duration_s if row["end_s"] is None else row["end_s"]
    return Interval(
        start_s=row["start_s"],
        end_s=max(end_s, row["start_s"]),
        frames=row["frames"],
        most_at_once=row["most_at_once"],
        confidence=row["confidence"],
        first=Evidence(**row["first"]),
        best=Evidence(**row["best"]),
        last=Evidence(**row["last"]),
    )
