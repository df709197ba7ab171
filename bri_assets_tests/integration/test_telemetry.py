"""What real ingests tell: lines with video, run and stage, metrics that add up, a trace a run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import dagster as dg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bri_assets.sensors.traces import build_traces_sensor
from bri_assets.settings import Settings
from bri_assets.telemetry import process
from bri_assets.telemetry.traces import Tracer
from bri_assets_tests.clips import make_clip
from bri_assets_tests.collectors import Collector, collector
from bri_assets_tests.commands import ROOT, Bri

STAGES = {"source_video", "frames", "captions", "detections", "transcripts", "committed_video", "search_index"}
T = TypeVar("T")

JSON = {"BRI_LOG_FORMAT": "json", "BRI_LOG_LEVEL": "info"}


@dataclass(frozen=True)
class Told:
    """Two clips, ingested by two processes, and what they said on standard error."""

    bri: Bri
    folder: Path
    far: Collector
    lines: list[list[dict[str, Any]]]

    @property
    def runs(self) -> dict[str, str]:
        """Dagster's runs: id by video."""
        with dg.DagsterInstance.from_config(str(self.bri.home / "dagster")) as instance:
            return {run.tags["dagster/partition"]: run.run_id for run in instance.get_runs()}


@pytest.fixture(scope="module")
def told(light_variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("telemetry")
    with collector() as far:
        bri = Bri(folder / "data", light_variables | JSON | far.variables | {"BRI_METRICS": "on"})
        lines = []
        for fps, name in enumerate(("one", "two"), start=6):
            done = bri.run("ingest", make_clip(folder / f"{name}.mp4", seconds=4, fps=fps))
            assert done.returncode == 0, done.stdout + done.stderr
            lines.append([json.loads(line) for line in done.stderr.splitlines()])
        yield Told(bri, folder, far, lines)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def done(found: dict[Any, float], stage: str) -> float:
    return found.get(("bri_stages_total", (("outcome", "done"), ("stage", stage))), 0.0)


def test_every_line_parses_and_names_video_run_and_stage(told: Told) -> None:
    runs = told.runs
    assert len(runs) == 2
    for lines in told.lines:
        ended = [line for line in lines if line["event"] == "stage ended"]
        assert {line["stage"] for line in ended} == STAGES
        for line in lines:
            assert {"timestamp", "level", "logger", "event"} <= line.keys()
            assert line["timestamp"].endswith("Z")
        for line in (line for line in lines if line["logger"].startswith("bri_assets.")):
            assert runs[line["video"]] == line["run"]
            assert line["stage"] in STAGES


def test_metrics_of_two_processes_add_up(told: Told) -> None:
    found = samples(told.bri("metrics"))
    assert {done(found, stage) for stage in STAGES} == {2.0}
    frames = found["bri_stage_rows_total", (("model", ""), ("stage", "frames"))]
    assert frames == sum(row["frames"] for row in told.bri.status().values()) > 0
    assert found["bri_commit_duration_seconds_count", ()] == 2
    assert found["bri_commits_total", (("outcome", "committed"),)] == 2
    assert found["bri_upload_outcomes_total", (("outcome", "accepted"),)] == 2
    assert found["bri_uploads", (("state", "committed"),)] == found["bri_videos", ()] == 2
    assert found["bri_store_up", ()] == 1
    assert not any("one-" in str(key) or "two-" in str(key) for key in found)


def test_each_run_is_one_trace_with_its_stages_under_one_root(told: Told) -> None:
    assert {span.trace for span in told.far.spans} == {UUID(run).hex for run in told.runs.values()}
    for trace in {span.trace for span in told.far.spans}:
        spans = [span for span in told.far.spans if span.trace == trace]
        (root,) = [span for span in spans if not span.parent]
        assert (root.name, root.failed) == ("ingest", False)
        stages = [span for span in spans if span.parent]
        assert sorted(span.name for span in stages) == sorted(STAGES)
        assert {span.parent for span in stages} == {root.span}
        assert len({span.attributes["bri.video.id"] for span in stages}) == 1
        assert all(root.began_s <= span.began_s <= span.ended_s <= root.ended_s for span in stages)


def test_metrics_as_a_file_and_over_http(told: Told, tmp_path: Path) -> None:
    told.bri("metrics", "--output", tmp_path / "bri.prom")
    assert [path.name for path in tmp_path.iterdir()] == ["bri.prom"]
    assert done(samples((tmp_path / "bri.prom").read_text()), "frames") == 2
    assert "end in .prom" in told.bri("metrics", "--output", tmp_path / "bri.txt", exits=2)
    with told.bri.start("metrics", "--serve", "0") as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[0]
            assert url.startswith("http://127.0.0.1:")
            answer = httpx.get(url, timeout=60)
            assert answer.headers["content-type"].startswith("text/plain")
            assert done(samples(answer.text), "frames") == 2
            accepted = httpx.get(url, timeout=60, headers={"accept": "application/openmetrics-text; version=1.0.0"})
            assert accepted.text.endswith("# EOF\n")
        finally:
            server.terminate()


def test_the_owner_counts_its_operations_and_logs_json(told: Told) -> None:
    environment = told.bri.environment
    with subprocess.Popen(
        [sys.executable, "-m", "bri_assets.serve.owner"],
        env=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as owner:
        try:
            assert owner.stderr is not None
            line = json.loads(owner.stderr.readline())
            assert (line["logger"], line["level"]) == ("bri_assets.serve.owner", "info")
            told.bri("status")
            found = samples(told.bri("metrics"))
        finally:
            owner.terminate()
    assert found["bri_store_operations_total", (("operation", "Store.status"), ("outcome", "done"))] == 1
    assert found["bri_store_operation_duration_seconds_count", (("operation", "Store.status"),)] == 1


def test_what_a_killed_ingest_counted_is_kept_and_its_slot_taken_again(told: Told) -> None:
    clip = make_clip(told.folder / "three.mp4", seconds=2, fps=11)
    before = done(samples(told.bri("metrics")), "source_video")
    files = sorted(path.name for path in (told.bri.home / "metrics").iterdir())
    with told.bri.start("ingest", clip) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{") and json.loads(line).get("stage") == "frames":
                process.kill()
                break
    assert done(samples(told.bri("metrics")), "source_video") == before + 1
    told.bri("ingest", clip)
    found = samples(told.bri("metrics"))
    assert done(found, "committed_video") == before + 1
    assert sorted(path.name for path in (told.bri.home / "metrics").iterdir()) == files


@pytest.mark.timeout(600)
def test_a_step_a_process_makes_one_trace_too(light_variables: dict[str, str], tmp_path: Path) -> None:
    with collector() as far:
        variables = light_variables | JSON | far.variables | {"BRI_METRICS": "on", "BRI_EXECUTOR": "multiprocess"}
        bri = Bri(tmp_path / "data", variables)
        bri("ingest", make_clip(tmp_path / "clip.mp4", seconds=2))
        (row,) = bri.status().values()
    assert len({span.trace for span in far.spans}) == 1
    assert {span.attributes["bri.video.id"] for span in far.spans if span.parent} == {row["video_id"]}
    assert sorted(span.name for span in far.spans) == sorted([*STAGES, "ingest"])
    assert len({span.parent for span in far.spans if span.parent}) == 1
    found = samples(bri("metrics"))
    assert {done(found, stage) for stage in STAGES} == {1.0}


@pytest.mark.timeout(600)
def test_a_run_that_the_daemon_started_gets_its_root_from_the_sensor(
    light: dict[str, Any], light_variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as far:
        bri = Bri(tmp_path / "data", light_variables | far.variables)
        bri("ingest", make_clip(tmp_path / "by hand.mp4", seconds=2, fps=5))
        make_clip(bri.home / "uploads" / "dropped.mp4", seconds=2, fps=6)
        with daemon(bri), dg.DagsterInstance.from_config(str(bri.home / "dagster")) as instance:
            run = _ended(instance, "dropped-")
            _until(lambda: run.run_id in {span.attributes["dagster.run.id"] for span in far.spans if not span.parent})
        spans = [span for span in far.spans if span.trace == UUID(run.run_id).hex]
        assert sorted(span.name for span in spans) == sorted([*STAGES, "ingest"])

    # Whatever its cursor, the sensor tells nothing of the run that told its end itself; and nothing twice.
    with dg.DagsterInstance.from_config(str(bri.home / "dagster")) as instance, collector() as far:
        for name, value in far.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(process._process, "tracer", Tracer())
        settings = Settings(home=bri.home, **light)
        cursor = _tick(instance, settings, "0")
        assert [(span.name, span.trace) for span in far.spans] == [("ingest", UUID(run.run_id).hex)]
        assert _tick(instance, settings, cursor) == cursor
        assert _tick(instance, settings, None) >= cursor
        assert len(far.spans) == 1


@contextmanager
def daemon(bri: Bri) -> Iterator[None]:
    environment = bri.environment | {"DAGSTER_HOME": str(bri.home / "dagster")}
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "bri_assets.definitions"]
    with (bri.home / "daemon.log").open("wb") as log:
        started = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        try:
            yield
        finally:
            started.terminate()
            started.wait()


def _tick(instance: dg.DagsterInstance, settings: Settings, cursor: str | None) -> str:
    resources = {"settings": settings}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        assert isinstance(build_traces_sensor()(context), dg.SkipReason)
        return str(context.cursor)


def _ended(instance: dg.DagsterInstance, beginning: str) -> dg.DagsterRun:
    def ended() -> list[dg.DagsterRun]:
        runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        return [run for run in runs if run.tags["dagster/partition"].startswith(beginning)]

    return _until(ended)[0]


def _until(found: Callable[[], T]) -> T:
    deadline = time.monotonic() + 250
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError("it did not come to that in time")
