"""The sensor `reconcile`: whatever dies, and wherever, ends in one committed version and one attempt at a time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster import DagsterRunStatus, RunsFilter

from bri_assets.definitions import build_defs, build_resources
from bri_assets.errors import UpkeepUnfinished
from bri_assets.health.disagreements import BUNDLE_TAG, compare
from bri_assets.health.look import Scene
from bri_assets.intake import Intake, examine
from bri_assets.processes import PROCESS_TAG, name_of
from bri_assets.sensors.reconcile import carry_out
from bri_assets.store.reconciliation import Reconciliation
from bri_assets_tests.clips import make_clip
from bri_assets_tests.commands import Bri
from bri_assets_tests.pipeline import Pipeline, pipeline

PATIENCE_S = 240.0


@pytest.fixture
def made(tmp_path: Path, light: dict[str, Any]) -> Iterator[Pipeline]:
    with pipeline(tmp_path / "data", **light, retry_after_s=0.001) as opened:
        opened.settings.uploads_dir.mkdir(parents=True)
        yield opened


def tick(made: Pipeline, sensor: str = "reconcile") -> dg.SensorResult | dg.SkipReason:
    """One tick of a sensor, as the daemon evaluates it, short of the runs that it requests."""
    defs = build_defs(made.settings)
    resources = {name: build_resources(made.settings)[name] for name in ("settings", "staging", "store")}
    wanted = resources if sensor == "uploads" else {"settings": resources["settings"]}
    with dg.build_sensor_context(instance=made.instance, definitions=defs, resources=wanted) as context:
        result = defs.resolve_sensor_def(sensor)(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def requested(made: Pipeline) -> list[dg.RunRequest]:
    """What the sensor `uploads` asks for now."""
    result = tick(made, "uploads")
    assert isinstance(result, dg.SensorResult)
    for request in result.dynamic_partitions_requests or ():
        made.instance.add_dynamic_partitions("videos", list(request.partition_keys))
    return list(result.run_requests or ())


def execute(made: Pipeline, request: dg.RunRequest, overrides: dict[str, Any] | None = None) -> bool:
    """Carry out a request in this process, as a launched run would."""
    job = build_defs(made.settings, resource_overrides=overrides or {}).resolve_job_def("ingest")
    done = job.execute_in_process(
        instance=made.instance,
        partition_key=request.partition_key,
        asset_selection=None if request.asset_selection is None else list(request.asset_selection),
        tags=dict(request.tags),
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return done.success


def states(made: Pipeline) -> dict[str, tuple[str, str | None]]:
    return {row["filename"]: (row["state"], row["code"]) for row in made.store.status()}


def repaired(made: Pipeline) -> list[tuple[str, str]]:
    """What the audit log says of repairs: which, and of what."""
    with made.store.file.open() as connection:
        return connection.execute(
            "SELECT detail ->> 'repair', entity FROM audit_log WHERE action = 'reconcile.repaired' ORDER BY event_id"
        ).fetchall()


def dead_process() -> str:
    """The name of a process that was killed."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = name_of(psutil.Process(child.pid))
    child.send_signal(signal.SIGKILL)
    child.wait()
    return name


