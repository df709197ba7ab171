"""How a run ended: whether it succeeded, and if not one word for why, and the reason for a person.

The word (``code``) is what retries go by: ``health.retries`` has a rule for each. What does not belong here: which run
belongs to which upload (``runs``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterExecutionInterruptedError, DagsterRun, DagsterRunStatus

from bri_assets import errors

__all__ = ["CODES", "SERVER_TAG", "RunOutcome", "code_of", "outcome_of"]

#: Dagster's own tag of a run that a server executes, and not a command.
SERVER_TAG = ".dagster/grpc_info"

_OF_ERRORS: dict[str, tuple[type[errors.BriError], ...]] = {
    "breaker_open": (errors.BreakerOpen,),
    "timeout": (errors.StageTimeout,),
    "store_busy": (errors.StoreBusy, errors.OwnerGone, errors.QueryTooSlow),
    "store_unusable": (
        errors.StoreDamaged,
        errors.StoreBehind,
        errors.StoreMissing,
        errors.StoreOutdated,
        errors.StoreTooNew,
        errors.JournalDamaged,
        errors.CommitUnverified,
        errors.EncryptionFailed,
    ),
    "storage": (errors.StorageFailed,),
    "model_failed": (errors.ModelFailed,),
    "weights": (errors.WeightsMissing, errors.WeightsDamaged),
    "staged": (errors.StagedMissing, errors.StagedDamaged, errors.ImageDamaged),
    "rows_invalid": (errors.RowsInvalid,),
    "commit_refused": (errors.CommitRefused,),
    "audio_unreadable": (errors.AudioUnreadable,),
    "upload_changed": (errors.UploadChanged, errors.UploadRefused, errors.SourceMissing),
    "deleted": (errors.VideoDeleted,),
}

#: The word for each of our errors that a step can end with, by the error's name.
CODES = {kind.__name__: code for code, kinds in _OF_ERRORS.items() for kind in kinds}

#: What Dagster's daemon says of a run that it ends at the limit of its tag `dagster/max_runtime`.
_LIMIT = "maximum runtime"

#: Names of errors of Dagster's that mean that a step's process died under it.
_DIED = {"ChildProcessCrashException"}


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: its id, whether it succeeded, and if not a code (see ``health.retries``) and the reason."""

    run_id: str
    success: bool
    code: str = ""
    reason: str = ""


def code_of(error: BaseException) -> str:
    """The word for an error that ended an ingest outside of any step."""
    return CODES.get(type(error).__name__, "run_failed")


def outcome_of(instance: dg.DagsterInstance, run_id: str) -> RunOutcome:
    """How a run that has ended ended."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return RunOutcome(run_id, False, "run_died", "Dagster does not know the run any more.")
    if run.status is DagsterRunStatus.SUCCESS:
        return RunOutcome(run_id, True)
    code, reason = _failure(instance, run)
    return RunOutcome(run_id, False, code, reason)


def _failure(instance: dg.DagsterInstance, run: DagsterRun) -> tuple[str, str]:
    """The code and the reason: the first step that failed says it, else the run."""
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        code, said = _of_step(instance, run, event.step_failure_data, event.message or "")
        return code, f"{event.step_key}: {said}"
    if run.status is DagsterRunStatus.CANCELED:
        return _interrupted(instance, run)
    ends = {DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED}
    for entry in instance.all_logs(run.run_id, of_type=ends):
        event = entry.get_dagster_event()
        data = event.job_failure_data if event.event_type is DagsterEventType.RUN_FAILURE else None
        if data is not None and data.error is not None:
            return "run_failed", f"{(data.error.cause or data.error).message.strip()} No step of the run was begun."
        said = (entry.message or event.message or "The run failed.").strip()
        if _LIMIT in said:
            return "timeout", said
        return "run_died", f"{said} No step said why: its process was killed, or ran out of memory."
    return "run_died", "The run did not finish."


def _of_step(instance: dg.DagsterInstance, run: DagsterRun, data: Any, message: str) -> tuple[str, str]:
    names = set(_names(data.error))
    if DagsterExecutionInterruptedError.__name__ in names:
        return _interrupted(instance, run)
    if names & _DIED:
        return "run_died", "its process was killed, or ran out of memory."
    if data.user_failure_data is not None:
        kind = data.user_failure_data.metadata.get("kind")
        code = CODES.get(str(kind.value) if kind else "", "run_failed")
        return code, data.user_failure_data.description or message
    # What Dagster wraps is what happened; its own words say only where.
    said = (data.error.cause or data.error).message.strip() if data.error is not None else ""
    return "run_failed", said or message


def _names(error: Any) -> Iterable[str]:
    while error is not None:
        yield error.cls_name or ""
        error = error.cause


def _interrupted(instance: dg.DagsterInstance, run: DagsterRun) -> tuple[str, str]:
    """Who ended it: a person, Dagster's daemon at the run's limit, or the end of the server that executed it."""
    entries = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_CANCELING)
    asked = [entry.get_dagster_event().message or "" for entry in entries]
    if any(_LIMIT in said for said in asked):
        return "timeout", "the run took longer than all its stages may together, and was ended."
    if asked or SERVER_TAG not in run.tags or run.status is DagsterRunStatus.CANCELED:
        return "stopped", "somebody stopped it. Ingest the file again."
    return "run_died", "the server that executed it was shut down."
