"""The table ``frames``."""

from __future__ import annotations

import numpy as np
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, column

__all__ = ["Frames"]


class Frames(TableModel):
    """Sampled frames, one row a frame: its time on the container's clock and its image on disk.

    A frame's index is its sample slot k: the first frame at or after k × interval. A slot without a frame has no row
    and is recorded in ``video_versions.empty_slots``.
    """

    frame_index: Series[np.int32] = column("Sample slot k of the frame, >= 0.", ge=0)
    timestamp_s: Series[np.float64] = column("Time of the frame from the container's start in seconds, >= 0.", ge=0)
    image_path: Series[str] = column(
        "Path of the JPEG, relative to BRI_HOME.", str_matches=r"^frames/[a-z0-9-]+/[0-9]+-[0-9a-f]{12}\.jpg$"
    )
    image_sha256: Series[str] = column("SHA-256 of the JPEG's bytes, 64 hex digits.", str_matches=r"^[0-9a-f]{64}$")
    width: Series[np.int32] = column("Width of the image in pixels, > 0.", gt=0)
    height: Series[np.int32] = column("Height of the image in pixels, > 0.", gt=0)
    phash: Series[str] = column("Perceptual hash (64 bits) of the image, 16 hex digits.", str_matches=r"^[0-9a-f]{16}$")