def wait_for(what: str, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"no {what} in {PATIENCE_S:g} s"
        time.sleep(0.2)
    return found


def test_a_tick_that_finds_nothing_says_so_and_writes_nothing(made: Pipeline) -> None:
    result = tick(made)
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "Nothing is to be repaired."
    assert repaired(made) == []


def test_a_sensor_that_died_between_partition_and_run_leaves_one_run_to_be_asked_for(made: Pipeline) -> None:
    make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    (first,) = requested(made)
    # The daemon died here: the partition is there, and no run. A look at it asks for none of its own.
    assert isinstance(tick(made), dg.SkipReason)
    (second,) = requested(made)
    assert second.run_key == first.run_key


def test_an_ingest_that_is_killed_is_resumed_and_makes_only_what_is_missing(
    made: Pipeline, light_variables: dict[str, str], tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=5, audio="tone")
    bri = Bri(made.settings.home, light_variables)
    process = bri.start("ingest", clip)
    assert process.stdout is not None
    for line in process.stdout:
        if "detections …" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert states(made)["clip.mp4"][0] == "ingesting"

    result = tick(made)

    assert isinstance(result, dg.SkipReason)
    assert "its process is gone" in str(result.skip_message)
    assert states(made)["clip.mp4"] == ("failed", "run_died")
    assert repaired(made) == [("fail", "runs"), ("end", "uploads")]
    tick(made)
    assert states(made)["clip.mp4"] == ("ingesting", None)
    (request,) = requested(made)
    keys = {key.to_user_string() for key in request.asset_selection or ()}
    assert "committed_video" in keys
    assert not keys & {"source_video", "frames"}
    assert {key.name for key in request.asset_check_keys or ()} <= {"schema", "proofs", "quality", "agrees"}
    assert execute(made, request)
    (row,) = made.store.status()
    assert (row["state"], row["version"], row["attempts"]) == ("committed", 1, 2)
    assert isinstance(tick(made), dg.SkipReason)
    assert requested(made) == []


def test_a_retry_stops_after_so_many_attempts_and_waits_for_a_person(made: Pipeline) -> None:
    make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    attempts = []
    for _ in range(6):
        for request in requested(made):
            attempts.append(request.run_key)
            made.instance.create_run_for_job(
                build_defs(made.settings).resolve_job_def("ingest"),
                tags={**request.tags, PROCESS_TAG: dead_process()},
                status=DagsterRunStatus.STARTED,
            )
        tick(made)
        time.sleep(0.01)
        tick(made)
    assert len(attempts) == len(set(attempts)) == made.settings.upload_attempts
    assert states(made)["clip.mp4"] == ("failed", "run_died")
    (letter,) = Reconciliation.of(made.settings).dead_letters()
    assert letter.tries == made.settings.upload_attempts


def test_an_upload_whose_file_changed_is_not_retried(made: Pipeline) -> None:
    clip = make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    (request,) = requested(made)
    clip.write_bytes(b"something else")
    assert not execute(made, request)
    tick(made)
    assert states(made)["clip.mp4"] == ("failed", "upload_changed")
    assert isinstance(tick(made), dg.SkipReason)
    assert states(made)["clip.mp4"] == ("failed", "upload_changed")


def test_dead_runs_of_other_jobs_are_failed_and_living_ones_are_not(made: Pipeline) -> None:
    job = build_defs(made.settings).resolve_job_def("back_up")
    dead = made.instance.create_run_for_job(job, tags={PROCESS_TAG: dead_process()}, status=DagsterRunStatus.STARTED)
    alive = made.instance.create_run_for_job(job, tags={PROCESS_TAG: name_of()}, status=DagsterRunStatus.STARTED)
    tick(made)
    tick(made)
    found = {run.run_id: run.status for run in made.instance.get_runs()}
    assert found == {dead.run_id: DagsterRunStatus.FAILURE, alive.run_id: DagsterRunStatus.STARTED}
    assert repaired(made) == [("fail", "runs")]


def test_a_lost_dagster_home_is_made_anew_and_all_goes_on(tmp_path: Path, light: dict[str, Any]) -> None:
    home = tmp_path / "data"
    with pipeline(home, **light) as before:
        before.settings.uploads_dir.mkdir(parents=True)
        make_clip(before.settings.uploads_dir / "shown.mp4", seconds=1)
        (request,) = requested(before)
        assert execute(before, request)
        shown = str(request.partition_key)
        make_clip(before.settings.uploads_dir / "waiting.mp4", seconds=1, fps=6)
        (waiting,) = requested(before)
    shutil.rmtree(home / "dagster")
    with pipeline(home, **light) as made:
        assert made.instance.get_dynamic_partitions("videos") == []
        tick(made)
        assert set(made.instance.get_dynamic_partitions("videos")) == {shown, waiting.partition_key}
        assert repaired(made) == [("add", "partitions"), ("add", "partitions")]
        (again,) = requested(made)
        assert (again.run_key, again.partition_key) == (waiting.run_key, waiting.partition_key)
        assert execute(made, again)
        assert states(made) == {"shown.mp4": ("committed", None), "waiting.mp4": ("committed", None)}
        assert isinstance(tick(made), dg.SkipReason)


def test_a_file_that_lies_in_two_places_is_tried_once_at_a_time_and_from_the_place_where_it_is(
    made: Pipeline, tmp_path: Path
) -> None:
    first = make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    (tmp_path / "elsewhere").mkdir()
    copy = Path(shutil.copy(first, tmp_path / "elsewhere" / "copy.mp4"))
    (request,) = requested(made)
    Intake(made.store, made.staging).admit(examine(copy), requested_by="cli")
    made.instance.create_run_for_job(
        build_defs(made.settings).resolve_job_def("ingest"),
        tags={**request.tags, PROCESS_TAG: dead_process()},
        status=DagsterRunStatus.STARTED,
    )
    tick(made)
    assert states(made) == {"clip.mp4": ("failed", "run_died"), "copy.mp4": ("failed", "run_died")}
    first.unlink()
    tick(made)
    assert states(made) == {"clip.mp4": ("failed", "run_died"), "copy.mp4": ("ingesting", None)}
    (retry,) = requested(made)
    assert retry.partition_key == request.partition_key
    assert execute(made, retry)
    assert states(made) == {"clip.mp4": ("committed", None), "copy.mp4": ("committed", None)}
    assert made.store.video("copy.mp4")["video"]["version"] == 1


def test_an_upload_of_a_committed_video_is_labelled(made: Pipeline) -> None:
    make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    (request,) = requested(made)
    assert execute(made, request)
    with made.store.writing() as connection:
        connection.execute("UPDATE uploads SET state = 'failed', code = 'run_died', reason = 'died'")
    tick(made)
    assert states(made) == {"clip.mp4": ("committed", None)}
    assert repaired(made) == [("label", "videos")]


def test_a_bundle_that_was_staged_and_never_committed_is_committed_by_a_run_of_its_own(made: Pipeline) -> None:
    make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    (request,) = requested(made)
    assert execute(made, request)
    video_id = str(request.partition_key)
    assert made.run(video_id, ["captions"]).success
    later = Scene(made.settings, made.instance, datetime.now(UTC) + timedelta(minutes=10))
    done = carry_out(made.instance, made.settings, compare(later).repairs)
    (commit,) = done.requests
    assert [key.to_user_string() for key in commit.asset_selection or ()] == ["committed_video", "search_index"]
    assert commit.tags[BUNDLE_TAG] == made.staging.bundle(video_id).sha256
    assert execute(made, commit)
    assert made.store.video(video_id)["video"]["version"] == 2
    later = Scene(made.settings, made.instance, datetime.now(UTC) + timedelta(minutes=20))
    assert compare(later).repairs == ()


def test_a_repair_that_fails_leaves_the_others_going_and_the_tick_failed(made: Pipeline) -> None:
    make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    (request,) = requested(made)
    made.instance.create_run_for_job(
        build_defs(made.settings).resolve_job_def("ingest"),
        tags={**request.tags, PROCESS_TAG: dead_process()},
        status=DagsterRunStatus.STARTED,
    )
    tick(made)
    made.instance.delete_dynamic_partition("videos", str(request.partition_key))
    accepted = made.settings.staged_dir / str(request.partition_key) / "upload.json"
    accepted.unlink()
    accepted.mkdir()
    with pytest.raises(UpkeepUnfinished, match="RetryUpload"):
        tick(made)
    assert made.instance.get_dynamic_partitions("videos") == [request.partition_key]
    assert states(made)["clip.mp4"] == ("failed", "run_died")
    accepted.rmdir()
    tick(made)
    assert states(made)["clip.mp4"] == ("ingesting", None)


@pytest.mark.timeout(600)
def test_a_daemon_that_is_killed_with_its_run_and_started_anew_ends_what_it_began(
    light_variables: dict[str, str], tmp_path: Path
) -> None:
    """Everything is killed with SIGKILL while a run works: server, daemon, webserver and the run itself."""
    ours = {"BRI_RETRY_AFTER_S": "1", "BRI_RECONCILE_S": "5", "BRI_BACKUP_CRON": "off", "BRI_DRILL_CRON": "off"}
    bri = Bri(tmp_path / "data", light_variables | ours | {"BRI_FRAME_INTERVAL_S": "0.1"})
    bri("init")
    first = _daemon(bri, tmp_path / "first.log")
    try:
        make_clip(bri.home / "uploads" / "clip.mp4", seconds=20, audio="tone")
        wait_for("run that works", lambda: _is_working(bri))
    finally:
        _kill(first)
    (row,) = bri.store.status()
    assert row["state"] == "ingesting"
    second = _daemon(bri, tmp_path / "second.log")
    try:
        wait_for("commit", lambda: bri.store.status()[0]["state"] == "committed")
    finally:
        _kill(second)
    (row,) = bri.store.status()
    assert (row["version"], row["attempts"]) == (1, 2)
    with dg.DagsterInstance.from_config(str(bri.home / "dagster")) as instance:
        ended = [run.status for run in instance.get_runs(RunsFilter(job_name="ingest"))]
    assert DagsterRunStatus.FAILURE in ended
    assert len(ended) == 2


def _daemon(bri: Bri, log: Path) -> subprocess.Popen[bytes]:
    """Dagster's daemon with the servers that it starts, in a session of their own."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "bri_assets.definitions"]
    environment = bri.environment | {"DAGSTER_HOME": str(bri.home / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    with log.open("w") as file:
        return subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)


def _is_working(bri: Bri) -> bool:
    """Whether a run has staged its first table, so that there is something to resume."""
    return any(bri.home.glob("staged/clip-*/frames.json"))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all its descendants at once; none of them gets to say a word."""
    leader = psutil.Process(process.pid)
    everybody = [leader, *leader.children(recursive=True)]
    for one in everybody:
        one.send_signal(signal.SIGSTOP)
    for one in everybody:
        os.kill(one.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(everybody, timeout=30)
