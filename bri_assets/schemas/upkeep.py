"""What keeps the store: ``archived_tables``, ``backups``, ``purges``."""

from __future__ import annotations

import numpy as np
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, UtcTime, column

__all__ = ["ArchivedTables", "Backups", "Purges"]


class ArchivedTables(TableModel):
    """Where the rows of archived versions lie, one row a version and table."""

    table_name: Series[str] = column("Table whose rows were moved.")
    file: Series[str] = column("Parquet file that holds them, relative to BRI_HOME.", str_length={"min_value": 1})
    file_sha256: Series[str] = column("SHA-256 of the file's bytes.", str_matches=r"^[0-9a-f]{64}$")
    row_count: Series[np.int64] = column("Rows in it, >= 0.", ge=0)
    archived_at: Series[UtcTime] = column("When they were moved, UTC.")
    archived_by: Series[str] = column("Who moved them.")


class Backups(TableModel):
    """Backups that were made and proven, one row each; the file `backup.json` beside each says the same."""

    backup_id: Series[str] = column("The backup's id and the name of its folder.", str_length={"min_value": 1})
    path: Series[str] = column("Absolute path of its folder.", str_length={"min_value": 1})
    revision: Series[str] = column("Revision of the store in it.", str_matches=r"^[0-9]{4}$")
    last_event_id: Series[np.int64] = column("Newest event of the audit log in it, >= 0.", ge=0)
    videos: Series[np.int64] = column("Videos in it, >= 0.", ge=0)
    versions: Series[np.int64] = column("Committed versions in it, >= 0.", ge=0)
    size_bytes: Series[np.int64] = column("Size of its database file in bytes, > 0.", gt=0)
    sha256: Series[str] = column("SHA-256 of its database file.", str_matches=r"^[0-9a-f]{64}$")
    seconds: Series[np.float64] = column("Seconds that copying and proving took, >= 0.", ge=0)
    reason: Series[str] = column("Why it was made: `asked`, `scheduled`, `migration`, …")
    created_at: Series[UtcTime] = column("When it was made, UTC.")
    created_by: Series[str] = column("Who made it.")
    expired_at: Series[UtcTime] = column("When its files were removed, UTC; null while they are kept.", nullable=True)
    updated_at: Series[UtcTime] = column("When the row was last changed, UTC.")
    updated_by: Series[str] = column("Who last changed the row.")


class Purges(TableModel):
    """Videos whose rows and files were removed for good, or are about to be; kept when the video is gone."""

    video_id: Series[str] = column("The video.")
    reason: Series[str] = column("Why: `retention`, or what was said.")
    rows_removed: Series[np.int64] = column("Rows that were removed so far, >= 0.", ge=0)
    files_removed: Series[np.int64] = column("Files that were removed so far, >= 0.", ge=0)
    finished_at: Series[UtcTime] = column("When nothing was left to remove, UTC; null before.", nullable=True)
    created_at: Series[UtcTime] = column("When it was begun, UTC.")
    created_by: Series[str] = column("Who asked for it.")
    updated_at: Series[UtcTime] = column("When the row was last changed, UTC.")
    updated_by: Series[str] = column("Who last changed the row.")
