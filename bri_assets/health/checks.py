"""Asset checks whose last verdict is that something is wrong, and verification that is overdue.

What does not belong here: what the checks ask (``bri_assets.checks``), the check ``quality``, whose figures the look of
that name holds against today's thresholds, and ``agrees``, of which the look ``index`` speaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
    AssetCheckPartitionInfo,
)

from bri_assets.assets import build_assets
from bri_assets.assets.upkeep import UPKEEP, recovers
from bri_assets.assets.verification import VERIFICATION
from bri_assets.checks.drift import DRIFT_CHECKS
from bri_assets.checks.indexed import AGREES
from bri_assets.checks.records import RECORDS_KEY, told
from bri_assets.checks.verified import CHECKS as DRIFT
from bri_assets.checks.verified import Verdict
from bri_assets.findings import Finding, Severity
from bri_assets.health.look import Look, Scene
from bri_assets.settings import OFF, Settings
from bri_assets.store.health import Health, Known

__all__ = ["CHECKS", "check_keys", "disagreeing", "drifted"]

_FAILED, _PASSED = AssetCheckExecutionRecordStatus.FAILED, AssetCheckExecutionRecordStatus.SUCCEEDED
#: Checks of which another look speaks.
_OTHERS = frozenset({"quality", AGREES})
#: Checks whose verdict quotes rows.
_QUOTING = frozenset({"schema"})


@lru_cache(maxsize=4)
def check_keys(settings: Settings) -> tuple[dg.AssetCheckKey, ...]:
    """The checks that there are, but for those of which another look speaks."""
    made = [*build_assets(settings), *UPKEEP, recovers, *DRIFT_CHECKS]
    return (*(key for one in made for key in sorted(one.check_keys) if key.name not in _OTHERS), RECORDS_KEY)


def drifted(name: str, video_id: str, verdict: Verdict, run_id: str | None = None) -> Finding:
    """What a failed verdict of a drift check means to a person.

    Args:
        name: a key of ``checks.verified.CHECKS``.
        video_id: the video.
        verdict: the verdict.
        run_id: the run that found it, where one did.
    """
    known = DRIFT[name]
    return _finding(dg.AssetCheckKey(dg.AssetKey(known.asset), name), video_id, verdict.told, known.severity, run_id)


def disagreeing(differences: Sequence[str]) -> Finding:
    """What it means to a person that the store's records disagree."""
    return _finding(RECORDS_KEY, None, told(differences), "ERROR", None)


def _find(scene: Scene) -> Iterator[Finding]:
    known = Health.of(scene.settings).known()
    yield from _failed(scene, known)
    yield from _overdue(scene, known)


def _failed(scene: Scene, known: Known) -> Iterator[Finding]:
    there = known.committed.keys() | set(known.uploaded)
    keys = check_keys(scene.settings)
    undecided = {upload.video_id for upload in Health.of(scene.settings).ingesting()}
    for info in scene.instance.event_log_storage.get_asset_check_partition_info(list(keys)):
        if info.partition_key is not None and info.partition_key not in there:
            continue
        if info.latest_execution_status is _PASSED:
            continue
        record = _last_verdict(scene.instance, info)
        if record is not None and record.status is _FAILED and record.evaluation is not None:
            said = record.evaluation
            told = "" if info.check_key.name in _QUOTING else (said.description or "")
            severity: Severity = "WARN" if said.severity is dg.AssetCheckSeverity.WARN else "ERROR"
            found = _finding(info.check_key, info.partition_key, told, severity, record.run_id or None)
            if info.check_key.name not in DRIFT and info.partition_key in undecided:
                # The ingest whose step it failed has not been settled yet; it then says so itself.
                found.facts["undecided"] = True
            yield found


def _last_verdict(instance: dg.DagsterInstance, info: AssetCheckPartitionInfo) -> AssetCheckExecutionRecord | None:
    """The last verdict; an evaluation that is only planned, or died with its run, is none."""
    found = instance.event_log_storage.get_asset_check_execution_history(
        info.check_key, limit=1, status={_FAILED, _PASSED}, partition_filter=PartitionKeyFilter(key=info.partition_key)
    )
    return found[0] if found else None


def _finding(key: dg.AssetCheckKey, video_id: str | None, told: str, severity: Severity, run_id: str | None) -> Finding:
    asset = key.asset_key.to_user_string()
    of = f" of {video_id}" if video_id else ""
    return Finding(
        "check_failed",
        f"check:{asset}/{key.name}/{video_id}" if video_id else f"check:{asset}/{key.name}",
        f"The check {key.name} of {asset}{of} failed. {told or 'What failed stands in its table in the UI.'}",
        f"See the check {key.name} of {asset} in Dagster's UI{f', partition {video_id}' if video_id else ''}."
        f" Once it is mended, {_again(key, video_id)}.",
        video_id=video_id,
        severity=severity,
        facts={"check": key.name, "asset": asset, "run_id": run_id},
    )


def _again(key: dg.AssetCheckKey, video_id: str | None) -> str:
    if key == RECORDS_KEY:
        return (
            "`bri diagnose` looks again. Another program changed the database or the journal: `bri restore`"
            " brings the records back, `bri rebuild-journal` the journal"
        )
    if key.name in DRIFT:
        return f"`bri diagnose {video_id}` looks again, and the next verification"
    return f"materialize {key.asset_key.to_user_string()} again" if video_id else "run the check again from there"


def _overdue(scene: Scene, known: Known) -> Iterator[Finding]:
    """Before the first verification, age counts from the first commit."""
    settings = scene.settings
    if settings.verify_cron == OFF or not known.committed or known.first_commit_at is None:
        return
    event = scene.instance.get_latest_materialization_event(VERIFICATION)
    since = datetime.fromtimestamp(event.timestamp, UTC) if event else known.first_commit_at
    age = scene.now - since
    if age <= timedelta(hours=settings.verify_age_h):
        return
    hours = age.total_seconds() / 3600
    yield Finding(
        "check_overdue",
        "verification",
        f"What is committed was {'last' if event else 'never'} verified{f' {hours:.0f} h ago' if event else ''};"
        f" it should be every {settings.verify_age_h:g} h.",
        "`bri diagnose` verifies it now, and the asset `verification` records it. See that Dagster's daemon and the"
        " schedule `scheduled_verify` run.",
        facts={"age_h": round(hours, 1)},
    )


#: The look.
CHECKS = Look("checks", ("check_failed", "check_overdue"), _find)
