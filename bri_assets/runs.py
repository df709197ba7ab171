"""Runs of the job ``ingest``: how they are named, and what became of them.

An upload that is claimed and its run are not one transaction: a process can die between the two or within the run. So
whoever looks at pending uploads (the sensors, the next ``bri ingest``) settles here what nobody else will. What does
not belong here: starting a run (``launch``, the sensors), why one failed (``ends``) and whether it is tried again
(``health.retries``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg
import psutil
from dagster import DagsterEventType, DagsterRun, DagsterRunStatus, RunsFilter

from bri_assets.ends import SERVER_TAG, RunOutcome, outcome_of
from bri_assets.processes import PROCESS_TAG, is_gone, name_of
from bri_assets.settings import Settings
from bri_assets.store import Claim, PendingUpload, Store
from bri_assets.store.reconciliation import Ended, Reconciliation, Started

__all__ = [
    "ATTEMPT_TAG",
    "CLAIM_S",
    "GONE",
    "UNFINISHED",
    "RunOutcome",
    "backstop",
    "ended",
    "find_runs",
    "is_dead",
    "lacks_run",
    "outcome_of",
    "settle",
    "settle_all",
    "tags",
]

#: Names the attempt that a run is, as the sensor's run key does: one run for each, however often it is asked for.
ATTEMPT_TAG = "bri/attempt"
#: Dagster's own: seconds after which its daemon ends a run.
_MAX_RUNTIME_TAG = "dagster/max_runtime"
#: A claim without a run is given up after this many seconds: the process that made it has died in between.
CLAIM_S = 120.0
#: Why a run is marked as failed.
GONE = "The process that executed this run is gone."

#: States of a run that has not ended.
UNFINISHED = (
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.SUSPENDED,
    DagsterRunStatus.CANCELING,
)

#: Attempts that one question to Dagster's storage is about.
_ATTEMPTS = 500


def tags(claim: Claim) -> dict[str, str]:
    """The tags of a run that this process executes itself.

    It has no ``backstop``: Dagster's daemon could mark it as failed, but not end it, and it would be begun twice.
    """
    return {
        "dagster/partition": claim.video_id,
        ATTEMPT_TAG: claim.attempt_id,
        PROCESS_TAG: name_of(),
    }


def backstop(settings: Settings) -> dict[str, str]:
    """The tag by which Dagster's daemon ends a run that none of its stages' own limits ended."""
    # The assets import half of the package; `bri status` shall not wait for that.
    from bri_assets.assets.stage import longest_run_s

    return {_MAX_RUNTIME_TAG: str(longest_run_s(settings))}


def find_runs(instance: dg.DagsterInstance, attempt_ids: Iterable[str]) -> dict[str, DagsterRun]:
    """The runs of attempts, as far as they were ever created; of one that was executed again, the newest."""
    found: dict[str, DagsterRun] = {}
    wanted = list(attempt_ids)
    for start in range(0, len(wanted), _ATTEMPTS):
        for run in instance.get_runs(RunsFilter(tags={ATTEMPT_TAG: wanted[start : start + _ATTEMPTS]})):
            found.setdefault(run.tags[ATTEMPT_TAG], run)
    return found


def is_dead(instance: dg.DagsterInstance, run: DagsterRun) -> bool:
    """Whether a run that Dagster takes for unfinished is known to have lost its process.

    A run that waits in the queue has none yet; of one on another host nothing is known.
    """
    if run.is_finished:
        return False
    # A run that is executed again from the UI is given the tags of the first, whose process is not its own.
    if PROCESS_TAG in run.tags and run.parent_run_id is None:
        return is_gone(run.tags[PROCESS_TAG])
    return run.status is DagsterRunStatus.STARTED and _is_gone_from_here(instance, run)


def lacks_run(pending: PendingUpload, run: DagsterRun | None) -> bool:
    """Whether a run has to be asked for: there never was one, and nobody is about to start it.

    One that was created but never queued, for the daemon died over it, is queued when it is asked for again.
    """
    if run is None:
        return pending.requested_by != "cli" or pending.age_s > CLAIM_S
    return run.status is DagsterRunStatus.NOT_STARTED and "dagster/run_key" in run.tags


def ended(instance: dg.DagsterInstance, pending: PendingUpload, run: DagsterRun) -> Ended:
    """The end of an attempt whose run has ended, and left its upload pending."""
    outcome = outcome_of(instance, run.run_id)
    code = outcome.code or "run_failed"
    reason = outcome.reason or "The run ended without committing the video: it ran only some of the assets."
    return Ended(pending.upload_id, pending.video_id, pending.attempt_id, run.run_id, code, reason)


def settle_all(instance: dg.DagsterInstance, store: Store, pending: Sequence[PendingUpload]) -> list[PendingUpload]:
    """Record the ends of pending uploads' runs that have ended or whose processes are dead, and runs that are new.

    Returns:
        The attempts that need a run to be started, in the order of the argument.
    """
    runs = find_runs(instance, (upload.attempt_id for upload in pending))
    over: list[Ended] = []
    begun: list[Started] = []
    for upload in pending:
        run = runs.get(upload.attempt_id)
        if run is None:
            continue
        if is_dead(instance, run):
            instance.report_run_failed(run, GONE)
            run = instance.get_run_by_id(run.run_id) or run
        if run.is_finished:
            over.append(ended(instance, upload, run))
        elif upload.run_id != run.run_id:
            begun.append(Started(upload.upload_id, run.run_id))
    reconciliation = Reconciliation(store.home, store.file, store.staging)
    if over:
        reconciliation.fail(over, channel="runs")
    if begun:
        reconciliation.start(begun, channel="runs")
    return [upload for upload in pending if lacks_run(upload, runs.get(upload.attempt_id))]


def settle(instance: dg.DagsterInstance, store: Store, pending: PendingUpload) -> bool:
    """``settle_all`` of one upload: whether its attempt needs a run to be started."""
    return bool(settle_all(instance, store, [pending]))


def _is_gone_from_here(instance: dg.DagsterInstance, run: DagsterRun) -> bool:
    """Whether the process of a run that Dagster's server started on this host has ended, the server perhaps too."""
    if '"localhost"' not in run.tags.get(SERVER_TAG, ""):
        return False
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        said = entry.get_dagster_event().engine_event_data.metadata.get("pid")
        if said is not None:
            return _is_no_process(int(str(said.value)), entry.timestamp)
    return False


def _is_no_process(pid: int, at: float) -> bool:
    """Whether the process that had this number at a time, in seconds since 1970, has ended."""
    try:
        process = psutil.Process(pid)
        # A number is given again; a second is more than the clocks of a process and of its log differ.
        return process.create_time() > at + 1.0 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
