"""Whether an answer is right: the right thing, at the right time, shown by the right frames.

A frame is right when its time lies where the thing is, and when its image looks like the clip at that time, decoded
anew. What does not belong here: what is true (``asked``) and how a question is put (``ways``).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bri_assets_tests.questions.asked import Question, Seen

__all__ = ["Answer", "Found", "Shown", "problems"]

#: How far a time may be off, in seconds; what is shown changes at sampled times only.
_NEAR_S = 0.6

#: Hits of a search among which a right one has to be.
_FIRST = 5

#: Mean difference of two pictures of one moment, of 255: what JPEG and another size cost.
_ALIKE = 12.0


@dataclass(frozen=True)
class Shown:
    """A frame that an answer gives as its evidence."""

    frame_index: int
    timestamp_s: float
    image_path: str


@dataclass(frozen=True)
class Found:
    """A part of an answer."""

    clip: str
    start_s: float
    end_s: float
    text: str = ""
    evidence: tuple[Shown, ...] = ()
    #: What is said begins between two frames; its evidence is the one before.
    spoken: bool = False


@dataclass(frozen=True)
class Answer:
    """An answer as every way gives it: in the order of the way, with the fields that a question of facts asks for."""

    found: tuple[Found, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def problems(question: Question, answer: Answer, folder: Path, image: Callable[[str, int], bytes]) -> Iterator[str]:
    """What is wrong with an answer; nothing where it is right.

    Args:
        question: as it was put.
        answer: what came back.
        folder: of the clips.
        image: gives a frame's JPEG by clip and frame index, the way that the answer came.
    """
    for name, value in question.facts.items():
        if answer.facts.get(name) != value:
            yield f"{name} is {answer.facts.get(name)!r}, not {value!r}"
    found = answer.found[:_FIRST] if question.read == "search" and not question.only else answer.found
    for true in question.true:
        right = [one for one in found if _is(question, one, true)]
        if not right:
            yield f"{true} is not among {[(one.clip, one.start_s, one.end_s, one.text) for one in found]}"
        for one in right:
            yield from _unproven(one, true, folder, image)
    if question.read == "search" and question.true and not any(_is(question, found[0], t) for t in question.true):
        yield f"the first hit is {found[0]}"
    if question.only:
        wrong = [one for one in found if not any(_is(question, one, true) for true in question.true)]
        yield from (f"{one} is wrong" for one in wrong if one.clip not in question.also)


def _is(question: Question, found: Found, true: Seen) -> bool:
    if found.clip != true.clip or not all(word in found.text.lower() for word in true.words):
        return False
    if question.read in ("objects", "scenes"):
        return abs(found.start_s - true.from_s) < _NEAR_S and abs(found.end_s - true.to_s) < _NEAR_S
    return true.from_s - _NEAR_S <= found.start_s and found.end_s <= true.to_s + _NEAR_S


def _unproven(found: Found, true: Seen, folder: Path, image: Callable[[str, int], bytes]) -> Iterator[str]:
    if not found.evidence:
        yield f"{found} shows nothing"
    for shown in found.evidence:
        near = found.start_s - 2.0 - _NEAR_S <= shown.timestamp_s <= found.start_s + _NEAR_S
        within = true.from_s - 0.01 <= shown.timestamp_s <= true.to_s + 0.01
        if not (near if found.spoken else within):
            yield f"frame {shown.frame_index} at {shown.timestamp_s} s does not show {true}"
        given, real = (
            _small(image(found.clip, shown.frame_index)),
            _picture(folder / f"{found.clip}.mp4", shown.timestamp_s),
        )
        if np.abs(given - real).mean() > _ALIKE:
            yield f"the image of frame {shown.frame_index} is not the clip's at {shown.timestamp_s} s"


def _small(jpeg: bytes) -> NDArray[np.float32]:
    with Image.open(io.BytesIO(jpeg)) as picture:
        return _shrunk(picture)


@cache
def _picture(path: Path, at_s: float) -> NDArray[np.float32]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= at_s - 1e-3:
                return _shrunk(frame.to_image())
    raise AssertionError(f"{path} has no frame at {at_s} s")


def _shrunk(picture: Image.Image) -> NDArray[np.float32]:
    return np.asarray(picture.convert("RGB").resize((80, 45)), dtype=np.float32)
