"""What was done to the store and to its shape: ``audit_log`` and ``schema_migrations``."""

from __future__ import annotations

import numpy as np
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, UtcTime, column

__all__ = ["AuditLog", "SchemaMigrations"]


class AuditLog(TableModel):
    """Every mutation, append-only: who, what, when, on which rows by id and hash; never their content."""

    event_id: Series[np.int64] = column("Number of the event, growing.", ge=1)
    occurred_at: Series[UtcTime] = column("When, UTC.")
    actor: Series[str] = column("Who: `cli`, `sensor`, `pipeline`, …")
    action: Series[str] = column("What: `upload.accepted`, `version.committed`, `version.refused`, …")
    entity: Series[str] = column("Table of what it was done to.")
    entity_id: Series[str] = column("Key of what it was done to.")
    rows_sha256: Series[str] = column("Hash of the rows concerned; null where there are none.", nullable=True)
    run_id: Series[str] = column("Dagster run in which it was done; null outside of one.", nullable=True)
    detail: Series[str] = column("What else a person needs, JSON; no content of videos.", sql_type="JSON")


class SchemaMigrations(TableModel):
    """Migrations that made the store what it is, one row each."""

    version: Series[str] = column("Revision, four digits.", str_matches=r"^[0-9]{4}$")
    name: Series[str] = column("What it does.")
    checksum: Series[str] = column("SHA-256 of the migration's source.", str_matches=r"^[0-9a-f]{64}$")
    applied_at: Series[UtcTime] = column("When, UTC.")
    applied_by: Series[str] = column("Who.")
