"""The drift checks as Dagster has them: one each on an asset and video, run from the UI or by ``verification``.

No job that makes anything runs them: what they hold against each other is there before and after. What does not belong
here: what they compare (``verified``).
"""

from typing import Any

import dagster as dg

from bri_assets.checks.partitioned import partitioned_evaluator, table_of
from bri_assets.checks.verified import CHECKS, Verdict, could_not, verify
from bri_assets.errors import StoreDamaged
from bri_assets.settings import Settings
from bri_assets.store.verify import Verification

__all__ = ["DRIFT_CHECKS", "DRIFT_KEYS", "DRIFT_SELECTION", "evaluation", "shown"]


def shown(verdict: Verdict) -> dict[str, Any]:
    """What a verdict says, as metadata."""
    metadata: dict[str, Any] = {"offending": len(verdict.offending), "looked_at": verdict.looked_at}
    if verdict.version is not None:
        metadata["version"] = verdict.version
    return metadata | ({"offending_rows": table_of(verdict.offending)} if verdict.offending else {})


def evaluation(name: str, video_id: str, verdict: Verdict) -> dg.AssetCheckEvaluation:
    """A verdict as Dagster keeps it of a check that no step of a run evaluated."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(CHECKS[name].asset),
        check_name=name,
        passed=verdict.passed,
        severity=_severity(name),
        description=verdict.told,
        metadata=shown(verdict),
        blocking=False,
        partition=video_id,
    )


def _severity(name: str) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity[CHECKS[name].severity]


def _build(name: str) -> dg.AssetChecksDefinition:
    known = CHECKS[name]

    @partitioned_evaluator(name, known.asset, known.meaning)
    def check(context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
        """Verify one video."""
        video_id = context.op_execution_context.partition_key
        try:
            verdict = verify(Verification.of(settings), video_id, [name])[name]
        except StoreDamaged as error:
            verdict = could_not(error)
        return dg.AssetCheckResult(
            passed=verdict.passed, severity=_severity(name), description=verdict.told, metadata=shown(verdict)
        )

    return check


#: The checks, as ``Definitions`` takes them.
DRIFT_CHECKS = [_build(name) for name in CHECKS]
#: Their keys.
DRIFT_KEYS = [dg.AssetCheckKey(dg.AssetKey(known.asset), name) for name, known in CHECKS.items()]
#: They, for a job to leave out: ``selection - DRIFT_SELECTION``.
DRIFT_SELECTION = dg.AssetSelection.checks(*DRIFT_KEYS)
