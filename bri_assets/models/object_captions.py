"""Captions made of what the detector saw: a sentence that counts the objects of a frame and says where they are.

No model works here. It is chosen on purpose (`BRI_CAPTIONER=objects`) or where no caption model is on the machine
(`auto`), and its identity says so, that nobody takes the sentences for a caption model's. What does not belong here:
detecting.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from bri_assets.models.caption import Caption
from bri_assets.models.identity import ModelIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bri_assets.models.detector import Detection
    from bri_assets.models.frame import FrameImage

__all__ = ["NOTHING_SEEN", "ObjectsCaptioner", "sentence"]

#: The caption of a frame without detections.
NOTHING_SEEN = "No known object was found in this frame"

#: Shares of the frame's area from which an object is called large, and below which it is called small.
_LARGE, _SMALL = 0.25, 0.01
#: Edges of the middle third of a frame, as shares of its width and height.
_THIRDS = (1 / 3, 2 / 3)

_PLACES = {
    (0, 0): "at the top left",
    (1, 0): "at the top",
    (2, 0): "at the top right",
    (0, 1): "on the left",
    (1, 1): "in the centre",
    (2, 1): "on the right",
    (0, 2): "at the bottom left",
    (1, 2): "at the bottom",
    (2, 2): "at the bottom right",
}
#: Names of classes that are plural as they stand: one of them is a pair.
_PAIRS = frozenset({"scissors", "skis"})
#: Names of classes that have no plural.
_UNCOUNTED = frozenset({"broccoli"})


class ObjectsCaptioner(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Makes each frame's caption of its detections alone; a pure function of them and of the frame's size."""

    @property
    def needs_detections(self) -> bool:
        """True: the detections are all that it has."""
        return True

    def identity(self) -> ModelIdentity:
        """Name the sentence maker for the lineage.

        There are no weights: what decides the words is this module's source, so `weights_sha256` is the SHA-256 of that
        file. The lineage names the detections as its input beside it.
        """
        return ModelIdentity(
            tool="bri_assets.objects",
            tool_version=version("bri-assets"),
            model="objects",
            weights_sha256=hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
            parameters={"large": _LARGE, "small": _SMALL, "inflect": version("inflect")},
        )

    def caption(
        self, frames: Sequence[FrameImage], detections: Sequence[Detection], report: Callable[[int, int], None]
    ) -> list[Caption]:
        """Caption frames.

        Args:
            frames: the frames, in order; their images are not opened.
            detections: the detections of these frames, in any order.
            report: is told how many frames are done, and of how many.

        Returns:
            One caption a frame, in the same order. The confidence is the mean of the frame's detections' confidences:
            all of them are in the sentence. Of a frame in which nothing was found it is 0.0, for there is no
            detection that supports the sentence, and how sure the detector is that nothing is there it does not say.
        """
        seen: dict[int, list[Detection]] = {frame.frame_index: [] for frame in frames}
        for detection in detections:
            seen.get(detection.frame_index, []).append(detection)
        captions = [_caption(frame, seen[frame.frame_index]) for frame in frames]
        if frames:
            report(len(frames), len(frames))
        return captions


def _caption(frame: FrameImage, seen: list[Detection]) -> Caption:
    # summed in a fixed order, so that the order of the detections cannot change the last bit
    confidence = sum(sorted(one.confidence for one in seen)) / len(seen) if seen else 0.0
    return Caption(frame.frame_index, sentence(seen, frame.width, frame.height), confidence)


def sentence(seen: Sequence[Detection], width: int, height: int) -> str:
    """Say what is in a frame, as `A large person in the centre and 2 cups at the bottom right`.

    Objects of a class are counted together. Their size and place are named where all of them share it. The class that
    takes the most room comes first.

    Args:
        seen: the frame's detections, in any order.
        width: the frame's width, in pixels.
        height: the frame's height, in pixels.

    Returns:
        A sentence without a full stop, as caption models write them; `NOTHING_SEEN` for no detections.
    """
    if not seen:
        return NOTHING_SEEN
    by_class = sorted(seen, key=lambda one: one.class_name)
    groups = [list(group) for _, group in groupby(by_class, key=lambda one: one.class_name)]
    groups.sort(key=lambda group: (-sum(sorted(_area(one) for one in group)), group[0].class_name))
    phrases = [_phrase(group, width, height) for group in groups]
    listed = phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    return listed[0].upper() + listed[1:]


def _area(one: Detection) -> float:
    return (one.x2 - one.x1) * (one.y2 - one.y1)


def _phrase(group: list[Detection], width: int, height: int) -> str:
    """One class of objects: `a large person in the centre`, `2 cups`."""
    sizes = {_size(one, width * height) for one in group}
    places = {_place(one, width, height) for one in group}
    size = sizes.pop() if len(sizes) == 1 else ""
    place = places.pop() if len(places) == 1 else ""
    return " ".join(part for part in (_counted(group[0].class_name, len(group), size), place) if part)


def _size(one: Detection, frame_area: int) -> str:
    share = _area(one) / frame_area
    return "large" if share >= _LARGE else "small" if share < _SMALL else ""


def _place(one: Detection, width: int, height: int) -> str:
    across, down = (one.x1 + one.x2) / 2 / width, (one.y1 + one.y2) / 2 / height
    return _PLACES[sum(across >= edge for edge in _THIRDS), sum(down >= edge for edge in _THIRDS)]


@cache
def _counted(name: str, count: int, size: str) -> str:
    """A number of objects: `an apple`, `2 small knives`, `a pair of scissors`, `some large broccoli`."""
    import inflect

    english = inflect.engine()
    words = f"{size} {name}".strip()
    if name in _PAIRS:
        return f"a pair of {words}" if count == 1 else f"{count} pairs of {words}"
    if name in _UNCOUNTED:
        return f"some {words}" if count == 1 else f"{count} pieces of {words}"
    if count == 1:
        return str(english.a(words))
    return f"{count} {size} {english.plural_noun(name)}".replace("  ", " ")
