"""The check ``records``: the store's records agree with each other and with the journal."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from bri_assets.checks.partitioned import table_of

__all__ = ["RECORDS", "RECORDS_KEY", "compared", "records_check", "told"]

#: The check's name.
RECORDS = "records"

_ASSET = "verification"

RECORDS_KEY = dg.AssetCheckKey(dg.AssetKey(_ASSET), RECORDS)


def records_check() -> dg.AssetCheckSpec:
    """The check as it stands in the asset's definition."""
    return dg.AssetCheckSpec(
        RECORDS,
        asset=_ASSET,
        blocking=False,
        description="Pointers, deletions, versions, proofs, audit log and journal agree; see the table of differences.",
    )


def compared(differences: Sequence[str]) -> dg.AssetCheckResult:
    """How it came out."""
    return dg.AssetCheckResult(
        passed=not differences,
        check_name=RECORDS,
        asset_key=_ASSET,
        severity=dg.AssetCheckSeverity.ERROR,
        description=told(differences) if differences else None,
        metadata={
            "differences": len(differences),
            "what": table_of([{"difference": difference} for difference in differences]),
        },
    )


def told(differences: Sequence[str]) -> str:
    """What disagrees, in sentences."""
    more = f" And {len(differences) - 3} more." if len(differences) > 3 else ""
    return " ".join(differences[:3]) + more
