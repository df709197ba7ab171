"""A stored frame as the models take it: where its image lies and how large it is.

What does not belong here: sampling and storing frames (`media`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bri_assets.errors import ImageDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FrameImage", "batches", "read_rgb", "spoken_range"]


@dataclass(frozen=True)
class FrameImage:
    """One frame's image on disk.

    Attributes:
        frame_index: the frame's key within its video, from 0.
        path: the stored JPEG. What a model sees is read from it, so that the evidence kept is what was seen.
        width: width in pixels, at least 1.
        height: height in pixels, at least 1.
    """

    frame_index: int
    path: Path
    width: int
    height: int


def read_rgb(frame: FrameImage) -> NDArray[np.uint8]:
    """Read a frame's stored image.

    Returns:
        The picture, shape (height, width, 3), red, green, blue, 0 to 255, contiguous.

    Raises:
        ImageDamaged: the file is missing, is no image, or has another size than the frame says.
    """
    import cv2
    import numpy as np

    remedy = "Rematerialize the asset frames of this video."
    subject = f"frame {frame.frame_index} ({frame.path})"
    try:
        data = np.frombuffer(frame.path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise ImageDamaged(subject, f"the image cannot be read ({error.strerror}).", remedy) from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
        raise ImageDamaged(subject, "the file is not an image that can be decoded.", remedy)
    height, width = picture.shape[:2]
    if (width, height) != (frame.width, frame.height):
        what = f"the image is {width}×{height}, but its frame is {frame.width}×{frame.height}."
        raise ImageDamaged(subject, what, remedy)
    rgb: NDArray[np.uint8] = np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8, copy=False)
    return rgb


def batches(frames: Sequence[FrameImage], size: int) -> Iterator[Sequence[FrameImage]]:
    """Cut frames into runs of at most `size`, in order."""
    for start in range(0, len(frames), size):
        yield frames[start : start + size]


def spoken_range(frames: Sequence[FrameImage]) -> str:
    """Name the frames of a batch for an error, as `frame 3` or `frames 8 to 15`."""
    first, last = frames[0].frame_index, frames[-1].frame_index
    return f"frame {first}" if len(frames) == 1 else f"frames {first} to {last}"
