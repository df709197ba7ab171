"""The table ``captions``."""

from __future__ import annotations

import numpy as np
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, column

__all__ = ["Captions"]


class Captions(TableModel):
    """What is seen in each frame, in words: one row a frame."""

    frame_index: Series[np.int32] = column("The frame that is described, >= 0.", ge=0)
    text: Series[str] = column("The caption, never blank.", str_contains=r"\S")
    confidence: Series[np.float64] = column("The captioner's own confidence, 0 to 1.", ge=0, le=1)
