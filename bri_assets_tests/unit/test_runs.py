"""What became of runs: why one failed, in one word, and whether its process still lives. Real runs, real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster import DagsterExecutionInterruptedError, DagsterRunStatus
from dagster._core.events import EngineEventData

from bri_assets import errors
from bri_assets.assets.outcome import reported
from bri_assets.definitions import defs
from bri_assets.ends import CODES, SERVER_TAG, code_of, outcome_of
from bri_assets.jobs import INGEST
from bri_assets.processes import PROCESS_TAG, name_of
from bri_assets.runs import ATTEMPT_TAG, find_runs, is_dead, lacks_run
from bri_assets.store import PendingUpload
from bri_assets_tests.queued import queued

#: An error of each type that a step can end with.
ERRORS: list[errors.BriError] = [
    errors.RowsInvalid("captions", []),
    errors.CommitRefused("a-1", {"proof": []}),
    *(
        getattr(errors, name)("subject", "what happened.")
        for name in sorted(CODES)
        if name not in ("RowsInvalid", "CommitRefused")
    ),
]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path), {"telemetry": {"enabled": False}}) as opened:
        yield opened


def failing(instance: dg.DagsterInstance, error: BaseException, tags: dict[str, str] | None = None) -> dg.DagsterRun:
    """A run whose one step raises this."""

    @dg.op
    def stage(context: dg.OpExecutionContext) -> None:
        with reported(context, 0):  # type: ignore[arg-type]  # an op has what it needs
            raise error

    @dg.job
    def ingest() -> None:
        stage()

    ingest.execute_in_process(instance=instance, raise_on_error=False, tags=tags or {})
    (run,) = instance.get_runs()
    return run


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_step_that_ends_with_an_error_of_ours_has_its_code(instance: dg.DagsterInstance, error: Any) -> None:
    outcome = outcome_of(instance, failing(instance, error).run_id)
    assert (outcome.success, outcome.code) == (False, CODES[type(error).__name__])
    assert outcome.reason == f"stage: {error}"
    assert code_of(error) == outcome.code


def test_an_error_that_nobody_foresaw_is_a_failed_run(instance: dg.DagsterInstance) -> None:
    outcome = outcome_of(instance, failing(instance, ZeroDivisionError("by nothing")).run_id)
    assert outcome.code == code_of(ZeroDivisionError()) == "run_failed"
    assert "by nothing" in outcome.reason


def test_a_run_that_succeeded_has_no_code(instance: dg.DagsterInstance) -> None:
    @dg.job
    def nothing() -> None:
        pass

    done = nothing.execute_in_process(instance=instance)
    assert outcome_of(instance, done.run_id).success


@pytest.mark.parametrize(
    ("tags", "message", "code"),
    [
        ({}, None, "stopped"),
        ({SERVER_TAG: "{}"}, None, "run_died"),
        ({SERVER_TAG: "{}"}, "Sending run termination request.", "stopped"),
        ({SERVER_TAG: "{}"}, "Canceling due to exceeding maximum runtime of 7 seconds.", "timeout"),
    ],
    ids=["Ctrl-C", "the server was shut down", "terminated in the UI", "ended at its limit"],
)
def test_who_interrupted_a_run_decides_on_its_code(
    instance: dg.DagsterInstance, tags: dict[str, str], message: str | None, code: str
) -> None:
    @dg.op
    def stage(context: dg.OpExecutionContext) -> None:
        if message is not None:
            context.instance.report_run_canceling(context.run, message)
        raise DagsterExecutionInterruptedError

    @dg.job
    def ingest() -> None:
        stage()

    with pytest.raises(DagsterExecutionInterruptedError):
        ingest.execute_in_process(instance=instance, tags=tags)
    (run,) = instance.get_runs()
    assert outcome_of(instance, run.run_id).code == code


def test_a_run_without_a_word_died(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(_job(), status=DagsterRunStatus.STARTED)
    instance.report_run_failed(run, "The process that executed this run is gone.")
    outcome = outcome_of(instance, run.run_id)
    assert outcome.code == "run_died"
    assert "killed" in outcome.reason
    assert outcome_of(instance, "of a lost DAGSTER_HOME").code == "run_died"


def test_a_run_that_was_cancelled_while_it_waited_was_stopped(instance: dg.DagsterInstance) -> None:
    run = queued(instance, _job())
    instance.report_run_canceled(run)
    assert outcome_of(instance, run.run_id).code == "stopped"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def test_a_run_lives_as_long_as_the_process_that_it_names(
    instance: dg.DagsterInstance, child: subprocess.Popen[bytes]
) -> None:
    tags = {PROCESS_TAG: name_of(psutil.Process(child.pid))}
    run = instance.create_run_for_job(_job(), tags=tags, status=DagsterRunStatus.STARTED)
    assert not is_dead(instance, run)
    child.kill()
    child.wait()
    assert is_dead(instance, run)
    # Executed again from the UI, a run is given the tags of the first, whose process is not its own.
    assert not is_dead(instance, queued(instance, _job(), tags, parent=run))
    instance.report_run_failed(run)
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert not is_dead(instance, ended)


def test_a_run_that_names_no_process_lives_as_long_as_the_one_that_dagster_started(
    instance: dg.DagsterInstance, child: subprocess.Popen[bytes]
) -> None:
    tags = {SERVER_TAG: '{"host": "localhost", "socket": "/nowhere"}'}
    run = instance.create_run_for_job(_job(), tags=tags, status=DagsterRunStatus.STARTED)
    assert not is_dead(instance, run)
    told = EngineEventData.in_process(child.pid)
    instance.report_engine_event(f"Started process for run (pid: {child.pid}).", run, told)
    assert not is_dead(instance, run)
    child.kill()
    child.wait()
    assert is_dead(instance, run)
    elsewhere = {SERVER_TAG: '{"host": "another-machine", "port": 4000}'}
    other = instance.create_run_for_job(_job(), tags=elsewhere, status=DagsterRunStatus.STARTED)
    instance.report_engine_event("Started process for run.", other, told)
    assert not is_dead(instance, other)


def test_a_number_that_another_process_was_given_since_is_no_life(instance: dg.DagsterInstance) -> None:
    tags = {SERVER_TAG: '{"host": "localhost"}'}
    run = instance.create_run_for_job(_job(), tags=tags, status=DagsterRunStatus.STARTED)
    begun_at = psutil.Process().create_time()
    entry = dg.EventLogEntry(
        error_info=None,
        level=10,
        user_message="",
        run_id=run.run_id,
        timestamp=begun_at - 60,
        job_name="nothing",
        dagster_event=dg.DagsterEvent(
            event_type_value="ENGINE_EVENT",
            job_name="nothing",
            event_specific_data=EngineEventData.in_process(os.getpid()),
        ),
    )
    instance.handle_new_event(entry)
    assert begun_at < time.time()
    assert is_dead(instance, run)


def test_the_runs_of_many_attempts_are_found_at_once_and_the_newest_of_each(instance: dg.DagsterInstance) -> None:
    newest = {}
    for attempt in ("u-a:1:1", "u-b:1:1", "u-a:1:1"):
        run = instance.create_run_for_job(_job(), tags={ATTEMPT_TAG: attempt})
        newest[attempt] = run.run_id
    wanted = [*newest, *(f"u-{number}:1:1" for number in range(1200))]
    assert {attempt: run.run_id for attempt, run in find_runs(instance, wanted).items()} == newest


@pytest.mark.parametrize(
    ("asked_by", "age_s", "lacks"),
    [("sensor", 0, True), ("reconcile", 0, True), ("retry", 0, True), ("cli", 5, False), ("cli", 500, True)],
)
def test_who_claimed_an_upload_decides_when_it_lacks_a_run(asked_by: str, age_s: float, lacks: bool) -> None:
    pending = PendingUpload("u-a", "a-1", "u-a:1:1", 0, asked_by, None, age_s)
    assert lacks_run(pending, None) is lacks


def test_a_run_that_was_created_and_never_queued_is_asked_for_again(instance: dg.DagsterInstance) -> None:
    pending = PendingUpload("u-a", "a-1", "u-a:1:1", 0, "sensor", None, 0.0)
    by_sensor = {"dagster/run_key": "u-a:1:1", ATTEMPT_TAG: "u-a:1:1"}
    assert lacks_run(pending, instance.create_run_for_job(_job(), tags=by_sensor))
    assert not lacks_run(pending, queued(instance, _job(), by_sensor))
    assert not lacks_run(pending, instance.create_run_for_job(_job()))


def test_an_ingest_evaluates_the_checks_of_its_own_assets_and_none_of_drift() -> None:
    asked = defs.resolve_job_def(INGEST).asset_layer.asset_graph.asset_check_keys
    assert {key.name for key in asked} == {"schema", "proofs", "quality", "agrees"}


def _job() -> dg.JobDefinition:
    @dg.job
    def nothing() -> None:
        pass

    return nothing
