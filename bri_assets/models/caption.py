"""What a caption is, and what every captioner offers. What does not belong here: any one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bri_assets.models.detector import Detection
from bri_assets.models.frame import FrameImage
from bri_assets.models.identity import ModelIdentity

__all__ = ["Caption", "Captioner"]


@dataclass(frozen=True)
class Caption:
    """What a frame shows, in words.

    Attributes:
        frame_index: the frame's key within its video, from 0.
        text: not empty, no space at its ends.
        confidence: 0 to 1, as the captioner that made it defines it.
    """

    frame_index: int
    text: str
    confidence: float


class Captioner(Protocol):
    """What every captioner offers."""

    @property
    def needs_detections(self) -> bool:
        """Whether `caption` looks at the detections."""

    def identity(self) -> ModelIdentity:
        """Name the captioner for the lineage."""

    def caption(
        self, frames: Sequence[FrameImage], detections: Sequence[Detection], report: Callable[[int, int], None]
    ) -> list[Caption]:
        """Caption frames: one caption a frame, in the same order."""
