"""From rows of the database to what a reader is told: one function for each small part of an answer.

What does not belong here: which rows are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb

from bri_assets.errors import StoreDamaged
from bri_assets.store.queries.model import Box, Caption, Detection, Evidence, Frame, Segment, Source

__all__ = [
    "EVIDENCE",
    "Row",
    "caption",
    "caption_text",
    "detection",
    "evidence",
    "frame",
    "numbers",
    "records",
    "segment",
    "source",
]

Row = dict[str, Any]

#: The columns of ``frames`` that an ``Evidence`` is made of.
EVIDENCE = "frame_index, timestamp_s, image_path, image_sha256"


def records(found: duckdb.DuckDBPyConnection) -> list[Row]:
    """What a statement found, each row by the names of its columns."""
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def numbers(version_ids: Iterable[int]) -> str:
    """Versions as the inside of ``IN (…)``: written out, DuckDB skips every row group that holds none of them."""
    return ", ".join(str(int(version_id)) for version_id in sorted(set(version_ids))) or "NULL"


def source(row: Row) -> Source:
    """The version that a row is of."""
    return Source(
        video_id=row["video_id"], filename=row["filename"], version=row["version"], version_id=row["version_id"]
    )


def evidence(row: Row) -> Evidence:
    """The frame that a row names."""
    return Evidence(
        frame_index=row["frame_index"],
        timestamp_s=row["timestamp_s"],
        image_path=row["image_path"],
        image_sha256=row["image_sha256"],
    )


def frame(row: Row) -> Frame:
    """A frame with its caption and its objects, most of a class first.

    Raises:
        StoreDamaged: it has no caption, though every committed frame has one.
    """
    objects = sorted((row["objects"] or {}).items(), key=lambda seen: (-seen[1], seen[0]))
    return Frame(
        evidence=evidence(row),
        width=row["width"],
        height=row["height"],
        caption=caption_text(row),
        caption_confidence=row["caption_confidence"],
        objects=dict(objects),
    )


def caption(row: Row) -> Caption:
    """A caption; raises as ``frame``."""
    return Caption(text=caption_text(row), confidence=row["caption_confidence"], evidence=evidence(row))


def segment(row: Row) -> Segment:
    """A stretch of speech."""
    return Segment(
        segment_index=row["segment_index"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        text=row["text"],
        confidence=row["confidence"],
        language=row["language"],
        no_speech_prob=row["no_speech_prob"],
        evidence=evidence(row),
    )


def detection(row: Row) -> Detection:
    """An object in a frame."""
    return Detection(
        frame_index=row["frame_index"],
        detection_index=row["detection_index"],
        timestamp_s=row["timestamp_s"],
        class_name=row["class_name"],
        confidence=row["confidence"],
        box=Box(x1=row["x1"], y1=row["y1"], x2=row["x2"], y2=row["y2"]),
    )


def caption_text(row: Row) -> str:
    """The caption of a frame; raises as ``frame``."""
    if row["caption"] is None:
        what = f"frame {row['frame_index']} of version {row['version_id']} has no caption any more."
        raise StoreDamaged("the store", what, "Run `bri verify`; somebody changed the database by hand.")
    return str(row["caption"])
