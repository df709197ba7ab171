"""The check ``recovers``: whether the newest backup and the journal give the store back, as the drill tries it."""

from __future__ import annotations

from typing import Any

import dagster as dg

from bri_assets.checks.partitioned import table_of
from bri_assets.errors import BriError
from bri_assets.store.recovery.drill import DrillResult

__all__ = ["RECOVERS", "drill_failed", "drilled"]

#: The check's name.
RECOVERS = "recovers"


def drilled(found: DrillResult) -> dg.AssetCheckResult:
    """What a drill found; it passes where that is the store as it is."""
    known = {"backup": found.backup_id, "backup_age_s": found.backup_age_s}
    metadata: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
    metadata |= {
        "seconds": found.seconds,
        "events": found.events,
        "videos": found.videos,
        "versions": found.versions,
        "rows": found.rows,
        "turns_that_would_not_come_back": found.unsaid,
        "differences": table_of([{"difference": difference} for difference in found.differences]),
    }
    begun = f"backup {found.backup_id}" if found.backup_id else "the journal alone, for there is no backup,"
    verdict = "gives the store back" if found.recovers else f"does not: {'; '.join(found.differences[:3])}"
    return _result(found.recovers, f"A restore from {begun} {verdict}.", metadata)


def drill_failed(error: BriError) -> dg.AssetCheckResult:
    """There was nothing to compare, for a restore would have been refused: why."""
    return _result(False, str(error), {"subject": error.subject, "what": error.what, "next": error.remedy})


def _result(passed: bool, description: str, metadata: dict[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        check_name=RECOVERS,
        asset_key="backup",
        severity=dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata=metadata,
    )
