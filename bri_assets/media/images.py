"""Frame images on disk: written whole or not at all, read back, and named by what they hold.

Belongs here: one image and its folder. Does not belong here: which frames are kept (``sampling``) and which images a
version refers to (``store``).

A name is the frame's index and the first 12 hex digits of the content's SHA-256. So another run never overwrites an
image that a committed version refers to, and one that is already there need not be written again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bri_assets.errors import ImageDamaged, StorageFailed

__all__ = ["StoredImage", "hash_image", "sync_folder", "write_image"]

_REMEDIES = {
    errno.ENOSPC: "Make room on that disk, then materialize the asset again.",
    errno.EDQUOT: "Make room in that quota, then materialize the asset again.",
    errno.EROFS: "Mount that file system for writing, or point BRI_HOME at another one.",
    errno.EACCES: "Give the account that runs the ingest permission to write there.",
    errno.EPERM: "Give the account that runs the ingest permission to write there.",
}
_REMEDY = "See that the folder is there and can be written to, then materialize the asset again."
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

    The name is on disk for sure only after ``sync_folder``.

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
    sha256 = hashlib.sha256(content).hexdigest()
    path = folder / f"{frame_index:06d}-{sha256[:12]}.jpg"
    with _storing(path, len(content)):
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write_whole(path, content)
    height, width = image.shape[:2]
    return StoredImage(path, sha256, width, height, _read_back(path, sha256, (height, width)))


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are on disk, so that they survive a power cut.

    Raises:
        StorageFailed: the file system refused.
    """
    with _storing(folder, 0):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def hash_image(path: Path) -> str:
    """Return the SHA-256 of a stored image's bytes, 64 lower-case hex digits.

    Raises:
        ImageDamaged: it is missing or cannot be read.
    """
    return hashlib.sha256(_content_of(path)).hexdigest()


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


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name and rename it once its bytes are on disk."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp lets only the owner read
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _read_back(path: Path, sha256: str, shape: tuple[int, int]) -> str:
    """Return the perceptual hash of a stored image after comparing it with what was written."""
    import cv2
    import imagehash
    from PIL import Image

    content = _content_of(path)
    if hashlib.sha256(content).hexdigest() != sha256:
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


@contextmanager
def _storing(path: Path, size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "no number")
        raise StorageFailed(
            path,
            f"{size} bytes could not be stored: {error.strerror} ({code}).",
            _REMEDIES.get(error.errno or 0, _REMEDY),
        ) from error
