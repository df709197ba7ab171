"""In the real job, a stage that takes too long fails, and a model that fails again and again is not asked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from bri_assets.assets.stage import limits_s, longest_run_s
from bri_assets.breaker import open_breakers
from bri_assets.errors import ImageDamaged, ModelFailed
from bri_assets.models.detector import Detection, Detector
from bri_assets.schemas import STAGED_TABLES
from bri_assets.settings import Settings
from bri_assets_tests.clips import make_clip
from bri_assets_tests.pipeline import Pipeline, pipeline

#: Models that ``Broken`` stood for, a time each.
ASKED: list[str] = []


class Slow(Detector):
    """A double: no real weights are as slow as a test needs; it takes what stops it for an error of its own."""

    def detect(self, frames: Any, report: Any) -> list[Detection]:
        try:
            time.sleep(600)
        except Exception as error:
            raise ModelFailed(self.model, "raised.") from error
        return []


class Broken(Detector):
    """A double: no real weights raise at a chosen frame."""

    def detect(self, frames: Any, report: Any) -> list[Detection]:
        ASKED.append(self.model)
        raise ModelFailed(self.model, "raised at frame 1: out of memory.", "Lower BRI_DETECTOR_BATCH_SIZE.")


class NoImage(Detector):
    """A double of what the detector says of an image that is none."""

    def detect(self, frames: Any, report: Any) -> list[Detection]:
        raise ImageDamaged("a.jpg", "cannot be decoded.")


def doubled(kind: type[Detector], light: dict[str, Any]) -> dict[str, Any]:
    return {"detector": kind(model="yolo26n.pt", weights_dir=str(light["models_dir"]))}


def told(result: dg.ExecuteInProcessResult) -> tuple[str, str, str]:
    """The step that failed, the kind of its error and what it said."""
    (event,) = result.get_step_failure_events()
    data = event.step_failure_data.user_failure_data
    assert data is not None
    return str(event.step_key), str(data.metadata["kind"].value), str(data.description)


def prepared(made: Pipeline, folder: Path) -> str:
    video_id = made.accept(make_clip(folder / "clip.mp4", seconds=3)).video_id
    assert made.run(video_id, ["source_video", "frames"]).success
    return video_id


def test_a_stage_that_takes_too_long_fails_says_so_and_stages_nothing(tmp_path: Path, light: dict[str, Any]) -> None:
    chosen = light | {"detections_limit_s": 0.5, "retries": 3}
    with pipeline(tmp_path / "data", doubled(Slow, light), **chosen) as made:
        video_id = prepared(made, tmp_path)
        result = made.run(video_id, ["detections"])
        step, kind, said = told(result)
        assert (step, kind) == ("detections", "StageTimeout")
        assert f"detections of {video_id}: took longer than 0.5 s and was stopped." in said
        assert "BRI_DETECTIONS_LIMIT_S" in said
        assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
        assert not (made.settings.staged_dir / video_id / "detections.json").exists()
    # And it is the next one's turn all the same.
    with pipeline(tmp_path / "data", **light) as made:
        assert made.run(video_id, ["detections"]).success


def test_frames_that_take_too_long_leave_no_images(tmp_path: Path, light: dict[str, Any]) -> None:
    with pipeline(tmp_path / "data", **light, frames_limit_s=0.001) as made:
        video_id = made.accept(make_clip(tmp_path / "clip.mp4", seconds=3)).video_id
        assert made.run(video_id, ["source_video"]).success
        assert told(made.run(video_id, ["frames"]))[:2] == ("frames", "StageTimeout")
        assert list((made.settings.frames_dir / video_id).glob("*.jpg")) == []


def test_a_model_that_fails_for_one_upload_after_another_is_not_asked_by_the_next(
    tmp_path: Path, light: dict[str, Any]
) -> None:
    ASKED.clear()
    with pipeline(tmp_path / "data", doubled(Broken, light), **light, breaker_failures=2) as made:
        video_id = prepared(made, tmp_path)
        kinds = [told(made.run(video_id, ["detections"]))[1] for _ in range(4)]
        assert kinds == ["ModelFailed", "ModelFailed", "BreakerOpen", "BreakerOpen"]
        assert len(ASKED) == 2
        said = told(made.run(video_id, ["detections"]))[2]
        assert "model:yolo26n.pt: failed 2 times in a row" in said
        assert "raised at frame 1: out of memory" in said
        (found,) = open_breakers(made.settings.home)
        assert (found.name, found.failures) == ("model:yolo26n.pt", 2)
        # What does not need it goes on.
        assert made.run(video_id, ["transcripts"]).success
    # It was mended, and its time is over: one trial, which closes it.
    with pipeline(tmp_path / "data", **light, breaker_reset_s=1e-6) as made:
        assert made.run(video_id, ["detections", "captions"]).success
        assert open_breakers(made.settings.home) == []


def test_what_is_wrong_with_an_upload_is_not_held_against_the_model(tmp_path: Path, light: dict[str, Any]) -> None:
    with pipeline(tmp_path / "data", doubled(NoImage, light), **light, breaker_failures=1) as made:
        video_id = prepared(made, tmp_path)
        assert [told(made.run(video_id, ["detections"]))[1] for _ in range(2)] == ["ImageDamaged", "ImageDamaged"]
        assert open_breakers(made.settings.home) == []


def test_every_stage_that_may_hang_has_a_limit_and_a_run_may_take_all_of_them(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert set(limits_s(settings)) == set(STAGED_TABLES) - {"source_video"}
    assert longest_run_s(settings) > sum(limits_s(settings).values())
    raised = settings.model_copy(update={"captions_limit_s": 100_000.0})
    assert longest_run_s(raised) - longest_run_s(settings) == pytest.approx(1.25 * (100_000 - 14_400), abs=1)
