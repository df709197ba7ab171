"""The sensor: what arrives becomes a partition and one run, or a reason; whatever dies in between is picked up."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from bri_assets.definitions import build_defs, build_resources
from bri_assets.intake import Intake, examine
from bri_assets.processes import PROCESS_TAG, name_of
from bri_assets.runs import ATTEMPT_TAG, tags
from bri_assets.sensors.uploads import Examiner, intake_tick
from bri_assets_tests.clips import cut, make_clip, make_text
from bri_assets_tests.pipeline import Pipeline, pipeline
from bri_assets_tests.queued import queued


@pytest.fixture
def made(tmp_path: Path, light: dict[str, Any]) -> Iterator[Pipeline]:
    with pipeline(tmp_path / "data", **light) as opened:
        opened.settings.uploads_dir.mkdir(parents=True)
        yield opened


def tick(made: Pipeline, **settings: Any) -> dg.SensorResult:
    """One tick, as the daemon evaluates it: the request is carried out as the daemon would, short of the run."""
    changed = made.settings.model_copy(update=settings)
    defs = build_defs(changed)
    resources = {name: build_resources(changed)[name] for name in ("settings", "staging", "store")}
    with dg.build_sensor_context(instance=made.instance, definitions=defs, resources=resources) as context:
        result = defs.resolve_sensor_def("uploads")(context)
    assert isinstance(result, dg.SensorResult)
    for request in result.dynamic_partitions_requests or ():
        made.instance.add_dynamic_partitions("videos", list(request.partition_keys))
    return result


def keys(result: dg.SensorResult) -> list[str | None]:
    return [request.run_key for request in result.run_requests or ()]


def test_a_dropped_video_gets_a_partition_and_one_run(made: Pipeline) -> None:
    make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    (request,) = tick(made).run_requests or ()
    (row,) = made.store.status()
    assert (row["state"], row["attempts"]) == ("ingesting", 1)
    assert request.partition_key == row["video_id"]
    assert made.instance.get_dynamic_partitions("videos") == [row["video_id"]]
    assert str(request.run_key).startswith(f"{row['upload_id']}:1:")


def test_what_is_no_video_gets_a_reason_and_no_partition_and_is_not_looked_at_again(made: Pipeline) -> None:
    make_text(made.settings.uploads_dir / "notes.txt")
    cut(make_clip(made.settings.uploads_dir / "cut.mp4", seconds=10, options={"movflags": "faststart"}), 0.5)
    make_clip(made.settings.uploads_dir / "good.mp4", seconds=1)
    assert len(keys(tick(made))) == 1
    states = {row["filename"]: (row["state"], row["code"]) for row in made.store.status()}
    assert states == {
        "notes.txt": ("quarantined", "not_a_video"),
        "cut.mp4": ("quarantined", "truncated"),
        "good.mp4": ("ingesting", None),
    }
    tick(made)
    assert {row["attempts"] for row in made.store.status()} == {1}


def test_a_mended_file_is_looked_at_again(made: Pipeline) -> None:
    path = make_text(made.settings.uploads_dir / "clip.mp4")
    tick(made)
    make_clip(path, seconds=1)
    assert len(keys(tick(made))) == 1
    assert [row["state"] for row in made.store.status()] == ["ingesting"]


def test_a_file_that_is_still_being_copied_is_waited_for(made: Pipeline, tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4", seconds=3).read_bytes()
    path = made.settings.uploads_dir / "clip.mp4"
    with path.open("wb") as file:
        for start in range(0, len(whole), len(whole) // 3 + 1):
            file.write(whole[start : start + len(whole) // 3 + 1])
            file.flush()
            assert keys(tick(made, settle_s=60.0)) == []
            assert made.store.status() == []
    # Nobody writes any more: what is left is to wait, which the settings shorten to nothing.
    assert len(keys(tick(made, settle_s=0.0))) == 1
    assert [row["state"] for row in made.store.status()] == ["ingesting"]


def test_a_copy_that_keeps_the_originals_date_is_still_waited_for(made: Pipeline, tmp_path: Path) -> None:
    old = make_clip(tmp_path / "old.mp4", seconds=1)
    os.utime(old, (1, 1))
    shutil.copy2(old, made.settings.uploads_dir / "clip.mp4")
    assert keys(tick(made, settle_s=60.0)) == []


@pytest.mark.parametrize("name", [".hidden.mp4", "clip.mp4.part", "clip.crdownload", ".rsync/clip.mp4"])
def test_hidden_and_unfinished_files_are_passed_over(made: Pipeline, name: str) -> None:
    path = made.settings.uploads_dir / name
    path.parent.mkdir(exist_ok=True)
    make_clip(path.with_name("made.mp4"), seconds=1).rename(path)
    assert keys(tick(made)) == []
    assert made.store.status() == []


def test_a_crash_between_partition_and_run_is_picked_up_by_the_next_tick(made: Pipeline) -> None:
    make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    first = keys(tick(made))
    # The daemon died before it launched anything: the request is made again, under the same key.
    assert keys(tick(made)) == first
    made.instance.create_run_for_job(
        build_defs(made.settings).resolve_job_def("ingest"), tags={ATTEMPT_TAG: str(first[0])}
    )
    assert keys(tick(made)) == []


def test_runs_of_a_store_that_was_lost_are_not_taken_for_those_of_a_new_one(made: Pipeline) -> None:
    make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    (first,) = keys(tick(made))
    made.instance.create_run_for_job(
        build_defs(made.settings).resolve_job_def("ingest"),
        tags={ATTEMPT_TAG: str(first)},
        status=dg.DagsterRunStatus.SUCCESS,
    )
    # A person begins anew: what was staged and journalled goes with the store.
    made.settings.store_path.unlink()
    shutil.rmtree(made.settings.staged_dir)
    (second,) = keys(tick(made))
    assert first != second
    assert made.store.status()[0]["state"] == "ingesting"


def test_a_run_that_failed_is_told_and_not_tried_for_ever(made: Pipeline) -> None:
    make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    (key,) = keys(tick(made))
    (made.settings.uploads_dir / "clip.mp4").write_bytes(b"replaced before the run read it")
    _run(made, str(key))
    tick(made, settle_s=3600.0)
    (row,) = made.store.status()
    assert (row["state"], row["code"]) == ("failed", "upload_changed")
    assert row["reason"].startswith("source_video: ")
    assert keys(tick(made, settle_s=3600.0)) == []


def test_a_run_whose_process_was_killed_is_told(made: Pipeline) -> None:
    claim = made.accept(make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = made.instance.create_run_for_job(
        build_defs(made.settings).resolve_job_def("ingest"),
        tags=tags(claim) | {PROCESS_TAG: name_of(psutil.Process(child.pid))},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert keys(tick(made)) == []
    assert made.store.status()[0]["state"] == "ingesting"
    child.kill()
    child.wait()
    tick(made)
    (row,) = made.store.status()
    assert (row["state"], row["code"], row["run_id"]) == ("failed", "run_died", run.run_id)
    assert "gone" in row["reason"]


def test_the_most_urgent_go_first_and_no_tick_asks_for_too_many(made: Pipeline) -> None:
    for number in range(4):
        path = make_clip(made.settings.uploads_dir / f"{number}.mp4", seconds=1, fps=5 + number)
        Intake(made.store, made.staging).admit(examine(path), requested_by="sensor", priority=number)
    result = tick(made, intake_batch=3)
    assert [(request.tags["dagster/priority"]) for request in result.run_requests or ()] == ["3", "2", "1"]


def test_what_is_dropped_goes_before_a_backfill(made: Pipeline) -> None:
    backfill = made.settings.uploads_dir / "backfill" / "of 2019"
    backfill.mkdir(parents=True)
    for number in range(5):
        make_clip(backfill / f"{number}.mp4", seconds=1, fps=5 + number)
    first = tick(made, intake_batch=3).run_requests or ()
    assert [request.tags["dagster/priority"] for request in first] == ["-1"] * 3
    for request in first:
        queued(made.instance, build_defs(made.settings).resolve_job_def("ingest"), dict(request.tags))
    # Dagster's queue is full of what nobody waits for: no more of that is put there.
    assert keys(tick(made, intake_batch=3)) == []
    make_clip(made.settings.uploads_dir / "urgent.mp4", seconds=1, fps=20)
    (urgent,) = tick(made, intake_batch=3).run_requests or ()
    assert (str(urgent.partition_key)[:6], urgent.tags["dagster/priority"]) == ("urgent", "1")
    queued(made.instance, build_defs(made.settings).resolve_job_def("ingest"), dict(urgent.tags))
    assert _next_of_the_queue(made) == urgent.partition_key


def test_a_file_that_somebody_waits_for_does_not_wait_for_one_of_a_backfill_to_be_read(made: Pipeline) -> None:
    huge = make_clip(made.settings.uploads_dir / "huge.mp4", seconds=1, fps=5)
    (made.settings.uploads_dir / "backfill").mkdir()
    huge = huge.rename(made.settings.uploads_dir / "backfill" / "huge.mp4")
    with held(huge), dg.build_sensor_context(instance=made.instance) as context:
        settings, examiner = made.settings.model_copy(update={"intake_budget_s": 1e-9}), Examiner()
        intake = Intake(made.store, made.staging)
        assert intake_tick(context, settings, intake, made.store, examiner) == []
        make_clip(made.settings.uploads_dir / "small.mp4", seconds=1, fps=6)
        deadline = time.monotonic() + 60
        while not (wanted := intake_tick(context, settings, intake, made.store, examiner)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert [pending.video_id[:5] for pending in wanted] == ["small"]


def test_a_run_is_ended_that_takes_longer_than_all_its_stages_may(made: Pipeline) -> None:
    make_clip(made.settings.uploads_dir / "clip.mp4", seconds=1)
    (request,) = tick(made).run_requests or ()
    limits = ("frames", "captions", "transcripts", "detections")
    together = sum(getattr(made.settings, f"{stage}_limit_s") for stage in limits)
    assert float(request.tags["dagster/max_runtime"]) > together


def test_a_tick_ends_in_time_and_the_next_goes_on(made: Pipeline) -> None:
    for number in range(3):
        make_clip(made.settings.uploads_dir / f"{number}.mp4", seconds=1, fps=5 + number)
    settings, examiner = made.settings.model_copy(update={"intake_budget_s": 1e-9}), Examiner()
    admitted = [0]
    with dg.build_sensor_context(instance=made.instance) as context:
        for _ in range(1000):
            intake_tick(context, settings, Intake(made.store, made.staging), made.store, examiner)
            admitted.append(len(made.store.status()))
            if admitted[-1] == 3:
                break
            time.sleep(0.01)
    assert admitted[1] < 3
    assert admitted[-1] == 3


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Whoever opens the file to read it waits until the block ends, as for a disk that does not answer."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    with path.open("r+b") as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        try:
            yield
        finally:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            signal.signal(signal.SIGIO, before)


def _next_of_the_queue(made: Pipeline) -> str:
    """The partition of the run that Dagster's daemon would launch next."""
    settings = {
        "telemetry": {"enabled": False},
        "run_coordinator": {
            "module": "dagster._core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {"max_concurrent_runs": 1},
        },
    }
    with dg.DagsterInstance.local_temp(str(made.settings.home / "dagster"), settings) as instance:
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=5)
        (run,) = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
    (status,) = [row for row in made.store.status() if row["upload_id"] == run.tags[ATTEMPT_TAG].split(":")[0]]
    return str(status["video_id"])


def _run(made: Pipeline, attempt: str) -> None:
    job = build_defs(made.settings).resolve_job_def("ingest")
    job.execute_in_process(
        instance=made.instance,
        partition_key=made.store.status()[0]["video_id"],
        tags={ATTEMPT_TAG: attempt},
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
