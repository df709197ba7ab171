"""Images of frames as they were committed, or an error: never another file, never other bytes.

What does not belong here: which frame is meant, and making an image smaller (``mcp.images``).
"""

from __future__ import annotations

from pathlib import Path

from bri_assets.errors import ImageDamaged
from bri_assets.files import sha256_bytes
from bri_assets.store.queries.model import Evidence

__all__ = ["REMEDY", "committed_image"]

#: What to do about an image that is not what was committed.
REMEDY = "Restore the frames of this video from a backup, or ingest it again; `bri diagnose` says more."


def committed_image(home: Path, evidence: Evidence) -> bytes:
    """The JPEG of a frame.

    Args:
        home: BRI_HOME.
        evidence: the frame, as a read of the store gives it.

    Raises:
        ImageDamaged: the file is missing, lies elsewhere, or is not what was committed.
    """
    path = (home / evidence.image_path).resolve()
    if not path.is_relative_to(home.resolve()):
        raise ImageDamaged(evidence.image_path, "does not lie in BRI_HOME.", REMEDY)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageDamaged(evidence.image_path, f"cannot be read: {error.strerror}.", REMEDY) from error
    if sha256_bytes(data) != evidence.image_sha256:
        raise ImageDamaged(evidence.image_path, "is not the image that was committed.", REMEDY)
    return data
