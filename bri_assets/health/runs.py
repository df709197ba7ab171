"""Runs that failed, beside the uploads' own attempts, and stages that were slow.

What does not belong here: attempts at an upload (``uploads``), checks that failed in a run (``checks``), and runs that
could not bring up the index of the search (``index``).
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster import DagsterRunStatus, RunRecord, RunsFilter

from bri_assets.ends import outcome_of
from bri_assets.findings import Finding
from bri_assets.health.look import Look, Scene
from bri_assets.jobs import INDEX
from bri_assets.runs import ATTEMPT_TAG
from bri_assets.settings import Settings
from bri_assets.store.health import Health, Known, StageTime

__all__ = ["RUNS"]

#: How far back failed runs are looked for; one that was told of is looked at for as long as its alert is open.
_WINDOW = timedelta(days=7)
_PARTITION_TAG = "dagster/partition"
#: Newest successes that are asked for what a failed run was to do.
_LATER = 50
#: Codes of runs whose reason may quote what a video shows or says.
_QUOTING = frozenset({"rows_invalid"})
#: Seconds of video up to which a stage's target holds as it stands.
_REFERENCE_S = {"frames": 600.0, "captions": 60.0, "transcripts": 60.0, "detections": 60.0}


def _find(scene: Scene) -> Iterator[Finding]:
    store = Health.of(scene.settings)
    yield from _failed(scene, store)
    for time in store.stage_times():
        yield from _slow(scene.settings, time)


def _failed(scene: Scene, store: Health) -> Iterator[Finding]:
    known, told = store.known(), store.told_runs()
    filters = [RunsFilter(statuses=[DagsterRunStatus.FAILURE], updated_after=scene.now - _WINDOW)]
    filters += [RunsFilter(statuses=[DagsterRunStatus.FAILURE], run_ids=told)] if told else []
    found = {record.storage_id: record for asked in filters for record in scene.instance.get_run_records(asked)}
    failures: list[RunRecord] = []
    for record in sorted(found.values(), key=lambda one: one.storage_id, reverse=True):
        # The newest failure speaks for the older ones of the same.
        if not _is_anothers(record) and not any(_covers(one, record) for one in failures):
            failures.append(record)
    for record in failures:
        if not _is_past(scene, record, known):
            yield _failure(scene, record)


def _is_anothers(record: RunRecord) -> bool:
    """Whether another look speaks of it: of attempts at uploads, and of an index that was not brought up."""
    return ATTEMPT_TAG in record.dagster_run.tags or record.dagster_run.job_name == INDEX


def _is_past(scene: Scene, record: RunRecord, known: Known) -> bool:
    """Whether the same succeeded since, the video was committed since, or there is no such video any more."""
    run = record.dagster_run
    video_id = run.tags.get(_PARTITION_TAG)
    if video_id is not None:
        committed_at = known.committed.get(video_id)
        if video_id in known.gone or (committed_at is not None and committed_at > _ended_at(record)):
            return True
    tags: dict[str, str] = {} if video_id is None else {_PARTITION_TAG: video_id}
    successes = scene.instance.get_run_records(
        RunsFilter(job_name=run.job_name, tags=tags, statuses=[DagsterRunStatus.SUCCESS]), limit=_LATER
    )
    return any(one.storage_id > record.storage_id and _covers(one, record) for one in successes)


def _covers(later: RunRecord, earlier: RunRecord) -> bool:
    """Whether a run was to do all that another one was: what is run by hand shares one job."""
    run, other = later.dagster_run, earlier.dagster_run
    return (
        (run.job_name, run.tags.get(_PARTITION_TAG)) == (other.job_name, other.tags.get(_PARTITION_TAG))
        and _includes(run.asset_selection, other.asset_selection)
        and _includes(run.asset_check_selection, other.asset_check_selection)
    )


def _includes(selection: Set[Any] | None, other: Set[Any] | None) -> bool:
    """Whether a selection, None for everything, holds all of another one."""
    return selection is None or (other is not None and selection >= other)


def _ended_at(record: RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp


def _failure(scene: Scene, record: RunRecord) -> Finding:
    run = record.dagster_run
    video_id, outcome = run.tags.get(_PARTITION_TAG), outcome_of(scene.instance, run.run_id)
    what = "what was materialized by hand" if run.job_name.startswith("__") else f"the job {run.job_name}"
    said = "a step failed; its run says why." if outcome.code in _QUOTING else outcome.reason
    ended = _ended_at(record)
    return Finding(
        "run_failed",
        f"run:{run.job_name}/{video_id}" if video_id else f"run:{run.job_name}",
        f"A run of {what}{f' for {video_id}' if video_id else ''} failed at {ended:%Y-%m-%d %H:%M} UTC: {said}",
        f"See the run {run.run_id} in Dagster's UI, mend what it names, and run it again from there.",
        video_id=video_id,
        facts={"run_id": run.run_id, "job": run.job_name, "code": outcome.code, "ended_at": ended.isoformat()},
    )


def _slow(settings: Settings, time: StageTime) -> Iterator[Finding]:
    """One finding a stage, for as long as each newest version is slow: a slow machine is one fault, not one a video."""
    if time.table not in _REFERENCE_S:
        return
    target_s: float = getattr(settings, f"{time.table}_target_s")
    target_s *= max(1.0, time.duration_s / _REFERENCE_S[time.table])
    if time.seconds <= target_s:
        return
    yield Finding(
        "stage_slow",
        f"stage:{time.table}",
        f"{time.table} took {time.seconds:.0f} s for {time.video_id} ({time.duration_s:.0f} s of video); its target is"
        f" {target_s:.0f} s.",
        f"See what else keeps the machine busy; a GPU, a smaller model or a longer BRI_FRAME_INTERVAL_S make it faster,"
        f" BRI_{time.table.upper()}_TARGET_S changes the target.",
        video_id=time.video_id,
        facts={
            "seconds": time.seconds,
            "target_s": target_s,
            "duration_s": time.duration_s,
            "version_id": time.version_id,
        },
    )


#: The look.
RUNS = Look("runs", ("run_failed", "stage_slow"), _find)
