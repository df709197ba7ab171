"""The table ``transcripts``."""

from __future__ import annotations

import numpy as np
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, column, rule

__all__ = ["Transcripts"]


class Transcripts(TableModel):
    """What is said, one row a segment in the order of speech; no rows where nothing is said or there is no sound."""

    segment_index: Series[np.int32] = column("Position of the segment in the video, from 0.", ge=0)
    start_s: Series[np.float64] = column("Start of the segment from the container's start in seconds, >= 0.", ge=0)
    end_s: Series[np.float64] = column("End of the segment from the container's start in seconds, > start.", gt=0)
    text: Series[str] = column("The words, never blank.", str_contains=r"\S")
    confidence: Series[np.float64] = column("exp of the segment's mean log probability of a token, 0 to 1.", ge=0, le=1)
    language: Series[str] = column("Language code, as the transcriber names it (en).", str_matches=r"^[a-z]{2,3}$")
    no_speech_prob: Series[np.float64] = column("Probability that nothing is said here, 0 to 1.", ge=0, le=1)

    starts_before_end = rule("start_s < end_s")
