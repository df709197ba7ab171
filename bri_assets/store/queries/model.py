"""What the reads are asked and what they answer: times in seconds from the container's start, boxes in pixels.

Every answer about a video says of which version it is, and every fact says what shows it: the frame, its time and its
image. What does not belong here: how an answer is found, and the small things that answers are made of (``parts``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar

from pydantic import Field, field_validator

from bri_assets.store.queries.parts import (
    Box,
    Caption,
    ClassSeen,
    Detection,
    Evidence,
    Frame,
    FrameKey,
    Interval,
    Model,
    Scene,
    Segment,
    Source,
    Text,
)

__all__ = [
    "Around",
    "Box",
    "Caption",
    "ClassSeen",
    "Counts",
    "Detection",
    "Evidence",
    "Frame",
    "FrameAt",
    "FrameKey",
    "Interval",
    "Library",
    "LibraryEntry",
    "LibraryFilter",
    "Model",
    "Moment",
    "ObjectsInVideo",
    "ObjectsPage",
    "Page",
    "Range",
    "Scene",
    "Segment",
    "SegmentAt",
    "Source",
    "State",
    "Text",
    "Timeline",
    "VersionTexts",
    "VideoFacts",
    "VisibleVersion",
]

T = TypeVar("T")


class FrameAt(Model):
    """A frame and the version that it is of."""

    source: Source
    frame: Frame


class Moment(Model):
    """A question about a time of a video."""

    video_id: str
    at_s: float = Field(ge=0, description="The time in seconds.")
    within_s: float = Field(5.0, ge=0, le=600, description="How far around it to look, in seconds.")


class Range(Model):
    """A question about a stretch of a video, page by page."""

    video_id: str
    from_s: float = Field(0.0, ge=0, description="Start of the stretch in seconds, included.")
    to_s: float | None = Field(None, ge=0, description="End of the stretch in seconds, included; default: the video's.")
    limit: int = Field(50, ge=1, le=500, description="Most rows on a page.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before; it holds the version that it read.")
    class_name: str | None = Field(None, description="Detections of this class only.")


class VideoFacts(Model):
    """The facts of a video and of the version that is shown."""

    source: Source
    duration_s: float
    fps: float
    width: int
    height: int
    has_audio: bool
    size_bytes: int
    sha256: str
    committed_at: datetime
    created_at: datetime
    sample_interval_s: float
    sample_slots: int
    empty_slots: list[int]
    frames: int
    captions: int
    transcript_segments: int
    detections: int
    transcript_outcome: str
    classes: list[ClassSeen] = Field(description="What the detector saw, in most frames first.")
    languages: list[str] = Field(description="Languages that are spoken.")


class Counts(Model):
    """Rows of a video's current version, by table, and whether they are all there."""

    source: Source
    frames: int
    captions: int
    transcript_segments: int
    detections: int
    transcript_outcome: str
    complete: bool = Field(description="Every frame has a caption, and every slot a frame or a reason.")


class Around(Model):
    """Everything around a time."""

    source: Source
    at_s: float
    from_s: float
    to_s: float
    nearest: Frame = Field(description="The frame that is nearest to the time.")
    frames: list[Frame] = Field(description="Frames of the stretch in their order, at most 100.")
    segments: list[Segment] = Field(description="Speech that touches the stretch, at most 100.")
    detections: list[Detection] = Field(description="Objects in the nearest frame.")
    cut: bool = Field(description="There is more in the stretch than is given here.")


class SegmentAt(Model):
    """The speech at a time."""

    source: Source
    at_s: float
    segment: Segment | None = Field(description="What is being said at that time; null where nothing is.")
    before: Segment | None = Field(description="The last segment that ends before it.")
    after: Segment | None = Field(description="The first segment that begins after it.")


class Page(Model, Generic[T]):
    """A page of rows of one version; its cursor stays with that version, whatever is committed meanwhile."""

    source: Source
    items: list[T]
    next_cursor: str | None = Field(description="For the next page; null on the last.")


class ObjectsInVideo(Model):
    """When objects of a class, or of several classes together, are seen in a video."""

    source: Source
    class_names: list[str] = Field(description="The classes that are seen together in each frame of the intervals.")
    frames: int = Field(description="Frames in which they are seen, those of intervals left out here included.")
    intervals: list[Interval] = Field(description="In their order, at most 200.")
    cut: bool = Field(description="There are more intervals than are given here.")


class ObjectsPage(Model):
    """A page of the videos in which objects are seen, the newest video first."""

    items: list[ObjectsInVideo]
    next_cursor: str | None = Field(description="For the next page; null on the last.")


class Timeline(Model):
    """A video in short: its scenes in their order."""

    source: Source
    duration_s: float
    summary: str = Field(description="A few lines for a reader who has seen nothing of it.")
    scenes: list[Scene] = Field(description="At most 200.")
    cut: bool = Field(description="There are more scenes than are given here.")


class LibraryFilter(Model):
    """Which videos and uploads are wanted; what is not named does not matter."""

    state: Literal["committed", "ingesting", "quarantined", "failed", "deleted"] | None = None
    arrived_after: datetime | None = Field(None, description="Arrived then or later; without a zone it is UTC.")
    arrived_before: datetime | None = Field(None, description="Arrived earlier; without a zone it is UTC.")
    class_name: str | None = Field(None, description="Videos in which this class is seen.")
    text: str | None = Field(
        None, max_length=200, description="Part of the file name, of a caption or of what is said."
    )
    limit: int = Field(20, ge=1, le=200)
    cursor: str | None = None

    @field_validator("arrived_after", "arrived_before")
    @classmethod
    def _in_utc(cls, when: datetime | None) -> datetime | None:
        return when.replace(tzinfo=UTC) if when is not None and when.tzinfo is None else when


class LibraryEntry(Model):
    """A video or an upload, and what became of it."""

    upload_id: str | None
    video_id: str | None
    filename: str
    state: str
    code: str | None = Field(description="One word for why it was refused or failed.")
    reason: str | None
    arrived_at: datetime
    version: int | None
    version_id: int | None
    committed_at: datetime | None
    duration_s: float | None
    has_audio: bool | None
    frames: int | None
    captions: int | None
    transcript_segments: int | None
    detections: int | None


class Library(Model):
    """A page of the library, newest first."""

    items: list[LibraryEntry]
    next_cursor: str | None


class State(Model):
    """What readers are shown at this moment, for a cache: two equal states show the same."""

    versions: dict[str, int] = Field(description="``version_id`` of each video that was asked about and is shown.")
    library: str = Field(description="A fingerprint of every video that is shown with its version.")
    event_id: int = Field(description="The newest event of the audit log; whatever changes raises it.")
    store: str = Field(description="Which store this is: differs between any two stores.")


class VisibleVersion(Model):
    """A version that is shown now."""

    video_id: str
    version_id: int = Field(description="Number of the version in the whole store.")
    version: int = Field(description="Number of the version among the video's versions, from 1.")
    filename: str
    committed_at: datetime = Field(description="When the version was committed, UTC.")


class VersionTexts(Model):
    """Everything that was put into words of a version: captions in the order of frames, then segments."""

    version_id: int
    video_id: str
    filename: str
    version: int
    committed_at: datetime
    texts: list[Text]
