"""Runs of the job ``ingest``: how they are named, and what became of them.

An upload that is claimed and its run are not one transaction: a process can die between the two or within the run. So
whoever looks at pending uploads (the sensor, the next ``bri ingest``) settles here what nobody else will. What does not
belong here: starting a run (``launch``, the sensor).
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
from dagster import DagsterEventType, DagsterExecutionInterruptedError, DagsterRun, DagsterRunStatus, RunsFilter

from bri_assets.processes import PROCESS_TAG, is_gone, name_of
from bri_assets.store import Claim, PendingUpload, Store

__all__ = [
    "ATTEMPT_TAG",
    "CLAIM_S",
    "RunOutcome",
    "find_run",
    "outcome_of",
    "settle",
    "tags",
]

#: Names the attempt that a run is, as the sensor's run key does: one run for each, however often it is asked for.
ATTEMPT_TAG = "bri/attempt"
#: A claim without a run is given up after this many seconds: the process that made it has died in between.
CLAIM_S = 120.0


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: its id, whether it succeeded, and if not a code (`run_failed`, `stopped`) and the reason."""

    run_id: str
    success: bool
    code: str = ""
    reason: str = ""


def tags(claim: Claim) -> dict[str, str]:
    """The tags of a run that this process executes itself."""
    return {
        "dagster/partition": claim.video_id,
        ATTEMPT_TAG: claim.attempt_id,
        PROCESS_TAG: name_of(),
    }


def find_run(instance: dg.DagsterInstance, attempt_id: str) -> DagsterRun | None:
    """The run of an attempt, if it was ever created."""
    found = instance.get_runs(RunsFilter(tags={ATTEMPT_TAG: attempt_id}), limit=1)
    return found[0] if found else None


def outcome_of(instance: dg.DagsterInstance, run_id: str) -> RunOutcome:
    """How a run that has ended ended."""
    run = instance.get_run_by_id(run_id)
    success = run is not None and run.status is DagsterRunStatus.SUCCESS
    return RunOutcome(run_id, success) if success else _failure(instance, run_id)


def settle(instance: dg.DagsterInstance, store: Store, pending: PendingUpload) -> bool:
    """Record the end of a pending upload's run if it has ended, or if its process is dead.

    Returns:
        Whether the attempt still needs a run to be started: there never was one, and nobody is about to start it.
    """
    run = find_run(instance, pending.attempt_id)
    if run is None:
        return pending.requested_by == "sensor" or pending.age_s > CLAIM_S
    if not run.is_finished and PROCESS_TAG in run.tags and is_gone(run.tags[PROCESS_TAG]):
        instance.report_run_failed(run, "The process that executed this run is gone.")
        run = instance.get_run_by_id(run.run_id) or run
    if run.is_finished:
        outcome = outcome_of(instance, run.run_id)
        code = outcome.code or "run_failed"
        reason = outcome.reason or "The run ended without committing the video: it ran only some of the assets."
        store.mark_failed(pending.video_id, run_id=run.run_id, channel="runs", code=code, reason=reason)
    elif pending.run_id is None:
        store.set_run(pending.upload_id, run.run_id, channel=pending.requested_by)
    return False


def _failure(instance: dg.DagsterInstance, run_id: str) -> RunOutcome:
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        data = event.step_failure_data
        if data.error is not None and data.error.cls_name == DagsterExecutionInterruptedError.__name__:
            return RunOutcome(
                run_id, False, "stopped", f"{event.step_key}: somebody stopped it. Ingest the file again."
            )
        said = data.user_failure_data.description if data.user_failure_data else None
        if said is None and data.error is not None:
            # What Dagster wraps is what happened; its own words say only where.
            said = (data.error.cause or data.error).message.strip()
        return RunOutcome(run_id, False, "run_failed", f"{event.step_key}: {said or event.message}")
    for entry in instance.all_logs(run_id, of_type={DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED}):
        said = (entry.message or entry.get_dagster_event().message or "The run failed.").strip()
        what = f"{said} No step said why: its process was killed, or ran out of memory. Ingest the file again."
        return RunOutcome(run_id, False, "run_failed", what)
    return RunOutcome(run_id, False, "run_failed", "The run did not finish. Ingest the file again.")
