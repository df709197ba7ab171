"""The sensor ``reconcile``: compares all that there is with each other, and repairs what is safe.

Every repair is kept in the audit log and shown in the tick; one that fails leaves the others going, and the tick fails
at its end. What a retry needs is a run; for that there is one place, the sensor ``uploads``, so that no attempt gets
two. What does not belong here: what is safe (``health.repairs``) and telling people of the rest (``sensors.alerts``).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from bri_assets.assets.search_index import index_config
from bri_assets.errors import UpkeepUnfinished
from bri_assets.health.disagreements import BUNDLE_TAG, compare
from bri_assets.health.index import INDEX_TAG
from bri_assets.health.look import Scene
from bri_assets.health.repairs import (
    AddPartition,
    CommitStaged,
    EndAttempt,
    FailRun,
    Label,
    Repair,
    RetryUpload,
    SyncIndex,
)
from bri_assets.jobs import INDEX, INGEST, own_checks
from bri_assets.partitions import videos
from bri_assets.runs import GONE, backstop, ended
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store.reconciliation import Reconciliation, Repaired, Retry

__all__ = ["Reconciled", "build_reconcile_sensor", "carry_out"]

_CHANNEL = "reconcile"
#: What a run for a bundle makes: the commit, and what follows it.
_WANTED = [dg.AssetKey("committed_video"), dg.AssetKey("search_index")]


@dataclass
class Reconciled:
    """What a tick did: the repairs that were made, what failed and why, and the runs that are to be requested."""

    done: list[Repair] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    requests: list[dg.RunRequest] = field(default_factory=list)


def carry_out(
    instance: dg.DagsterInstance,
    settings: Settings,
    repairs: Sequence[Repair],
    proofs: Sequence[dg.AssetCheckKey] | None = None,
) -> Reconciled:
    """Make repairs, kind by kind in the order in which ``plan`` has them.

    Args:
        instance: Dagster's.
        settings: of the process.
        repairs: what is to be repaired.
        proofs: the checks that the commit and what follows it evaluate themselves; None for all there are of them.
    """
    store, staging, tick = Reconciliation.of(settings), StagingArea(settings.staged_dir), Reconciled()
    # Of each kind: how it is made, which returns those that were still to be made, and where it is kept.
    kinds: list[tuple[type[Any], Callable[[list[Any]], Iterable[Repair]], Callable[[Any], Repaired]]] = [
        (Label, lambda some: _label(store, some), lambda one: Repaired("label", "videos", one.video_id)),
        (FailRun, lambda some: _fail_runs(instance, some), _told_of_run),
        (EndAttempt, lambda some: _end(instance, store, some), _told_of_attempt),
        (AddPartition, lambda some: _add(instance, some), lambda one: Repaired("add", "partitions", one.video_id)),
        (RetryUpload, lambda some: _retry(store, staging, some), _told_of_retry),
        (CommitStaged, lambda some: _ask(settings, tick, some, proofs), _told_of_bundle),
        (SyncIndex, lambda some: _ask_for_index(tick, some), _told_of_index),
    ]
    for kind, make, told in kinds:
        some = [repair for repair in repairs if isinstance(repair, kind)]
        try:
            done = list(make(some)) if some else []
            tick.done += done
            if done:
                store.record([told(repair) for repair in done], channel=_CHANNEL)
        except Exception as error:  # noqa: BLE001 - one kind that fails leaves the others going; the tick raises
            tick.failed.append(f"{kind.__name__}: {error}")
    return tick


def build_reconcile_sensor(job: Any, index: Any, settings: Settings) -> dg.SensorDefinition:
    """The sensor.

    Args:
        job: of which it runs the commit, and what follows it, for a bundle that was never committed.
        index: the job that it runs where the index of the search does not follow what is shown.
        settings: of the process.
    """

    @dg.sensor(
        name="reconcile",
        jobs=[job, index],
        minimum_interval_seconds=settings.reconcile_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Compares uploads, partitions, runs, bundles, versions and the index; repairs what is safe.",
    )
    def reconcile(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult | dg.SkipReason:
        scene = Scene(settings, context.instance, datetime.now(UTC))
        proofs = own_checks(context, _WANTED)
        tick = carry_out(context.instance, settings, compare(scene).repairs, proofs)
        for repair in tick.done:
            context.log.info(f"reconcile {repair}")
        for failure in tick.failed:
            context.log.error(f"could not repair: {failure}")
        # A tick that raises loses its requests; the next one, which then has none, says what failed.
        if tick.requests:
            return dg.SensorResult(run_requests=tick.requests)
        if tick.failed:
            what = f"{len(tick.failed)} kind(s) of repair failed: {'; '.join(tick.failed)}."
            raise UpkeepUnfinished("reconcile", what, "The others were made. Mend what is named, and wait.")
        return dg.SkipReason("; ".join(map(str, tick.done)) or "Nothing is to be repaired.")

    return reconcile


def _label(store: Reconciliation, some: list[Label]) -> list[Repair]:
    changed = store.label([repair.video_id for repair in some], channel=_CHANNEL)
    return list(some) if changed else []


def _fail_runs(instance: dg.DagsterInstance, some: list[FailRun]) -> Iterable[Repair]:
    for repair in some:
        run = instance.get_run_by_id(repair.run.run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, GONE)
            yield repair


def _end(instance: dg.DagsterInstance, store: Reconciliation, some: list[EndAttempt]) -> list[Repair]:
    runs = [(repair, instance.get_run_by_id(repair.run_id)) for repair in some]
    over = [ended(instance, repair.upload, run) for repair, run in runs if run is not None and run.is_finished]
    failed = set(store.fail(over, channel=_CHANNEL))
    return [repair for repair in some if repair.upload.upload_id in failed]


def _add(instance: dg.DagsterInstance, some: list[AddPartition]) -> list[Repair]:
    instance.add_dynamic_partitions(str(videos.name), [repair.video_id for repair in some])
    return list(some)


def _retry(store: Reconciliation, staging: StagingArea, some: list[RetryUpload]) -> list[Repair]:
    for repair in some:
        # The video's assets read this file, which may be another one of the same bytes than before.
        staging.accept(repair.letter.source)
    wanted = [Retry(repair.letter.upload_id, repair.letter.attempts) for repair in some]
    reserved = set(store.retry(wanted, channel=_CHANNEL))
    return [repair for repair in some if repair.letter.upload_id in reserved]


def _ask(
    settings: Settings, tick: Reconciled, some: list[CommitStaged], proofs: Sequence[dg.AssetCheckKey] | None
) -> list[Repair]:
    for repair in some:
        tick.requests.append(
            dg.RunRequest(
                run_key=f"commit:{repair.bundle_sha256}:{repair.time}",
                job_name=INGEST,
                partition_key=repair.video_id,
                asset_selection=_WANTED,
                asset_check_keys=proofs,
                tags={BUNDLE_TAG: repair.bundle_sha256, **backstop(settings)},
            )
        )
    return list(some)


def _ask_for_index(tick: Reconciled, some: list[SyncIndex]) -> list[Repair]:
    for repair in some:
        tick.requests.append(
            dg.RunRequest(
                # What is wrong may be wrong again later, after it was mended.
                run_key=f"index:{repair.fingerprint}:{repair.time}:{datetime.now(UTC):%Y%m%dT%H}",
                job_name=INDEX,
                run_config=index_config(rebuild=repair.rebuild),
                tags={INDEX_TAG: repair.fingerprint},
            )
        )
    return list(some)


def _told_of_run(repair: FailRun) -> Repaired:
    detail = {"job": repair.run.job} | ({"video_id": repair.run.partition} if repair.run.partition else {})
    return Repaired("fail", "runs", repair.run.run_id, detail)


def _told_of_attempt(repair: EndAttempt) -> Repaired:
    detail = {"video_id": repair.upload.video_id, "attempt": repair.upload.attempt, "run_id": repair.run_id}
    return Repaired("end", "uploads", repair.upload.upload_id, detail)


def _told_of_retry(repair: RetryUpload) -> Repaired:
    detail = {"video_id": repair.letter.video_id, "attempt": repair.letter.attempts + 1, "code": repair.letter.code}
    return Repaired("retry", "uploads", repair.letter.upload_id, detail)


def _told_of_bundle(repair: CommitStaged) -> Repaired:
    detail = {"bundle": repair.bundle_sha256, "time": repair.time}
    return Repaired("commit", "videos", repair.video_id, detail)


def _told_of_index(repair: SyncIndex) -> Repaired:
    detail = {"fingerprint": repair.fingerprint, "time": repair.time, "rebuild": repair.rebuild}
    return Repaired("index", "index", "index", detail)
