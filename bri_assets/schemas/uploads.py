"""The table ``uploads``."""

from __future__ import annotations

import numpy as np
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, UtcTime, column

__all__ = ["UPLOAD_STATES", "Uploads"]

#: ``deleted`` is not stored here: it is read off the video.
UPLOAD_STATES = ("ingesting", "committed", "quarantined", "failed")


class Uploads(TableModel):
    """Every file that arrived, one row for each path and content: what `bri status` shows."""

    upload_id: Series[str] = column("The upload's id: 'u-' and 16 hex digits made of its path and content.")
    path: Series[str] = column("Absolute path of the file.", str_length={"min_value": 1})
    filename: Series[str] = column("Name of the file without folders.", str_length={"min_value": 1})
    signature: Series[str] = column("What tells whether the file changed since: size, times, inode.")
    size_bytes: Series[np.int64] = column("Size of the file in bytes, >= 0.", ge=0)
    sha256: Series[str] = column(
        "SHA-256 of the file's bytes; null where they could not be read.", nullable=True, str_matches=r"^[0-9a-f]{64}$"
    )
    video_id: Series[str] = column("The video that the upload became; null where it was refused.", nullable=True)
    state: Series[str] = column("How far it came.", isin=list(UPLOAD_STATES))
    code: Series[str] = column("One word for why it was refused or failed; null otherwise.", nullable=True)
    reason: Series[str] = column("Why it was refused or failed, for a person; null otherwise.", nullable=True)
    attempts: Series[np.int32] = column("How often it was tried, >= 0.", ge=0)
    priority: Series[np.int32] = column("Higher goes first; 0 is an upload nobody waits for.")
    requested_by: Series[str] = column("Who asked for it last: `cli`, `sensor`, `ui`, …")
    run_id: Series[str] = column("Dagster run that last worked on it; null before one is known.", nullable=True)
    created_at: Series[UtcTime] = column("When it arrived, UTC.")
    created_by: Series[str] = column("Who brought it.")
    updated_at: Series[UtcTime] = column("When the row was last changed, UTC.")
    updated_by: Series[str] = column("Who last changed the row.")
