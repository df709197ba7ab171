"""Rows as the tools show them: the reads' own words, as short as a context window wants them.

Field names are those of ``store.queries.model``; what is left out is what no agent has a use for. What does not belong
here: what a whole answer holds (``model``), and how a row reads as text (``reading``).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from bri_assets.store.queries.model import Caption, Detection, Evidence, Frame, Interval, Scene, Segment

__all__ = [
    "CaptionShown",
    "DetectionShown",
    "FrameShown",
    "IntervalShown",
    "SceneShown",
    "SegmentShown",
    "Shown",
    "Shows",
]

#: Longest texts that an answer repeats, in characters.
_CAPTION, _SPEECH, _WORDS = 300, 600, 300


class Shown(BaseModel):
    """Base of all: frozen, and nothing but what is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Shows(Shown):
    """The frame that shows it: evidence."""

    frame_index: int = Field(description="Sample slot of the frame, from 0; show_frame takes it.")
    timestamp_s: float = Field(description="Time of the frame in seconds.")
    image_path: str = Field(description="Its JPEG, relative to BRI_HOME.")

    @classmethod
    def of(cls, evidence: Evidence) -> Shows:
        """Without the hash, which the server itself compares."""
        return cls(
            frame_index=evidence.frame_index,
            timestamp_s=evidence.timestamp_s,
            image_path=evidence.image_path,
        )


class FrameShown(Shown):
    """A sampled frame."""

    evidence: Shows
    caption: str = Field(description="What is seen in it, in the captioner's words.")
    caption_confidence: float = Field(description="0 to 1.")
    objects: dict[str, int] = Field(description="How many objects of each class the detector sees.")

    @classmethod
    def of(cls, frame: Frame) -> FrameShown:
        """With a caption of a bounded length."""
        return cls(
            evidence=Shows.of(frame.evidence),
            caption=_short(frame.caption, _CAPTION),
            caption_confidence=frame.caption_confidence,
            objects=frame.objects,
        )


class CaptionShown(Shown):
    """What is seen in a frame, in words."""

    text: str
    confidence: float = Field(description="0 to 1.")
    evidence: Shows

    @classmethod
    def of(cls, caption: Caption) -> CaptionShown:
        """With a text of a bounded length."""
        return cls(
            text=_short(caption.text, _CAPTION),
            confidence=caption.confidence,
            evidence=Shows.of(caption.evidence),
        )


class SegmentShown(Shown):
    """A stretch of speech."""

    segment_index: int
    start_s: float
    end_s: float
    text: str = Field(description="The words.")
    confidence: float = Field(description="0 to 1.")
    language: str
    evidence: Shows = Field(description="The last frame at or before its start, else the first after it.")

    @classmethod
    def of(cls, segment: Segment) -> SegmentShown:
        """With a text of a bounded length."""
        return cls(
            segment_index=segment.segment_index,
            start_s=segment.start_s,
            end_s=segment.end_s,
            text=_short(segment.text, _SPEECH),
            confidence=segment.confidence,
            language=segment.language,
            evidence=Shows.of(segment.evidence),
        )


class DetectionShown(Shown):
    """One object in one frame."""

    frame_index: int
    timestamp_s: float
    class_name: str
    confidence: float = Field(description="0 to 1.")
    box: list[float] = Field(description="x1, y1, x2, y2 in pixels of the frame's image, from its top left corner.")

    @classmethod
    def of(cls, found: Detection) -> DetectionShown:
        """With pixels to a tenth."""
        box = found.box
        return cls(
            frame_index=found.frame_index,
            timestamp_s=found.timestamp_s,
            class_name=found.class_name,
            confidence=found.confidence,
            box=[round(edge, 1) for edge in (box.x1, box.y1, box.x2, box.y2)],
        )


class IntervalShown(Shown):
    """A stretch in which something is seen in every sampled frame, but for gaps that are too short to count."""

    start_s: float = Field(description="Time of the first frame with it.")
    end_s: float = Field(description="Time of the next sampled frame without it, or the video's end.")
    frames: int
    most_at_once: int = Field(description="Most objects of the class in one frame.")
    confidence: float = Field(description="The best confidence, 0 to 1.")
    first: Shows = Field(description="The first frame with it.")
    best: Shows = Field(description="The frame in which it is seen best.")
    last: Shows = Field(description="The last frame with it.")

    @classmethod
    def of(cls, interval: Interval) -> IntervalShown:
        """The same, without hashes."""
        return cls(
            start_s=interval.start_s,
            end_s=interval.end_s,
            frames=interval.frames,
            most_at_once=interval.most_at_once,
            confidence=interval.confidence,
            first=Shows.of(interval.first),
            best=Shows.of(interval.best),
            last=Shows.of(interval.last),
        )


class SceneShown(Shown):
    """A stretch of a video that looks alike."""

    scene_index: int
    start_s: float
    end_s: float
    caption: str
    classes: dict[str, int] = Field(description="Frames of the scene with each class.")
    words: str = Field(description="What is said in it, the beginning.")
    evidence: Shows = Field(description="The frame that stands for it.")

    @classmethod
    def of(cls, scene: Scene) -> SceneShown:
        """With texts of a bounded length."""
        return cls(
            scene_index=scene.scene_index,
            start_s=scene.start_s,
            end_s=scene.end_s,
            caption=_short(scene.caption, _CAPTION),
            classes=scene.classes,
            words=_short(scene.words, _WORDS),
            evidence=Shows.of(scene.evidence),
        )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
