"""Something breaks between two steps of the job: the run fails and says why, nothing is committed, a rerun mends it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from bri_assets.assets.outcome import backoff_s
from bri_assets.errors import ModelFailed
from bri_assets.models.detector import Detection, Detector
from bri_assets_tests.clips import make_clip
from bri_assets_tests.pipeline import Pipeline, pipeline
from bri_assets_tests.snapshots import snapshot

STAGED = ["source_video", "frames", "captions", "detections", "transcripts"]


@pytest.fixture
def made(tmp_path: Path, light: dict[str, Any]) -> Iterator[Pipeline]:
    with pipeline(tmp_path / "data", **light, retries=2) as opened:
        yield opened


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", seconds=7)


def failure(result: dg.ExecuteInProcessResult) -> tuple[str, str]:
    """The step that failed, and what it said."""
    assert not result.success
    event = result.get_step_failure_events()[0]
    data = event.step_failure_data
    assert data.user_failure_data is not None, data.error
    return str(event.step_key), str(data.user_failure_data.description)


def attempts(result: dg.ExecuteInProcessResult) -> int:
    return 1 + sum(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)


def test_an_image_lost_before_the_commit_refuses_it_and_a_rerun_mends_it(made: Pipeline, clip: Path) -> None:
    video_id = made.accept(clip).video_id
    assert made.run(video_id, STAGED).success
    image = sorted((made.settings.frames_dir / video_id).iterdir())[1]
    image.unlink()
    before = snapshot(made.store, without=("audit_log", "uploads"))

    result = made.run(video_id, ["committed_video"])

    step, said = failure(result)
    assert (step, attempts(result)) == ("committed_video", 1)
    assert "every_image_is_the_staged_one" in said
    verdict = made.verdict("committed_video", "proofs")
    assert (verdict.passed, verdict.partition) == (False, video_id)
    (record,) = verdict.metadata["offending/every_image_is_the_staged_one"].records
    assert (record.data["frame_index"], record.data["on_disk"]) == (1, "null")
    assert snapshot(made.store, without=("audit_log", "uploads")) == before
    assert made.store.status()[0]["state"] == "failed"
    assert "every_image_is_the_staged_one" in made.store.status()[0]["reason"]

    assert made.run(video_id).success
    assert made.verdict("committed_video", "proofs").passed
    assert made.store.status()[0]["state"] == "committed"


def test_a_damaged_image_is_a_failed_model_and_never_an_empty_table(made: Pipeline, clip: Path) -> None:
    video_id = made.accept(clip).video_id
    assert made.run(video_id, ["source_video", "frames"]).success
    sorted((made.settings.frames_dir / video_id).iterdir())[2].write_bytes(b"no JPEG")
    result = made.run(video_id, ["detections"])
    step, said = failure(result)
    assert (step, attempts(result)) == ("detections", 1)
    assert "000002-" in said
    assert not (made.settings.staged_dir / video_id / "detections.json").exists()


class RaisingDetector(Detector):
    """A double: no real weights raise at a chosen frame."""

    def detect(self, frames: Any, report: Any) -> list[Detection]:
        raise ModelFailed("yolo", "raised at frame 3: out of memory.", "Lower BRI_DETECTOR_BATCH_SIZE.")


def test_a_model_that_raises_fails_the_run_and_the_old_version_stays(
    tmp_path: Path, light: dict[str, Any], clip: Path
) -> None:
    with pipeline(tmp_path / "data", **light) as made:
        video_id = made.accept(clip).video_id
        assert made.run(video_id).success
    broken = {"detector": RaisingDetector(model="yolo26n.pt", weights_dir=str(light["models_dir"]))}
    with pipeline(tmp_path / "data", broken, **light) as made:
        before = snapshot(made.store)
        result = made.run(video_id)
        assert failure(result) == (
            "detections",
            "yolo: raised at frame 3: out of memory. Lower BRI_DETECTOR_BATCH_SIZE.",
        )
        assert attempts(result) == 1
        assert snapshot(made.store) == before
        assert made.store.status()[0]["state"] == "committed"


def test_rows_that_break_the_schema_are_shown_and_not_staged(tmp_path: Path, light: dict[str, Any], clip: Path) -> None:
    class Wrong(Detector):
        """A double: a real model gives no confidence above 1."""

        def detect(self, frames: Any, report: Any) -> list[Detection]:
            return [Detection(0, 0, 15, "cat", 1.5, 0, 0, 10, 10), Detection(0, 1, 15, "cat", 0.5, 5, 0, 5, 10)]

    with pipeline(
        tmp_path / "data", {"detector": Wrong(model="yolo26n.pt", weights_dir=str(light["models_dir"]))}, **light
    ) as made:
        video_id = made.accept(clip).video_id
        result = made.run(video_id)
        assert failure(result)[0] == "detections"
        verdict = made.verdict("detections", "schema")
        assert (verdict.passed, verdict.blocking, verdict.partition) == (False, True, video_id)
        failing = [record.data for record in verdict.metadata["failing"].records]
        assert any(row["column"] == "confidence" and row["failure_case"] == 1.5 for row in failing)
        assert any(row["check"] == "x1 < x2" for row in failing)
        assert made.instance.get_materialized_partitions(dg.AssetKey("detections")) == set()
        assert made.store.status()[0]["version"] is None


def test_an_upload_replaced_while_it_is_read_fails_the_run(made: Pipeline, clip: Path) -> None:
    video_id = made.accept(clip).video_id
    assert made.run(video_id, ["source_video"]).success
    make_clip(clip, seconds=5)
    step, said = failure(made.run(video_id, ["frames"]))
    assert step == "frames"
    assert "changed while it was read" in said
    step, said = failure(made.run(video_id, ["source_video"]))
    assert "no longer those that were accepted" in said


def test_captions_of_other_frames_are_refused_until_they_are_made_again(
    tmp_path: Path, light: dict[str, Any], clip: Path
) -> None:
    with pipeline(tmp_path / "data", **light) as made:
        video_id = made.accept(clip).video_id
        assert made.run(video_id).success
    with pipeline(tmp_path / "data", **light, frame_interval_s=3) as made:
        assert made.run(video_id, ["frames"]).success
        assert "inputs_are_the_staged_tables" in failure(made.run(video_id, ["committed_video"]))[1]
        assert made.store.video(video_id)["video"]["version"] == 1
        assert made.run(video_id, ["detections", "captions", "committed_video"]).success
        found = made.store.video(video_id)
        assert (found["video"]["version"], found["video"]["sample_interval_s"]) == (2, 3.0)
        assert [row["timestamp_s"] for row in found["frames"]] == pytest.approx([0, 3, 6], abs=0.01)


def test_a_busy_store_is_waited_for_by_retries(
    tmp_path: Path, light: dict[str, Any], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipeline(tmp_path / "data", **light, retries=2, store_wait_s=0.3) as made:
        video_id = made.accept(clip).video_id
        assert made.run(video_id, STAGED).success
        holder = _hold(made, seconds=60)

        def wait_until_the_store_is_free(attempt: int) -> float:
            holder.kill()
            holder.wait()
            return 0.1 * attempt

        monkeypatch.setattr("bri_assets.assets.outcome.backoff_s", wait_until_the_store_is_free)
        result = made.run(video_id, ["committed_video"])
        assert result.success
        assert attempts(result) == 2


def test_the_wait_before_a_retry_grows_and_differs_by_chance() -> None:
    waits = [[backoff_s(attempt) for _ in range(50)] for attempt in range(8)]
    assert all(min(30.0, 2.0**n) <= wait <= 1.5 * min(30.0, 2.0**n) for n, tried in enumerate(waits) for wait in tried)
    assert all(len(set(tried)) > 40 for tried in waits)


def test_a_store_that_stays_busy_fails_the_run_after_its_retries(
    tmp_path: Path, light: dict[str, Any], clip: Path
) -> None:
    with pipeline(tmp_path / "data", **light, retries=1, store_wait_s=0.2) as made:
        video_id = made.accept(clip).video_id
        assert made.run(video_id, STAGED).success
        holder = _hold(made, seconds=60)
        result = made.run(video_id, ["committed_video"])
        holder.kill()
        holder.wait()
        assert attempts(result) == 2
        assert "BRI_STORE_WAIT_S" in failure(result)[1]
        assert made.run(video_id, ["committed_video"]).success


def _hold(made: Pipeline, seconds: float) -> subprocess.Popen[str]:
    program = f"""
import time
from pathlib import Path
from bri_assets.store import StoreFile
with StoreFile(Path({str(made.settings.store_path)!r})).open():
    print("held", flush=True)
    time.sleep({seconds})
"""
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder
