"""The check ``proofs``: the invariants across tables that a commit had to show."""

from __future__ import annotations

import dagster as dg

from bri_assets.checks.partitioned import partitioned_check, table_of
from bri_assets.errors import CommitRefused
from bri_assets.store import PROOFS, CommittedVersion

__all__ = ["proofs_check", "proofs_failed", "proofs_passed"]

_NAME = "proofs"
_ASSET = "committed_video"


def proofs_check() -> dg.AssetCheckSpec:
    """The check as it stands in the asset's definition."""
    return partitioned_check(
        _NAME,
        _ASSET,
        "All of a video's tables agree with each other and with what was staged; see the table of proofs.",
    )


def proofs_passed(committed: CommittedVersion) -> dg.AssetCheckResult:
    """Every proof held: which, and what each took."""
    shown = [
        {
            "proof": r.proof.name,
            "meaning": r.proof.meaning,
            "passed": r.passed,
            "offending_rows": r.observed,
            "seconds": r.seconds,
        }
        for r in committed.proofs
    ]
    return dg.AssetCheckResult(
        passed=True,
        check_name=_NAME,
        asset_key=_ASSET,
        metadata={"proofs": table_of(shown), "failed": 0, **committed.counts},
    )


def proofs_failed(refusal: CommitRefused) -> dg.AssetCheckResult:
    """Some did not: their names, and the offending rows of each as a table."""
    meanings = {proof.name: proof.meaning for proof in PROOFS}
    shown = [
        {"proof": name, "meaning": meanings.get(name, "A constraint of the database."), "offending_rows": len(rows)}
        for name, rows in refusal.failed.items()
    ]
    offending = {f"offending/{name}": table_of(rows) for name, rows in refusal.failed.items()}
    return dg.AssetCheckResult(
        passed=False,
        check_name=_NAME,
        asset_key=_ASSET,
        severity=dg.AssetCheckSeverity.ERROR,
        description=str(refusal),
        metadata={"proofs": table_of(shown), "failed": len(refusal.failed), **offending},
    )
