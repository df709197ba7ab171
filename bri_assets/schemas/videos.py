"""The facts of a file: what ``source_video`` stages and, with the columns of bookkeeping, the table ``videos``."""

from __future__ import annotations

import numpy as np
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, UtcTime, column, rule

__all__ = ["SourceVideo", "Videos"]


class SourceVideo(TableModel):
    """The facts of one accepted upload, one row; all times count from the container's start.

    A video's id is a slug of its first file name and 12 hex digits of its content's SHA-256, so the same bytes are the
    same video under any name.
    """

    video_id: Series[str] = column(
        "The video's id: slug of its name, '-', 12 hex digits of its SHA-256.", str_matches=r"^[a-z0-9-]+-[0-9a-f]{12}$"
    )
    filename: Series[str] = column("Name of the file as it arrived, without folders.", str_length={"min_value": 1})
    sha256: Series[str] = column(
        "SHA-256 of the file's bytes, 64 hex digits.", str_matches=r"^[0-9a-f]{64}$", unique=True
    )
    size_bytes: Series[np.int64] = column("Size of the file in bytes, > 0.", gt=0)
    duration_s: Series[np.float64] = column("End of the later of picture and sound, in seconds, > 0.", gt=0)
    first_frame_s: Series[np.float64] = column("Time of the first video frame in seconds, >= 0.", ge=0)
    last_frame_s: Series[np.float64] = column("Time of the last video frame in seconds, >= 0.", ge=0)
    frame_count: Series[np.int64] = column("Video frames in the file, > 0.", gt=0)
    fps: Series[np.float64] = column("Average video frames a second, > 0.", gt=0)
    width: Series[np.int32] = column("Width as displayed (after rotation) in pixels, > 0.", gt=0)
    height: Series[np.int32] = column("Height as displayed (after rotation) in pixels, > 0.", gt=0)
    rotation_deg: Series[np.int32] = column("Rotation that the file asks for, in degrees.", isin=[0, 90, 180, 270])
    has_audio: Series[np.bool_] = column("Whether the file has an audio track.")
    container: Series[str] = column("Container format, as libav names it.", str_length={"min_value": 1})
    video_codec: Series[str] = column("Codec of the video track.", str_length={"min_value": 1})
    audio_codec: Series[str] = column("Codec of the audio track; null without one.", nullable=True)

    frames_within_duration = rule("first_frame_s <= last_frame_s and last_frame_s <= duration_s")


class Videos(SourceVideo):
    """Every video that was ever committed, one row a video: the facts of its file and whether it is deleted."""

    deleted_at: Series[UtcTime] = column("When it was deleted, UTC; null while it is not.", nullable=True)
    created_at: Series[UtcTime] = column("When its first version was committed, UTC.")
    created_by: Series[str] = column("Who committed its first version.")
    updated_at: Series[UtcTime] = column("When the row was last changed, UTC.")
    updated_by: Series[str] = column("Who last changed the row.")
