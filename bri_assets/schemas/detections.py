"""The table ``detections``."""

from __future__ import annotations

import numpy as np
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, column, rule

__all__ = ["Detections"]


class Detections(TableModel):
    """Objects seen in the frames, one row an object; boxes in pixels of the frame's image, from its top left corner."""

    frame_index: Series[np.int32] = column("The frame in which the object is seen, >= 0.", ge=0)
    detection_index: Series[np.int32] = column("Rank of the object in its frame by confidence, from 0.", ge=0)
    class_id: Series[np.int32] = column("Number of the class in the detector's model, >= 0.", ge=0)
    class_name: Series[str] = column("Name of the class in the detector's model.", str_length={"min_value": 1})
    confidence: Series[np.float64] = column("The detector's own confidence, 0 to 1.", ge=0, le=1)
    x1: Series[np.float64] = column("Left edge of the box in pixels, >= 0.", ge=0)
    y1: Series[np.float64] = column("Top edge of the box in pixels, >= 0.", ge=0)
    x2: Series[np.float64] = column("Right edge of the box in pixels, > left.", gt=0)
    y2: Series[np.float64] = column("Bottom edge of the box in pixels, > top.", gt=0)

    has_width = rule("x1 < x2")
    has_height = rule("y1 < y2")
