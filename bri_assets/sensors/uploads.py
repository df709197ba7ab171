"""The sensor ``uploads``: a file that arrives in ``uploads/`` becomes a partition and a run, or is quarantined.

Its memory is the table ``uploads``: a file is looked at once for each path, size and time. Partitions and run requests
of a tick are not one transaction, so every tick also settles what earlier ones left pending; asking again for a run
that exists does nothing, for its run key names the attempt.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import dagster as dg

from bri_assets.errors import UploadChanged
from bri_assets.intake import Examined, Intake, examine, scan, unseen
from bri_assets.partitions import videos
from bri_assets.runs import ATTEMPT_TAG, settle
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import PendingUpload, Store

__all__ = ["Examiner", "build_uploads_sensor", "intake_tick"]


class Examiner:
    """Looks at files in a thread of its own, so that a tick can end while gigabytes are still being hashed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="examiner")
        self._begun: dict[Path, Future[Examined]] = {}

    def examine(self, path: Path, wait_s: float) -> Examined | None:
        """What ``intake.examine`` found, or None while it is not finished: ask again in a later tick.

        Raises:
            UploadChanged, FileNotFoundError: as ``intake.examine`` does.
        """
        if path not in self._begun:
            self._begun[path] = self._thread.submit(examine, path)
        if not wait([self._begun[path]], timeout=max(wait_s, 0.0)).done:
            return None
        return self._begun.pop(path).result()


def intake_tick(
    context: dg.SensorEvaluationContext, settings: Settings, intake: Intake, store: Store, examiner: Examiner
) -> list[PendingUpload]:
    """Admit what has arrived, for at most ``intake_budget_s`` seconds, and settle what is pending.

    Returns:
        The pending uploads that need a run, most urgent first, at most ``intake_batch``.
    """
    deadline = time.monotonic() + settings.intake_budget_s
    for path in unseen(scan(settings.uploads_dir), store.seen(), settings.settle_s):
        try:
            examined = examiner.examine(path, deadline - time.monotonic())
        except (UploadChanged, FileNotFoundError) as error:
            context.log.info(f"{path.name} is waited for: {error}")
            continue
        if examined is None:
            context.log.info(f"{path.name} is still being read")
            break
        admission = intake.admit(examined, requested_by="sensor")
        if admission.refusal is not None:
            context.log.warning(f"{path.name} is quarantined: {admission.refusal}")
    return [pending for pending in store.pending() if settle(context.instance, store, pending)][: settings.intake_batch]


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
        wanted = intake_tick(context, settings, Intake(store, staging), store, examiner)
        return dg.SensorResult(
            run_requests=list(_requests(wanted)),
            dynamic_partitions_requests=[videos.build_add_request([pending.video_id for pending in wanted])],
        )

    return uploads


def _requests(wanted: list[PendingUpload]) -> Iterator[dg.RunRequest]:
    for pending in wanted:
        yield dg.RunRequest(
            run_key=pending.attempt_id,
            partition_key=pending.video_id,
            tags={ATTEMPT_TAG: pending.attempt_id, "dagster/priority": str(pending.priority)},
        )
