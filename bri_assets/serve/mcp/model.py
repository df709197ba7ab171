"""What the tools answer, as data.

Field names are those of ``store.queries.model`` and of the search's and the memory's models. What does not belong here:
single rows (``rows``) and how an answer reads as text (``text`` and the tools).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from bri_assets.serve.mcp.rows import (
    CaptionShown,
    DetectionShown,
    FrameShown,
    IntervalShown,
    SceneShown,
    SegmentShown,
    Shown,
    Shows,
)
from bri_assets.store.queries.model import ClassSeen, Counts, LibraryEntry, Source

__all__ = [
    "Forgotten",
    "FrameImage",
    "Hit",
    "MessageShown",
    "MomentShown",
    "Moments",
    "Objects",
    "ObjectsShown",
    "Recalled",
    "Remembered",
    "Rows",
    "RowsOfVideo",
    "Searched",
    "Searches",
    "TableCounts",
    "VideoShown",
    "Videos",
    "VideosDescribed",
]


class Answer(Shown):
    """Base of what a tool answers."""

    note: str | None = Field(description="What was left out so that the answer is short, and how to get it; else null.")


class Videos(Answer):
    """A page of the library, newest first."""

    items: list[LibraryEntry]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")


class VideoShown(Shown):
    """A video in short."""

    source: Source
    duration_s: float
    fps: float
    width: int
    height: int
    has_audio: bool
    committed_at: datetime
    sample_interval_s: float = Field(description="Seconds from one sampled frame to the next.")
    frames: int
    captions: int
    transcript_segments: int
    detections: int
    transcript_outcome: str = Field(description="`transcribed`, or why there are no words.")
    languages: list[str]
    classes: list[ClassSeen] = Field(description="What the detector saw, in most frames first.")
    summary: str
    scenes: list[SceneShown]
    next_from_s: float | None = Field(description="Give it as `from_s` for the scenes that follow; null at the end.")
    cut: bool = Field(description="There are more than the first 200 scenes, of which these are.")


class VideosDescribed(Answer):
    """Videos in short."""

    videos: list[VideoShown]


class MomentShown(Shown):
    """Everything around a time of a video."""

    source: Source
    at_s: float
    from_s: float
    to_s: float
    nearest: FrameShown = Field(description="The frame that is nearest to the time.")
    detections: list[DetectionShown] = Field(description="Objects in the nearest frame.")
    said: SegmentShown | None = Field(description="What is being said at that time; null where nothing is.")
    said_before: SegmentShown | None = Field(description="The last segment that ends before it.")
    said_after: SegmentShown | None = Field(description="The first segment that begins after it.")
    frames: list[FrameShown] = Field(description="Frames of the stretch in their order.")
    segments: list[SegmentShown] = Field(description="Speech that touches the stretch.")
    cut: bool = Field(description="There is more in the stretch than is given here.")


class Moments(Answer):
    """Everything around each time that was asked for."""

    moments: list[MomentShown]


class ObjectsShown(Shown):
    """When objects of a class, or of several classes together, are seen in a video."""

    source: Source
    class_names: list[str]
    intervals: list[IntervalShown]
    next_from_s: float | None = Field(description="Give it as `from_s` for the intervals that follow; else null.")
    cut: bool = Field(description="There are more than the first 200 intervals, of which these are.")


class Objects(Answer):
    """Where objects are seen, newest video first."""

    videos: list[ObjectsShown]
    next_cursor: str | None = Field(description="Give it as `cursor` for further videos; null at the end.")


class Hit(Shown):
    """A caption or a stretch of speech that answers a search."""

    source: Source
    kind: Literal["caption", "segment"]
    row_index: int = Field(description="The caption's frame_index, or the segment's segment_index.")
    start_s: float
    end_s: float
    text: str
    score: float = Field(description="For the order of this answer only, the best first.")
    matched_by: list[Literal["keyword", "semantic"]]
    evidence: Shows


class Searched(Shown):
    """What was found for one text."""

    text: str
    mode: str = Field(description="How it was searched.")
    hits: list[Hit]
    complete: bool = Field(description="Every committed text was searched.")
    index: str = Field(description="State of the index: `current`, `behind`, `missing` or `unusable`.")
    said: str = Field(description="What the state of the index means for this answer.")


class Searches(Answer):
    """What was found for each text."""

    answers: list[Searched]


class RowsOfVideo(Shown):
    """Rows of a stretch of one video; those of the table that was asked for."""

    source: Source
    frames: list[FrameShown] | None = None
    captions: list[CaptionShown] | None = None
    segments: list[SegmentShown] | None = None
    detections: list[DetectionShown] | None = None
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")


class Rows(Answer):
    """Rows of a stretch of each video."""

    table: Literal["frames", "captions", "segments", "detections"]
    pages: list[RowsOfVideo]


class FrameImage(Answer):
    """A frame, whose picture is the answer's image."""

    source: Source
    evidence: Shows
    caption: str
    objects: dict[str, int]
    width: int = Field(description="Width of the frame in pixels; boxes are in these.")
    height: int
    shown_width: int = Field(description="Width of the picture that is given here, in pixels.")
    shown_height: int


class TableCounts(Answer):
    """Rows of videos, by table."""

    videos: list[Counts]
    total_videos: int = Field(description="Videos that were counted, also those that are not listed here.")
    total_frames: int
    total_captions: int
    total_transcript_segments: int
    total_detections: int
    incomplete_videos: int = Field(description="Videos in which a frame or a caption is missing without a reason.")
    next_after: str | None = Field(description="Give it as `after` for further videos; null at the end.")


class MessageShown(Shown):
    """A message of an earlier conversation."""

    message_id: int
    turn_id: str
    conversation_id: str
    video_id: str | None
    role: Literal["user", "assistant"]
    content: str = Field(description="What was said; a long one is cut.")
    characters: int = Field(description="Length of the whole content.")
    next_character: int | None = Field(description="Where `content` was cut, for `from_character`; null at its end.")
    created_at: datetime
    created_by: str


class Remembered(Answer):
    """A turn that is kept."""

    turn_id: str
    message_ids: list[int]


class Recalled(Answer):
    """Messages of earlier conversations, oldest first."""

    messages: list[MessageShown]
    total: int | None = Field(description="Messages that there are of what was asked for; null for a single message.")
    next_cursor: str | None = Field(description="Give it as `cursor` for later messages; null at the end.")


class Forgotten(Answer):
    """How much was forgotten."""

    messages: int
