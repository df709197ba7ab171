"""Moments of videos: everything around a time, what is being said at it, and a single frame.

What does not belong here: stretches page by page (``ranges``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from bri_assets.errors import FrameNotFound
from bri_assets.store.queries import rows
from bri_assets.store.queries.model import Around, Evidence, FrameAt, FrameKey, Moment, SegmentAt
from bri_assets.store.queries.picks import FIRST, FRAME, Pick, pick, with_captions, with_objects
from bri_assets.store.queries.ranges import BOXES
from bri_assets.store.queries.rows import EVIDENCE, Row
from bri_assets.store.queries.sources import Shown, of_versions, require_version, require_within, shown
from bri_assets.store.queries.speech import SEGMENT, with_frames

__all__ = ["MOST", "around", "evidence", "frame", "segments_at"]

#: Frames and segments that are given around a moment; those nearest to it.
MOST = 100

#: No frame has this index or a higher one: they are 32-bit numbers.
_BEYOND = 2**31


@dataclass(frozen=True)
class _Asked:
    """One moment as it is read: of which version, and from where to where."""

    video: Shown
    at_s: float
    from_s: float
    to_s: float

    def pick(self, where: str, *values: float) -> Pick:
        """Rows of its version."""
        return Pick(self.video.version_id, where, values)


def around(connection: duckdb.DuckDBPyConnection, moments: Sequence[Moment]) -> list[Around]:
    """Everything around each moment; see ``Queries.around``."""
    asked = _asked(connection, moments)
    frames, segments = _frames(connection, asked), _segments(connection, asked)
    nearest = [of_it[0] for of_it in frames]
    boxes = [one.pick("frame_index = ?", row["frame_index"]) for one, row in zip(asked, nearest, strict=True)]
    objects = pick(connection, BOXES, "detections", boxes, by=("detection_index",))
    return [_around(*found) for found in zip(asked, frames, segments, objects, strict=True)]


def _around(one: _Asked, frames: Sequence[Row], segments: Sequence[Row], objects: Sequence[Row]) -> Around:
    inside = [row for row in frames if one.from_s <= row["timestamp_s"] <= one.to_s]
    time = {"timestamp_s": frames[0]["timestamp_s"]}
    return Around(
        source=one.video.source,
        at_s=one.at_s,
        from_s=one.from_s,
        to_s=one.to_s,
        nearest=rows.frame(frames[0]),
        frames=[rows.frame(row) for row in sorted(inside[:MOST], key=lambda row: int(row["frame_index"]))],
        segments=[rows.segment(row) for row in sorted(segments[:MOST], key=lambda row: int(row["segment_index"]))],
        detections=[rows.detection(row | time) for row in objects],
        cut=max(len(inside), len(segments)) > MOST,
    )


def _frames(connection: duckdb.DuckDBPyConnection, asked: Sequence[_Asked]) -> list[list[Row]]:
    """Frames of each stretch, one more than are given, and in any case the nearest; nearest first."""
    nearness = "ORDER BY abs(timestamp_s - ?), frame_index LIMIT"
    inside = f"timestamp_s BETWEEN ? AND ? {nearness} {MOST} + 1"
    picks = [
        picked
        for one in asked
        for picked in (one.pick(inside, one.from_s, one.to_s, one.at_s), one.pick(f"true {nearness} {FIRST}", one.at_s))
    ]
    found = pick(connection, FRAME, "frames", picks)
    kept = []
    for one, of_it, nearest in zip(asked, found[::2], found[1::2], strict=True):
        first = min(nearest, key=lambda row: _off(one, row))
        rest = [row for row in of_it if row["frame_index"] != first["frame_index"]]
        kept.append([first, *sorted(rest, key=lambda row: _off(one, row))])
    with_captions(connection, kept)
    with_objects(connection, kept)
    return kept


def _off(one: _Asked, frame: Row) -> tuple[float, int]:
    return abs(frame["timestamp_s"] - one.at_s), frame["frame_index"]


def _segments(connection: duckdb.DuckDBPyConnection, asked: Sequence[_Asked]) -> list[list[Row]]:
    """Segments that touch each stretch, one more than are given; nearest first."""
    where = f"start_s <= ? AND end_s > ? ORDER BY greatest(start_s - ?, ? - end_s, 0.0), segment_index LIMIT {MOST} + 1"
    picks = [one.pick(where, one.to_s, one.from_s, one.at_s, one.at_s) for one in asked]
    found = pick(connection, SEGMENT, "transcripts", picks)
    for one, of_it in zip(asked, found, strict=True):
        of_it.sort(key=lambda row: _distance(one, row))
    with_frames(connection, found)
    return found


def _distance(one: _Asked, segment: Row) -> tuple[float, int]:
    return max(segment["start_s"] - one.at_s, one.at_s - segment["end_s"], 0.0), segment["segment_index"]


def segments_at(connection: duckdb.DuckDBPyConnection, moments: Sequence[Moment]) -> list[SegmentAt]:
    """What is said at each moment; see ``Queries.segments_at``."""
    asked = _asked(connection, moments)
    picks = [picked for one in asked for picked in _speech(one)]
    found = pick(connection, SEGMENT, "transcripts", picks)
    first = [sorted(of_it, key=_ORDERS[number % 3])[:1] for number, of_it in enumerate(found)]
    with_frames(connection, first)
    said = [rows.segment(of_it[0]) if of_it else None for of_it in first]
    return [
        SegmentAt(source=one.video.source, at_s=one.at_s, segment=at, before=before, after=after)
        for one, at, before, after in zip(asked, said[::3], said[1::3], said[2::3], strict=True)
    ]


def _speech(one: _Asked) -> tuple[Pick, Pick, Pick]:
    """What is said then, what before, what after."""
    return (
        one.pick(
            f"start_s <= ? AND end_s > ? ORDER BY start_s DESC, segment_index DESC LIMIT {FIRST}", one.at_s, one.at_s
        ),
        one.pick(f"end_s <= ? ORDER BY end_s DESC, segment_index DESC LIMIT {FIRST}", one.at_s),
        one.pick(f"start_s > ? ORDER BY start_s, segment_index LIMIT {FIRST}", one.at_s),
    )


#: Which of each comes first: of several that are said then, the one that began last.
_ORDERS: tuple[Callable[[Row], tuple[float, int]], ...] = (
    lambda row: (-row["start_s"], -row["segment_index"]),
    lambda row: (-row["end_s"], -row["segment_index"]),
    lambda row: (row["start_s"], row["segment_index"]),
)


def frame(
    connection: duckdb.DuckDBPyConnection, video_id: str, frame_index: int, version_id: int | None = None
) -> FrameAt:
    """One frame; see ``Queries.frame``."""
    video = shown(connection, [video_id])[video_id]
    if version_id is not None:
        video = require_version(connection, video, version_id)
    found: list[Row] = []
    if 0 <= frame_index < _BEYOND:
        (found,) = pick(connection, FRAME, "frames", [Pick(video.version_id, "frame_index = ?", (frame_index,))])
    if not found:
        what = f"version {video.source.version} has no frame {frame_index}."
        raise FrameNotFound(
            video_id, what, f"Its {video.row['sample_slots']} sample slots count from 0; some are empty."
        )
    with_captions(connection, [found])
    with_objects(connection, [found])
    return FrameAt(source=video.source, frame=rows.frame(found[0]))


def evidence(connection: duckdb.DuckDBPyConnection, frames: Sequence[FrameKey]) -> list[Evidence | None]:
    """Frames by their keys; see ``Queries.evidence``."""
    held = of_versions(connection, [key.version_id for key in frames])
    wanted = list(dict.fromkeys((key.version_id, key.frame_index) for key in frames if key.version_id in held))
    picks = [Pick(version_id, "frame_index = ?", (index,)) for version_id, index in wanted if 0 <= index < _BEYOND]
    found = {
        (row["version_id"], row["frame_index"]): rows.evidence(row)
        for of_it in pick(connection, f"version_id, {EVIDENCE}", "frames", picks)
        for row in of_it
    }
    return [found.get((key.version_id, key.frame_index)) for key in frames]


def _asked(connection: duckdb.DuckDBPyConnection, moments: Sequence[Moment]) -> list[_Asked]:
    if not moments:
        return []
    videos = shown(connection, [moment.video_id for moment in moments])
    asked = []
    for moment in moments:
        video, at_s, within_s = videos[moment.video_id], moment.at_s, moment.within_s
        require_within(video, at_s)
        from_s, to_s = max(0.0, at_s - within_s), max(at_s, min(video.duration_s, at_s + within_s))
        asked.append(_Asked(video, at_s, from_s, to_s))
    return asked
