"""Frame images on disk: written whole or not at all, read back, and named by what they hold.

Belongs here: one image and its folder. Does not belong here: which frames are kept (``sampling``) and which images a
version refers to (``store``).

A name is the frame's index and the first 12 hex digits of the content's SHA-256. So another run never overwrites an
image that a committed version refers to, and one that is already there need not be written again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bri_assets.errors import ImageDamaged
from bri_assets.files import sha256_bytes, write_atomically

__all__ = ["StoredImage", "write_image"]

_DAMAGED = "Remove the file and materialize 'frames' of this video again."


@dataclass(frozen=True)
class StoredImage:
    """An image that lies on disk and was read back from there.

    Attributes:
        path: of the file.
        sha256: of the file's bytes, 64 lower-case hex digits.
        width: pixels.
        height: pixels.
        phash: 64-bit perceptual hash as 16 hex digits (``imagehash.phash``: DCT of a 32x32 grey image, its lowest 8x8
            coefficients against their median). Similar pictures differ in few bits.
    """

    path: Path
    sha256: str
    width: int
    height: int
    phash: str


def write_image(image: NDArray[np.uint8], folder: Path, frame_index: int, quality: int) -> StoredImage:
    """Store one image as ``<frame_index:06d>-<12 hex digits>.jpg`` and read it back.

    The name is on disk for sure only after ``files.sync_folder``.

    Args:
        image: (height, width, 3) BGR.
        folder: where; made if it is missing.
        frame_index: >= 0.
        quality: of the JPEG, 1 to 100.

    Raises:
        ImageDamaged: what lies on disk is not what was written, cannot be decoded or has another size; or another file
            already has that name. It is never overwritten.
        StorageFailed: the file system refused the write (full, read-only, no permission …); nothing of it remains.
        ValueError: the array is not such an image, or the index or the quality is out of range.
    """
    content = _encoded(image, frame_index, quality)
    sha256 = sha256_bytes(content)
    path = folder / f"{frame_index:06d}-{sha256[:12]}.jpg"
    if not path.exists():
        write_atomically(path, content, sync_name=False)
    height, width = image.shape[:2]
    return StoredImage(path, sha256, width, height, _read_back(path, sha256, (height, width)))


def _encoded(image: NDArray[np.uint8], frame_index: int, quality: int) -> bytes:
    import cv2

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"an image is (height, width, 3) of uint8, not {image.shape} of {image.dtype}")
    if frame_index < 0 or not 1 <= quality <= 100:
        raise ValueError(f"frame_index {frame_index} must be >= 0 and quality {quality} 1 to 100")
    if max(image.shape[:2]) > 65_500:
        raise ValueError(f"a JPEG is at most 65500 pixels wide and high, not {image.shape[1]}x{image.shape[0]}")
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV cannot encode an image of {image.shape}")
    return encoded.tobytes()


def _read_back(path: Path, sha256: str, shape: tuple[int, int]) -> str:
    """Return the perceptual hash of a stored image after comparing it with what was written."""
    import cv2
    import imagehash
    from PIL import Image

    content = _content_of(path)
    if sha256_bytes(content) != sha256:
        raise ImageDamaged(path, "the file does not hold the image that was written there.", _DAMAGED)
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None or decoded.shape[:2] != shape:
        found = "nothing" if decoded is None else f"{decoded.shape[1]}x{decoded.shape[0]} pixels"
        raise ImageDamaged(path, f"{shape[1]}x{shape[0]} pixels were stored, but {found} could be decoded.", _DAMAGED)
    return str(imagehash.phash(Image.fromarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))))


def _content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageDamaged(path, "the image is missing.", "Materialize 'frames' of this video again.") from error
    except OSError as error:
        raise ImageDamaged(path, f"the image cannot be read: {error.strerror}.", _DAMAGED) from error
