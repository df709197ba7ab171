"""The check ``agrees``: whether the index of the search holds of a video what the store shows of it, text by text.

What does not belong here: the comparison (``search.index``), and what a failed verdict means to a person
(``health.index``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from bri_assets.checks.partitioned import partitioned_check, table_of
from bri_assets.checks.verified import Verdict
from bri_assets.errors import BriError, IndexUnusable
from bri_assets.search.index import Index

__all__ = [
    "AGREES",
    "AGREES_KEY",
    "Agreement",
    "agrees_check",
    "agrees_evaluation",
    "agrees_result",
    "compared",
    "could_not",
    "differing",
    "failing",
    "said_last",
]

#: The check's name.
AGREES = "agrees"
_ASSET = "search_index"
AGREES_KEY = dg.AssetCheckKey(dg.AssetKey(_ASSET), AGREES)
_SEVERITY = dg.AssetCheckSeverity.WARN
_FAILED = AssetCheckExecutionRecordStatus.FAILED
#: Verdicts that are read at one look; one that is found is enough to tell a person.
_MOST = 25
#: Metadata that tells wrong rows from rows that are only not there yet.
_DIFFERS = "differs"

_FINE = "What the index holds of it is what the store shows."


@dataclass(frozen=True)
class Agreement(Verdict):
    """A verdict of the check.

    Args:
        differs: the index says something else than the store; where it does not, it only says nothing yet.
    """

    differs: bool = False


def agrees_check() -> dg.AssetCheckSpec:
    """The check as it stands in the asset's definition."""
    return partitioned_check(
        AGREES,
        _ASSET,
        "The index of the search holds the texts of the version that is shown, as the store has them, and no others.",
        blocking=False,
    )


def compared(index: Index, video_ids: Iterable[str], *, every: bool = False) -> dict[str, Agreement]:
    """The verdict for each of some videos.

    Args:
        index: the index.
        video_ids: the videos that are asked about.
        every: whether these are all that are shown: then the index is read once, and not for each.

    Raises:
        BriError: the store could not be asked. That the index cannot be used is a verdict.
    """
    wanted = list(video_ids)
    if not wanted:
        return {}
    try:
        found, lacking = index.agree(None if every else wanted), set(index.status().behind)
    except IndexUnusable as error:
        return {video_id: could_not(error, differs=True) for video_id in wanted}
    said: dict[str, list[str]] = {}
    for one in found:
        said.setdefault(one.video_id, []).append(one.what)
    return {video_id: _judged(said.get(video_id, []), video_id not in lacking) for video_id in wanted}


def could_not(error: BriError, *, differs: bool = False) -> Agreement:
    """The verdict where the index could not be brought up, or not even be asked."""
    offending = [{"subject": error.subject, "what": error.what, "next": error.remedy}]
    return Agreement(False, str(error), offending, differs=differs)


def agrees_result(verdict: Agreement) -> dg.AssetCheckResult:
    """A verdict as the asset's own step evaluates it."""
    return dg.AssetCheckResult(
        passed=verdict.passed,
        check_name=AGREES,
        asset_key=_ASSET,
        severity=_SEVERITY,
        description=verdict.told,
        metadata=_shown(verdict),
    )


def agrees_evaluation(video_id: str, verdict: Agreement) -> dg.AssetCheckEvaluation:
    """A verdict as Dagster keeps it where no step of the asset evaluated it."""
    return dg.AssetCheckEvaluation(
        asset_key=AGREES_KEY.asset_key,
        check_name=AGREES,
        passed=verdict.passed,
        severity=_SEVERITY,
        description=verdict.told,
        metadata=_shown(verdict),
        blocking=False,
        partition=video_id,
    )


def said_last(instance: dg.DagsterInstance, video_id: str) -> str:
    """What the last verdict of a video says is wrong; empty where it passed, or there is none."""
    evaluation, _ = _last(instance, video_id)
    return "" if evaluation is None or evaluation.passed else evaluation.description or ""


def failing(instance: dg.DagsterInstance) -> list[str]:
    """The videos whose last verdict is that something is wrong."""
    found = instance.event_log_storage.get_asset_check_partition_info([AGREES_KEY])
    return sorted(one.partition_key for one in found if one.partition_key and one.latest_execution_status is _FAILED)


def differing(instance: dg.DagsterInstance, since: datetime | None) -> list[str]:
    """Videos, at most 25, of which the index was found to say something else than the store.

    Args:
        instance: Dagster's.
        since: when the index was made, UTC; what was found before that was found of another one.
    """
    found = []
    for video_id in failing(instance)[:_MOST]:
        evaluation, at = _last(instance, video_id)
        if evaluation is not None and _is_different(evaluation) and (since is None or at > since):
            found.append(video_id)
    return found


def _last(instance: dg.DagsterInstance, video_id: str) -> tuple[dg.AssetCheckEvaluation | None, datetime]:
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [AGREES_KEY], PartitionKeyFilter(key=video_id)
    )
    record = found.get(AGREES_KEY)
    # One that was only planned has no verdict.
    if record is None or record.event is None or not isinstance(record.evaluation, dg.AssetCheckEvaluation):
        return None, datetime.min.replace(tzinfo=UTC)
    return record.evaluation, datetime.fromtimestamp(record.event.timestamp, UTC)


def _is_different(evaluation: dg.AssetCheckEvaluation) -> bool:
    said = evaluation.metadata.get(_DIFFERS)
    return isinstance(said, dg.BoolMetadataValue) and bool(said.value) and not evaluation.passed


def _judged(said: list[str], is_there: bool) -> Agreement:
    if not said:
        return Agreement(True, _FINE)
    return Agreement(False, " ".join(said[:3]), [{"what": what} for what in said], differs=is_there)


def _shown(verdict: Agreement) -> dict[str, Any]:
    shown: dict[str, Any] = {"disagreements": len(verdict.offending), _DIFFERS: verdict.differs}
    return shown | ({"what": table_of(verdict.offending)} if verdict.offending else {})
