"""Pictures of frames, as small as an agent needs them, and only those that were committed.

What does not belong here: which frame is meant (``looking``).
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from mcp_types import ImageContent
from PIL import Image, UnidentifiedImageError

from bri_assets.errors import ImageDamaged
from bri_assets.serve.frame_images import REMEDY, committed_image
from bri_assets.store.queries.model import Evidence

__all__ = ["LONGEST_SIDE", "Picture", "picture"]

#: Longest side of a picture where nobody asks for another, in pixels.
LONGEST_SIDE = 768

_QUALITY = 85


@dataclass(frozen=True)
class Picture:
    """A JPEG and its size.

    Args:
        data: the bytes.
        width: in pixels.
        height: in pixels.
    """

    data: bytes
    width: int
    height: int

    @property
    def content(self) -> ImageContent:
        """As it travels."""
        return ImageContent(type="image", data=base64.b64encode(self.data).decode(), mime_type="image/jpeg")


def picture(home: Path, evidence: Evidence, longest_side: int = LONGEST_SIDE) -> Picture:
    """The picture of a frame, never larger than it was made.

    Args:
        home: BRI_HOME.
        evidence: the frame.
        longest_side: in pixels.

    Raises:
        ImageDamaged: the file is missing, is not what was committed, or cannot be decoded.
    """
    data = committed_image(home, evidence)
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if max(image.size) <= longest_side:
                return Picture(data, *image.size)
            image.thumbnail((longest_side, longest_side))
            made = io.BytesIO()
            image.save(made, "JPEG", quality=_QUALITY)
            return Picture(made.getvalue(), *image.size)
    except (UnidentifiedImageError, OSError) as error:
        raise ImageDamaged(evidence.image_path, f"cannot be decoded: {error}.", REMEDY) from error
