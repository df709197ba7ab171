"""What of a recipe a machine has is found by hash, and what it lacks is said before anything is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import pytest

from bri_assets.errors import RerunFailed, SourceMissing, WeightsDamaged, WeightsMissing
from bri_assets.files import sha256_bytes, sha256_file
from bri_assets.models.weights import folder_sha256
from bri_assets.processes import name_of
from bri_assets.reproduce import Difference, Machine, look, plan, rerun
from bri_assets.settings import Settings
from bri_assets.staging import Source, StagingArea
from bri_assets_tests.clips import make_text
from bri_assets_tests.unit.reproduce.conftest import CONTENT, NO_HASH, step_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with the file and the weights that the lineage names."""
    made = Settings(home=tmp_path / "home")
    for kind, name, content in (("detector", "yolo26n.pt", b"yolo"), ("transcriber", "tiny.en.pt", b"whisper")):
        write_weights(made, kind, name, content)
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    source = Source(
        video_id="clip-0123456789ab",
        path=str(tmp_path / "clip.mp4"),
        filename="clip.mp4",
        sha256=sha256_bytes(CONTENT),
        signature="1-2-3-4-5",
    )
    StagingArea(made.staged_dir).accept(source)
    return made


def write_weights(settings: Settings, kind: str, name: str, content: bytes) -> Path:
    path = settings.weights_dir / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    record = {"model": name, "source": "a test", "sha256": sha256_file(path), "fetched_at": "2026-01-01T00:00:00+00:00"}
    path.with_name(f"{name}.json").write_text(json.dumps(record))
    return path


def look_at(found: dict[str, Any], settings: Settings) -> Machine:
    return look(plan(found), settings, StagingArea(settings.staged_dir))


def test_what_is_here_is_found(found: dict[str, Any], settings: Settings, tmp_path: Path) -> None:
    machine = look_at(found, settings)
    assert machine.problems == ()
    assert machine.source == tmp_path / "clip.mp4"
    assert set(machine.weights) == {"detections", "transcripts"}
    assert machine.environment == plan(found).environment | {"BRI_MODELS_DIR": str(settings.weights_dir)}
    assert machine.command == ["bri", "ingest", "--", str(tmp_path / "clip.mp4")]


def test_other_libraries_and_constants_are_differences(found: dict[str, Any], settings: Settings) -> None:
    step_of(found, "detections")["parameters"] = json.dumps(
        {"threshold": 0.25, "batch_size": 8, "device": "cpu", "imgsz": 320, "torch": "0.1"}
    )
    differences = look_at(found, settings).differences
    assert Difference("detections", "ultralytics", "1.0", version("ultralytics")) in differences
    assert Difference("detections", "torch", "0.1", version("torch")) in differences
    assert Difference("detections", "imgsz", 320, 640) in differences
    assert ("captions", "weights", NO_HASH) in [(one.table, one.what, one.recorded) for one in differences]
    assert "weights_source" not in [one.what for one in differences]


def test_a_file_that_moved_into_uploads_is_found(found: dict[str, Any], settings: Settings, tmp_path: Path) -> None:
    settings.uploads_dir.mkdir()
    (tmp_path / "clip.mp4").rename(settings.uploads_dir / "clip.mp4")
    assert look_at(found, settings).source == settings.uploads_dir / "clip.mp4"


@pytest.mark.parametrize("change", ["gone", "longer", "same length"])
def test_another_file_is_a_problem(found: dict[str, Any], settings: Settings, tmp_path: Path, change: str) -> None:
    clip = tmp_path / "clip.mp4"
    if change == "gone":
        clip.unlink()
    else:
        clip.write_bytes(CONTENT + b"!" if change == "longer" else CONTENT[::-1])
    machine = look_at(found, settings)
    (problem,) = machine.problems
    assert isinstance(problem, SourceMissing)
    assert str(clip) in str(problem)
    assert sha256_bytes(CONTENT) in problem.remedy
    assert machine.source is None
    with pytest.raises(SourceMissing):
        rerun(plan(found), machine, settings, print)


def test_weights_are_found_under_another_name_by_their_hash(found: dict[str, Any], settings: Settings) -> None:
    step_of(found, "detections")["model"] = "mine.pt"
    by_setting = look_at(found, settings)
    assert (by_setting.problems, by_setting.environment["BRI_DETECTOR_MODEL"]) == ((), "yolo26n.pt")
    among_all = look_at(found, settings.model_copy(update={"detector_model": "other.pt"}))
    path = settings.weights_dir / "detector" / "yolo26n.pt"
    assert (among_all.problems, among_all.environment["BRI_DETECTOR_MODEL"]) == ((), str(path))


def test_weights_at_a_local_path_are_found_by_todays_setting(
    found: dict[str, Any], settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere" / "blip"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"blip")
    step_of(found, "captions").update(
        tool="transformers",
        model="blip",
        weights_sha256=folder_sha256(folder),
        parameters=json.dumps({"max_tokens": 30, "batch_size": 8, "device": "cpu"}),
    )
    assert [type(problem) for problem in look_at(found, settings).problems] == [WeightsMissing]
    machine = look_at(found, settings.model_copy(update={"captioner_model": str(folder)}))
    assert (machine.problems, machine.environment["BRI_CAPTIONER_MODEL"]) == ((), str(folder))


def test_other_weights_of_that_name_are_a_problem_that_names_both(found: dict[str, Any], settings: Settings) -> None:
    write_weights(settings, "detector", "yolo26n.pt", b"newer")
    (problem,) = look_at(found, settings).problems
    assert isinstance(problem, WeightsDamaged)
    assert sha256_bytes(b"yolo") in str(problem)
    assert sha256_bytes(b"newer") in str(problem)


def test_a_device_that_is_not_here_is_a_problem(found: dict[str, Any], settings: Settings) -> None:
    parameters = {"threshold": 0.25, "batch_size": 8, "device": "cuda:99"}
    step_of(found, "detections")["parameters"] = json.dumps(parameters)
    assert "cuda:99" in str(look_at(found, settings).problems[0])


def test_a_run_that_does_not_commit_is_an_error_and_leaves_nothing(
    found: dict[str, Any], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRI_SETTLE_S", "0")
    machine = look_at(found, settings)
    no_video = Machine(make_text(tmp_path / "minutes.mp4"), machine.weights, machine.environment, (), ())
    told: list[str] = []
    with pytest.raises(RerunFailed, match="refused") as raised:
        rerun(plan(found), no_video, settings, told.append)
    assert "minutes.mp4" in str(raised.value)
    assert any("refused" in line for line in told)
    assert list((settings.home / "scratch").iterdir()) == []


def test_what_a_killed_run_left_is_removed_and_another_living_runs_home_is_not(
    found: dict[str, Any], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRI_SETTLE_S", "0")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        left = settings.home / "scratch" / name_of(psutil.Process(process.pid))
        process.kill()
    working = settings.home / "scratch" / name_of(psutil.Process(os.getppid()))
    for folder in (left, working):
        (folder / "store").mkdir(parents=True)
    no_video = Machine(make_text(tmp_path / "minutes.mp4"), {}, look_at(found, settings).environment, (), ())
    with pytest.raises(RerunFailed):
        rerun(plan(found), no_video, settings, print)
    assert list((settings.home / "scratch").iterdir()) == [working]
