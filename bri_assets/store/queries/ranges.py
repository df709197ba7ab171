"""Stretches of videos, page by page: frames, captions, segments and detections.

A page is of one version: its cursor holds the number of that version, so that the pages of one question give each row
once whatever is committed meanwhile. What does not belong here: moments (``moments``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
from pydantic import BaseModel

from bri_assets.store.queries import rows
from bri_assets.store.queries.cursors import AtRow, decode, encode, wrong
from bri_assets.store.queries.model import Caption, Detection, Frame, Page, Range, Segment, Source
from bri_assets.store.queries.picks import FRAME, Pick, pick, timed, with_captions, with_objects
from bri_assets.store.queries.rows import Row
from bri_assets.store.queries.sources import of_versions, require_within, shown
from bri_assets.store.queries.speech import SEGMENT, with_frames

__all__ = ["BOXES", "captions", "detections", "frames", "segments"]

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class _Asked:
    """One range as it is read: of which version, from where, after which row."""

    source: Source
    question: dict[str, Any]
    from_s: float
    to_s: float
    after: tuple[int, int]
    limit: int
    class_name: str | None


#: The columns of ``detections`` that a ``Detection`` is made of, but for its time.
BOXES = "version_id, frame_index, detection_index, class_name, confidence, x1, y1, x2, y2"


def frames(connection: duckdb.DuckDBPyConnection, ranges: Sequence[Range]) -> list[Page[Frame]]:
    """A page of frames for each range; see ``Queries.frames``."""
    asked = _asked(connection, ranges, "frames")
    found = _frames(connection, asked)
    with_captions(connection, found)
    with_objects(connection, found)
    return _pages(asked, found, rows.frame, Page[Frame], _at_frame)


def captions(connection: duckdb.DuckDBPyConnection, ranges: Sequence[Range]) -> list[Page[Caption]]:
    """A page of captions for each range; see ``Queries.captions``."""
    asked = _asked(connection, ranges, "captions")
    found = _frames(connection, asked)
    with_captions(connection, found)
    return _pages(asked, found, rows.caption, Page[Caption], _at_frame)


def segments(connection: duckdb.DuckDBPyConnection, ranges: Sequence[Range]) -> list[Page[Segment]]:
    """A page of segments for each range; see ``Queries.segments``."""
    asked = _asked(connection, ranges, "segments")
    where = "start_s <= ? AND end_s > ? AND segment_index > ? ORDER BY segment_index LIMIT ?"
    picks = [Pick(one.source.version_id, where, (one.to_s, one.from_s, one.after[0], one.limit + 1)) for one in asked]
    found = pick(connection, SEGMENT, "transcripts", picks, by=("segment_index",))
    with_frames(connection, found)
    return _pages(asked, found, rows.segment, Page[Segment], _at_segment)


def detections(connection: duckdb.DuckDBPyConnection, ranges: Sequence[Range]) -> list[Page[Detection]]:
    """A page of detections for each range; see ``Queries.detections``."""
    asked = _asked(connection, ranges, "detections")
    # Times grow with the indexes of frames, so a stretch of time is one of indexes.
    bounds = [
        Pick(
            one.source.version_id,
            "timestamp_s BETWEEN ? AND ? AND frame_index >= ?",
            (one.from_s, one.to_s, one.after[0]),
        )
        for one in asked
    ]
    stretches = pick(connection, "min(frame_index) AS first, max(frame_index) AS last", "frames", bounds)
    found = pick(
        connection,
        BOXES,
        "detections",
        [_boxes(one, stretch[0]) for one, stretch in zip(asked, stretches, strict=True)],
        by=("frame_index", "detection_index"),
    )
    timed(connection, found)
    return _pages(asked, found, rows.detection, Page[Detection], _at_detection)


def _frames(connection: duckdb.DuckDBPyConnection, asked: Sequence[_Asked]) -> list[list[Row]]:
    where = "timestamp_s BETWEEN ? AND ? AND frame_index > ? ORDER BY frame_index LIMIT ?"
    picks = [Pick(one.source.version_id, where, (one.from_s, one.to_s, one.after[0], one.limit + 1)) for one in asked]
    return pick(connection, FRAME, "frames", picks, by=("frame_index",))


def _boxes(one: _Asked, stretch: Row) -> Pick:
    where = "frame_index BETWEEN ? AND ? AND (frame_index > ? OR detection_index > ?)"
    values: list[Any] = [stretch["first"], stretch["last"], *one.after]
    if one.class_name is not None:
        where += " AND class_name = ?"
        values.append(one.class_name)
    where += " ORDER BY frame_index, detection_index LIMIT ?"
    return Pick(one.source.version_id, where, (*values, one.limit + 1))


def _pages(
    asked: Sequence[_Asked],
    found: Sequence[list[Row]],
    item: Callable[[Row], T],
    page: type[Page[T]],
    place: Callable[[Row], AtRow],
) -> list[Page[T]]:
    return [_page(one, of_it, item, page, place) for one, of_it in zip(asked, found, strict=True)]


def _page(
    one: _Asked, found: list[Row], item: Callable[[Row], T], page: type[Page[T]], place: Callable[[Row], AtRow]
) -> Page[T]:
    kept = found[: one.limit]
    next_cursor = encode(one.question, place(kept[-1])) if len(found) > one.limit else None
    return page(source=one.source, items=[item(row) for row in kept], next_cursor=next_cursor)


def _asked(connection: duckdb.DuckDBPyConnection, ranges: Sequence[Range], kind: str) -> list[_Asked]:
    if not ranges:
        return []
    videos = shown(connection, [wanted.video_id for wanted in ranges])
    questions = [_question(kind, wanted) for wanted in ranges]
    places = [
        decode(wanted.cursor, question, AtRow) if wanted.cursor is not None else None
        for wanted, question in zip(ranges, questions, strict=True)
    ]
    held = of_versions(connection, [place.version_id for place in places if place], any_of_shown_videos=True)
    asked = []
    for wanted, question, place in zip(ranges, questions, places, strict=True):
        video = videos[wanted.video_id]
        from_s, to_s = require_within(video, wanted.from_s, wanted.to_s)
        source = video.source if place is None else held.get(place.version_id)
        if source is None or source.video_id != wanted.video_id:
            what = f"belongs to a version of {wanted.video_id} whose rows are in the archive."
            raise wrong(wanted.cursor or "", what)
        after = (-1, -1) if place is None else (place.index, place.rank)
        asked.append(_Asked(source, question, from_s, to_s, after, wanted.limit, wanted.class_name))
    return asked


def _question(kind: str, wanted: Range) -> dict[str, Any]:
    return {"kind": kind, **wanted.model_dump(exclude={"limit", "cursor"})}


def _at_frame(row: Row) -> AtRow:
    return AtRow(version_id=row["version_id"], index=row["frame_index"])


def _at_segment(row: Row) -> AtRow:
    return AtRow(version_id=row["version_id"], index=row["segment_index"])


def _at_detection(row: Row) -> AtRow:
    return AtRow(version_id=row["version_id"], index=row["frame_index"], rank=row["detection_index"])
