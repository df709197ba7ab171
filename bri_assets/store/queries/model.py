"""What the reads are asked and what they answer: times in seconds from the container's start, boxes in pixels.

Every answer about a video says of which version it is, and every fact says what shows it: the frame, its time and its
image. What does not belong here: how an answer is found.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Around",
    "Box",
    "Caption",
    "ClassSeen",
    "Counts",
    "Detection",
    "Evidence",
    "Frame",
    "Interval",
    "Library",
    "LibraryEntry",
    "LibraryFilter",
    "Moment",
    "ObjectsInVideo",
    "Page",
    "Range",
    "Scene",
    "Segment",
    "SegmentAt",
    "Source",
    "State",
    "Timeline",
    "VideoFacts",
]

T = TypeVar("T")


class Model(BaseModel):
    """Base of all: frozen, and nothing but what is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Model):
    """Which version of which video an answer is of."""

    video_id: str = Field(description="The video's id.")
    filename: str = Field(description="Name of its file.")
    version: int = Field(description="Number of the version among the video's versions, from 1.")
    version_id: int = Field(description="Number of the version in the whole store.")


class Evidence(Model):
    """The frame that shows it."""

    frame_index: int = Field(description="Sample slot of the frame, from 0.")
    timestamp_s: float = Field(description="Time of the frame in seconds.")
    image_path: str = Field(description="Its JPEG, relative to BRI_HOME.")
    image_sha256: str = Field(description="SHA-256 of the JPEG's bytes.")


class Box(Model):
    """A box in pixels of the frame's image, from its top left corner."""

    x1: float
    y1: float
    x2: float
    y2: float


class Detection(Model):
    """One object in one frame."""

    frame_index: int = Field(description="The frame in which it is seen.")
    detection_index: int = Field(description="Rank in its frame by confidence, from 0.")
    timestamp_s: float = Field(description="Time of the frame in seconds.")
    class_name: str = Field(description="What it is, in the detector's words.")
    confidence: float = Field(description="The detector's own confidence, 0 to 1.")
    box: Box


class Caption(Model):
    """What is seen in a frame, in words."""

    text: str
    confidence: float = Field(description="The captioner's own confidence, 0 to 1.")
    evidence: Evidence


class Frame(Model):
    """A sampled frame with all that is known of it."""

    evidence: Evidence
    width: int = Field(description="Width of the image in pixels.")
    height: int = Field(description="Height of the image in pixels.")
    caption: str
    caption_confidence: float = Field(description="0 to 1.")
    objects: dict[str, int] = Field(description="How many objects of each class the detector sees.")


class Segment(Model):
    """A stretch of speech."""

    segment_index: int = Field(description="Position of the segment in the video, from 0.")
    start_s: float
    end_s: float
    text: str
    confidence: float = Field(description="0 to 1.")
    language: str = Field(description="Language code, as `en`.")
    no_speech_prob: float = Field(description="Probability that nothing is said here, 0 to 1.")
    evidence: Evidence = Field(description="The last frame at or before its start, else the first after it.")


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


class ClassSeen(Model):
    """A class of object in a video."""

    class_name: str
    frames: int = Field(description="Frames in which it is seen.")
    detections: int
    first_s: float
    last_s: float


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


class Interval(Model):
    """A stretch in which something is seen in every sampled frame, but for gaps that are too short to count."""

    start_s: float = Field(description="Time of the first frame with it.")
    end_s: float = Field(description="Time of the next sampled frame without it, or the video's end.")
    frames: int = Field(description="Frames of the stretch in which it is seen.")
    most_at_once: int = Field(description="Most objects of the class in one frame.")
    confidence: float = Field(description="The best confidence, 0 to 1.")
    first: Evidence = Field(description="The first frame with it.")
    best: Evidence = Field(description="The frame in which it is seen best.")
    last: Evidence = Field(description="The last frame with it.")


class ObjectsInVideo(Model):
    """When objects of a class, or of several classes together, are seen in a video."""

    source: Source
    class_names: list[str] = Field(description="The classes that are seen together in each frame of the intervals.")
    intervals: list[Interval]


class Scene(Model):
    """A stretch of a video that looks alike."""

    scene_index: int
    start_s: float
    end_s: float
    frames: int
    caption: str = Field(description="The caption of the frame that stands for the scene.")
    classes: dict[str, int] = Field(description="Frames of the scene with each class.")
    words: str = Field(description="What is said in it, at most 500 characters.")
    evidence: Evidence = Field(description="The frame that stands for it.")


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
    arrived_after: datetime | None = None
    arrived_before: datetime | None = None
    class_name: str | None = Field(None, description="Videos in which this class is seen.")
    text: str | None = Field(
        None, max_length=200, description="Part of the file name, of a caption or of what is said."
    )
    limit: int = Field(20, ge=1, le=200)
    cursor: str | None = None


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
