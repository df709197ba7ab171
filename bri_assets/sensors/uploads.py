"""The sensor ``uploads``: a file that arrives in ``uploads/`` becomes a partition and a run, or is quarantined.

Its memory is the table ``uploads``: a file is looked at once for each path, size and time. Partitions and run requests
of a tick are not one transaction, so every tick also settles what earlier ones left pending; asking again for a run
that exists does nothing, for its run key names the attempt. Dagster asks that of one sensor alone, so this is the one
that requests every attempt's run, those that others reserve (``sensors.reconcile``, ``bri retry --later``) included.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from bri_assets.assets.resume import selection
from bri_assets.errors import UploadChanged
from bri_assets.intake import Examined, Intake, examine, scan, unseen
from bri_assets.jobs import INGEST, own_checks
from bri_assets.partitions import videos
from bri_assets.progress import mark_look
from bri_assets.runs import ATTEMPT_TAG, backstop, settle_all
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import PendingUpload, Store

__all__ = ["BACKFILL", "Examiner", "build_uploads_sensor", "intake_tick", "priority_of", "requests_of"]

#: What lies below this folder of ``uploads/`` is brought in when nothing else waits.
BACKFILL = "backfill"

#: Dagster runs what has the higher priority first; what has none, as a backfill that is begun in the UI, has 0.
_SOMEBODY_WAITS, _NOBODY_WAITS = 1, -1


class Examiner:
    """Looks at files in threads of its own, so that a tick can end while gigabytes are still being hashed.

    Each priority has a thread: a file that somebody waits for does not wait for a huge one of a backfill.
    """

    def __init__(self) -> None:
        self._threads: dict[int, ThreadPoolExecutor] = {}
        self._begun: dict[Path, Future[Examined]] = {}

    def examine(self, path: Path, wait_s: float, priority: int = 0) -> Examined | None:
        """What ``intake.examine`` found, or None while it is not finished: ask again in a later tick.

        Raises:
            UploadChanged, FileNotFoundError: as ``intake.examine`` does.
        """
        if priority not in self._threads:
            self._threads[priority] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"examiner-{priority}")
        if path not in self._begun:
            self._begun[path] = self._threads[priority].submit(examine, path)
        if not wait([self._begun[path]], timeout=max(wait_s, 0.0)).done:
            return None
        return self._begun.pop(path).result()


def priority_of(path: Path, uploads_dir: Path) -> int:
    """How urgent a file is that arrived in ``uploads/``: 1, or -1 below the folder ``BACKFILL``."""
    return _NOBODY_WAITS if path.is_relative_to(uploads_dir / BACKFILL) else _SOMEBODY_WAITS


def intake_tick(
    context: dg.SensorEvaluationContext, settings: Settings, intake: Intake, store: Store, examiner: Examiner
) -> list[PendingUpload]:
    """Admit what has arrived, for at most ``intake_budget_s`` seconds, and settle what is pending.

    Returns:
        The pending uploads that need a run, most urgent first, at most ``intake_batch``; of those that nobody waits for
        only so many that no more than ``intake_batch`` ingests are in Dagster's queue.
    """
    deadline = time.monotonic() + settings.intake_budget_s
    busy: set[int] = set()
    for path in unseen(_most_urgent_first(settings.uploads_dir), store.seen(), settings.settle_s):
        priority = priority_of(path, settings.uploads_dir)
        if priority in busy:
            continue
        try:
            examined = examiner.examine(path, deadline - time.monotonic(), priority)
        except (UploadChanged, FileNotFoundError) as error:
            context.log.info(f"{path.name} is waited for: {error}")
            continue
        if examined is None:
            context.log.info(f"{path.name} is still being read")
            busy.add(priority)
            if len(busy) == len({_SOMEBODY_WAITS, _NOBODY_WAITS}):
                break
            continue
        admission = intake.admit(examined, requested_by="sensor", priority=priority)
        if admission.refusal is not None:
            context.log.warning(f"{path.name} is quarantined: {admission.refusal}")
    wanted = settle_all(context.instance, store, store.pending())
    return _admitted(context.instance, wanted, settings.intake_batch)


def build_uploads_sensor(job: Any) -> dg.SensorDefinition:
    """The sensor.

    Args:
        job: what it runs for each accepted upload.
    """
    examiner = Examiner()

    @dg.sensor(
        name="uploads",
        job=job,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes files that arrive in uploads/: a video gets a partition and a run, the rest a reason.",
    )
    def uploads(
        context: dg.SensorEvaluationContext,
        settings: dg.ResourceParam[Settings],
        staging: dg.ResourceParam[StagingArea],
        store: dg.ResourceParam[Store],
    ) -> dg.SensorResult:
        settings.uploads_dir.mkdir(parents=True, exist_ok=True)
        mark_look(settings.home)
        wanted = intake_tick(context, settings, Intake(store, staging), store, examiner)
        return dg.SensorResult(
            run_requests=list(requests_of(context, settings, wanted)),
            dynamic_partitions_requests=[videos.build_add_request([pending.video_id for pending in wanted])],
        )

    return uploads


def _most_urgent_first(uploads_dir: Path) -> list[Path]:
    return sorted(scan(uploads_dir), key=lambda path: -priority_of(path, uploads_dir))


def _admitted(instance: dg.DagsterInstance, wanted: list[PendingUpload], most: int) -> list[PendingUpload]:
    """The first of them; Dagster's queue, which is looked through whole for each run, is not filled with a backfill."""
    urgent = [pending for pending in wanted if pending.priority > 0][:most]
    patient = [pending for pending in wanted if pending.priority <= 0]
    if not patient:
        return urgent
    queue = RunsFilter(job_name=INGEST, statuses=[DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED])
    room = most - len(urgent) - instance.get_runs_count(queue)
    return [*urgent, *patient[: max(room, 0)]]


def requests_of(
    context: dg.SensorEvaluationContext, settings: Settings, wanted: list[PendingUpload]
) -> Iterator[dg.RunRequest]:
    """The runs that attempts need: one each, of what is not staged and valid already."""
    for pending in wanted:
        # What an earlier attempt staged, and is still valid, is not made again.
        left = selection(context.instance, settings, pending.video_id, attempt=pending.attempt)
        yield dg.RunRequest(
            run_key=pending.attempt_id,
            partition_key=pending.video_id,
            asset_selection=left,
            asset_check_keys=own_checks(context, left) if left is not None else None,
            tags={ATTEMPT_TAG: pending.attempt_id, "dagster/priority": str(pending.priority), **backstop(settings)},
        )
