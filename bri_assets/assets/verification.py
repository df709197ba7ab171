"""The asset ``verification``: every drift check for every video that is shown, and the index's, in one process.

A verdict is an event in Dagster's storage, and events are what costs: one is written where it differs from the last of
its video, and for all of them once a day. What does not belong here: the checks (``checks.verified``,
``checks.indexed``), and what a failed one means to a person (``health.checks``, ``health.index``).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from bri_assets.assets.outcome import reported
from bri_assets.assets.upkeep import POOL
from bri_assets.checks import records
from bri_assets.checks.drift import DRIFT_KEYS, evaluation
from bri_assets.checks.indexed import AGREES, AGREES_KEY, Agreement, agrees_evaluation, compared
from bri_assets.checks.partitioned import report_evaluation, table_of
from bri_assets.checks.verified import CHECKS, Verdict, could_not, verify
from bri_assets.errors import BriError, QueryTooSlow, StoreDamaged, UpkeepUnfinished
from bri_assets.search.index import Index
from bri_assets.settings import Settings
from bri_assets.store.consistency import Consistency
from bri_assets.store.verify import Verification

__all__ = ["VERIFICATION", "verification"]

#: The asset's key.
VERIFICATION = dg.AssetKey("verification")
#: Seconds after which verdicts are written though they are the same.
_EVERY_S = 86_400.0
#: Metadata that remembers when that was done last.
_ALL_AT = "all_reported_at"
#: Of every check whose verdicts are written, by its name.
_KEYS = {key.name: key for key in (*DRIFT_KEYS, AGREES_KEY)}
_PASSED, _FAILED = AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED


@dataclass
class _Found:
    """What a verification came to: verdicts by video and check, and videos that could not be asked about."""

    verdicts: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    unverified: dict[str, str] = field(default_factory=dict)

    def failed(self) -> list[tuple[str, str, Verdict]]:
        """Failed verdicts as video, check, verdict."""
        return [
            (video_id, name, verdict)
            for video_id, verdicts in self.verdicts.items()
            for name, verdict in verdicts.items()
            if not verdict.passed
        ]


@dg.asset(
    key=VERIFICATION,
    group_name="upkeep",
    kinds={"duckdb"},
    owners=["team:bri"],
    # The pool of everything that keeps the store: none of it runs beside another.
    pool=POOL,
    check_specs=[records.records_check()],
    description="Every video that is shown, held against what was committed: rows, lineage, images, upload, index; and"
    " the records of the store against each other.",
)
def verification(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.AssetCheckResult | dg.AssetObservation | dg.MaterializeResult[Any]]:
    """Verify all that is committed; what fails is a verdict, and no failure of this."""
    started = time.perf_counter()
    with reported(context, settings.retries):
        yield records.compared(Consistency.of(settings).differences())
        found = _verified(Verification.of(settings))
        # Of rows that somebody changed in the store, the index is right to say something else.
        whole = [video_id for video_id, verdicts in found.verdicts.items() if verdicts["unchanged"].passed]
        for video_id, verdict in compared(Index.of(settings), whole, every=True).items():
            found.verdicts[video_id][AGREES] = verdict
        told, all_at = _report(context, found)
        metadata = _described(found) | {"seconds": time.perf_counter() - started, "verdicts_written": told}
        metadata[_ALL_AT] = dg.MetadataValue.timestamp(all_at)
        if not found.unverified:
            yield dg.MaterializeResult(metadata=metadata)
            return
        # Yielded, for Dagster drops what was given to `log_event` by a step that then fails.
        yield dg.AssetObservation(VERIFICATION, metadata=metadata)
        raise UpkeepUnfinished(
            "verification",
            f"{len(found.unverified)} video(s) could not be verified: {'; '.join(found.unverified.values())}.",
            "The others were; the next run takes these up.",
        )


def _verified(store: Verification) -> _Found:
    """Verify each video by itself: one that cannot be keeps no other from it.

    Raises:
        BriError: the store cannot be used at all.
    """
    found = _Found()
    for video_id in store.videos():
        try:
            found.verdicts[video_id] = verify(store, video_id)
        except StoreDamaged as error:
            store.videos()  # raises where it is not this video alone
            found.verdicts[video_id] = {"unchanged": could_not(error)}
        except BriError as error:
            if not (error.retryable or isinstance(error, QueryTooSlow)):
                raise
            found.unverified[video_id] = f"{video_id}: {error.what}"
    return found


def _report(context: dg.AssetExecutionContext, found: _Found) -> tuple[int, float]:
    """Write the verdicts that are news; returns how many, and when all were written last."""
    instance, now = context.instance, time.time()
    last_at = _all_reported_at(instance)
    everything = not now - _EVERY_S < last_at <= now
    known = {
        (info.check_key.name, info.partition_key): info.latest_execution_status
        for info in instance.event_log_storage.get_asset_check_partition_info(list(_KEYS.values()))
    }
    told = 0
    for video_id, verdicts in found.verdicts.items():
        for name, verdict in verdicts.items():
            same = known.get((name, video_id)) == (_PASSED if verdict.passed else _FAILED)
            if everything or not same or (not verdict.passed and _said(instance, name, video_id) != verdict.told):
                report_evaluation(instance, context.run, "verification", _evaluation(name, video_id, verdict))
                told += 1
    return told, now if everything else last_at


def _evaluation(name: str, video_id: str, verdict: Verdict) -> dg.AssetCheckEvaluation:
    if isinstance(verdict, Agreement):
        return agrees_evaluation(video_id, verdict)
    return evaluation(name, video_id, verdict)


def _severity(name: str) -> str:
    return CHECKS[name].severity if name in CHECKS else "WARN"


def _said(instance: dg.DagsterInstance, name: str, video_id: str) -> str | None:
    """What the last failure of a check said."""
    found = instance.event_log_storage.get_asset_check_execution_history(
        _KEYS[name],
        limit=1,
        status={_FAILED},
        partition_filter=PartitionKeyFilter(key=video_id),
    )
    return found[0].evaluation.description if found and found[0].evaluation else None


def _all_reported_at(instance: dg.DagsterInstance) -> float:
    event = instance.get_latest_materialization_event(VERIFICATION)
    said = event.asset_materialization.metadata.get(_ALL_AT) if event and event.asset_materialization else None
    return float(said.value) if isinstance(said, dg.TimestampMetadataValue) and said.value else 0.0


def _described(found: _Found) -> dict[str, Any]:
    """Numbers that plot over time, and what failed as a table."""
    failed = found.failed()
    shown = [
        {"video": video_id, "check": name, "severity": _severity(name), "what": verdict.told}
        for video_id, name, verdict in failed
    ]
    looked_at = {
        name: sum(verdicts[name].looked_at for verdicts in found.verdicts.values() if name in verdicts)
        for name in CHECKS
    }
    return {
        "videos": len(found.verdicts),
        "failed": len({video_id for video_id, _, _ in failed}),
        "failed_checks": len(failed),
        "unverified": len(found.unverified),
        "images": looked_at["images"],
        "rows": looked_at["unchanged"],
        "failures": table_of(shown),
    }
