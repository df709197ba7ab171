"""Of what answers are made: a frame, a caption, a segment, an interval; times in seconds, boxes in pixels.

Every fact says what shows it: the frame, its time and its image. What does not belong here: questions, and answers as a
whole (``model``, which hands these on).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Box",
    "Caption",
    "ClassSeen",
    "Detection",
    "Evidence",
    "Frame",
    "FrameKey",
    "Interval",
    "Model",
    "Scene",
    "Segment",
    "Source",
    "Text",
]


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


class FrameKey(Model):
    """Which frame of which version."""

    version_id: int
    frame_index: int = Field(description="Sample slot of the frame, from 0.")


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


class ClassSeen(Model):
    """A class of object in a video."""

    class_name: str
    frames: int = Field(description="Frames in which it is seen.")
    detections: int
    first_s: float
    last_s: float


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


class Text(Model):
    """A caption or a segment of speech, as the search finds it."""

    kind: Literal["caption", "segment"]
    row_index: int = Field(description="``frame_index`` of a caption, ``segment_index`` of a segment.")
    start_s: float = Field(description="Time of a caption's frame, start of a segment.")
    end_s: float = Field(description="The same time for a caption, end of a segment.")
    text: str
    evidence: Evidence = Field(description="The caption's frame; of a segment, the last at or before its start.")
