"""What is materialized alone is followed up to a new version; what an ingest makes, fails or is refused is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from bri_assets.definitions import build_defs
from bri_assets.errors import ModelFailed
from bri_assets.jobs import INGEST
from bri_assets.models.detector import Detection, Detector
from bri_assets.runs import ATTEMPT_TAG
from bri_assets.sensors.automation import AUTOMATION_TAG
from bri_assets.store.deletion import Deletion
from bri_assets.store.history import History
from bri_assets_tests.clips import make_clip
from bri_assets_tests.pipeline import Pipeline, pipeline
from bri_assets_tests.unit.assets.conftest import ASSETS


class Automation:
    """The conditions, evaluated as the daemon does; what they request is run as the daemon would."""

    def __init__(self, made: Pipeline) -> None:
        self.made, self._cursor = made, None
        self.tick()

    def tick(self) -> dict[str, set[str]]:
        """Which assets are requested for which videos."""
        result = dg.evaluate_automation_conditions(
            build_defs(self.made.settings),
            self.made.instance,
            asset_selection=dg.AssetSelection.groups("staged", "committed", "derived"),
            cursor=self._cursor,
        )
        self._cursor = result.cursor
        requested: dict[str, set[str]] = {}
        for name in ASSETS:
            for video_id in result.get_requested_partitions(dg.AssetKey(name)):
                assert video_id is not None
                requested.setdefault(video_id, set()).add(name)
        return requested

    def follow(self, requested: set[str], video_id: str) -> dg.ExecuteInProcessResult:
        """Run what was requested."""
        return run(self.made, video_id, sorted(requested), {AUTOMATION_TAG: "followed"})


def run(made: Pipeline, video_id: str, assets: list[str] | None, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    job = build_defs(made.settings, resource_overrides=made.overrides).resolve_job_def(INGEST)
    return job.execute_in_process(
        instance=made.instance,
        partition_key=video_id,
        asset_selection=None if assets is None else [dg.AssetKey(name) for name in assets],
        tags=tags,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


@pytest.fixture
def made(tmp_path: Path, light: dict[str, Any]) -> Iterator[Pipeline]:
    with pipeline(tmp_path / "data", **light) as opened:
        yield opened


@pytest.fixture
def video_id(made: Pipeline, tmp_path: Path) -> str:
    accepted = made.accept(make_clip(tmp_path / "clip.mp4", seconds=3)).video_id
    assert made.run(accepted).success
    return accepted


def test_captions_alone_end_in_a_new_version_and_that_is_all(made: Pipeline, video_id: str) -> None:
    automation = Automation(made)
    assert made.run(video_id, ["captions"]).success
    requested = automation.tick()
    assert requested == {video_id: {"committed_video", "search_index"}}
    assert automation.tick() == {}
    assert automation.follow(requested[video_id], video_id).success
    assert made.store.video(video_id)["video"]["version"] == 2
    assert automation.tick() == {}


def test_other_frames_make_all_anew_that_is_made_from_them(
    tmp_path: Path, light: dict[str, Any], made: Pipeline, video_id: str
) -> None:
    automation = Automation(made)
    with pipeline(tmp_path / "data", **light, frame_interval_s=1) as changed:
        assert changed.run(video_id, ["frames"]).success
        requested = automation.tick()
        assert requested == {video_id: {"detections", "captions", "committed_video", "search_index"}}
        automation.made = changed
        assert automation.follow(requested[video_id], video_id).success
        assert changed.store.video(video_id)["video"]["sample_interval_s"] == 1.0
        assert automation.tick() == {}


def test_the_same_frames_again_leave_what_was_made_from_them(made: Pipeline, video_id: str) -> None:
    automation = Automation(made)
    assert made.run(video_id, ["frames"]).success
    assert automation.tick() == {video_id: {"committed_video", "search_index"}}


def test_an_ingest_starts_nothing_whole_or_failed(tmp_path: Path, light: dict[str, Any], made: Pipeline) -> None:
    automation = Automation(made)
    for number in range(2):
        video_id = made.accept(make_clip(tmp_path / f"{number}.mp4", seconds=1 + number)).video_id
        assert run(made, video_id, None, {ATTEMPT_TAG: "a"} if number else {}).success
        assert automation.tick() == {}
    again = made.accept(make_clip(tmp_path / "3.mp4", seconds=4)).video_id
    with pipeline(tmp_path / "data", {"detector": raising(light)}, **light) as broken:
        assert not run(broken, again, None, {ATTEMPT_TAG: "b"}).success
    assert automation.tick() == {}
    assert automation.tick() == {}


def test_a_failed_ingest_of_other_frames_is_not_taken_over(
    tmp_path: Path, light: dict[str, Any], made: Pipeline, video_id: str
) -> None:
    """All that the commit needs is there, from two attempts; only who counts attempts may make another."""
    automation = Automation(made)
    with pipeline(tmp_path / "data", {"detector": raising(light)}, **light, jpeg_quality=30) as broken:
        assert not run(broken, video_id, None, {ATTEMPT_TAG: "b"}).success
    assert automation.tick() == {}
    # A person who mends it step by step is followed once all of it is mended.
    with pipeline(tmp_path / "data", **light, jpeg_quality=30) as mended:
        assert mended.run(video_id, ["detections"]).success
        assert automation.tick() == {}
        assert mended.run(video_id, ["captions"]).success
        assert automation.tick() == {video_id: {"committed_video", "search_index"}}


def test_a_run_that_it_started_and_that_fails_is_not_started_again(
    tmp_path: Path, light: dict[str, Any], made: Pipeline, video_id: str
) -> None:
    automation = Automation(made)
    with pipeline(tmp_path / "data", {"detector": raising(light)}, **light, jpeg_quality=30) as broken:
        assert broken.run(video_id, ["frames"]).success
        requested = automation.tick()[video_id]
        automation.made = broken
        assert not automation.follow(requested, video_id).success
        assert [automation.tick() for _ in range(3)] == [{}, {}, {}]


def test_a_blocking_check_that_failed_stops_it_until_it_passes(made: Pipeline, video_id: str) -> None:
    automation = Automation(made)
    assert made.run(video_id, ["captions"]).success
    refuse(made, video_id)
    assert automation.tick() == {}
    assert made.run(video_id, ["transcripts"]).success
    assert automation.tick() == {}
    assert made.run(video_id, ["captions"]).success
    assert automation.tick() == {video_id: {"committed_video", "search_index"}}


def test_a_verdict_on_what_was_replaced_refuses_nothing(made: Pipeline, video_id: str) -> None:
    automation = Automation(made)
    refuse(made, video_id)
    made.instance.report_runless_asset_event(dg.AssetMaterialization("captions", partition=video_id))
    assert automation.tick() == {video_id: {"committed_video", "search_index"}}


def test_one_video_that_is_refused_stops_no_other(made: Pipeline, video_id: str, tmp_path: Path) -> None:
    other_id = made.accept(make_clip(tmp_path / "other.mp4", seconds=2)).video_id
    assert made.run(other_id).success
    automation = Automation(made)
    for one in (video_id, other_id):
        assert made.run(one, ["captions"]).success
    refuse(made, video_id)
    assert automation.tick() == {other_id: {"committed_video", "search_index"}}


def test_a_staged_table_that_is_not_there_is_waited_for(made: Pipeline, tmp_path: Path) -> None:
    video_id = made.accept(make_clip(tmp_path / "new.mp4", seconds=2)).video_id
    automation = Automation(made)
    assert made.run(video_id, ["source_video", "frames", "detections", "captions"]).success
    assert automation.tick() == {video_id: {"transcripts", "committed_video", "search_index"}}


def test_a_deleted_video_is_not_committed_until_it_is_undeleted(made: Pipeline, video_id: str) -> None:
    automation = Automation(made)
    Deletion.of(made.settings).delete(video_id, channel="test")
    assert made.run(video_id, ["captions"]).success
    assert automation.tick() == {}
    assert automation.tick() == {}
    Deletion.of(made.settings).undelete(video_id, channel="test")
    requested = automation.tick()
    assert requested == {video_id: {"committed_video", "search_index"}}
    assert automation.follow(requested[video_id], video_id).success
    assert [row.version for row in History.of(made.settings).history(video_id).versions] == [1, 2]


def test_changed_settings_start_nothing_by_themselves(
    tmp_path: Path, light: dict[str, Any], made: Pipeline, video_id: str
) -> None:
    automation = Automation(made)
    with pipeline(tmp_path / "data", **light, detector_threshold=0.5) as changed:
        automation.made = changed
        assert automation.tick() == {}


def test_many_videos_are_looked_at_together(made: Pipeline) -> None:
    """200 partitions that all changed at once: one look, and each is requested once."""
    many = [f"video-{number:012x}" for number in range(200)]
    made.instance.add_dynamic_partitions("videos", many)
    for name in ASSETS:
        for video_id in many:
            made.instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=video_id))
    automation = Automation(made)
    for video_id in many:
        made.instance.report_runless_asset_event(dg.AssetMaterialization("captions", partition=video_id))
    assert automation.tick() == {video_id: {"committed_video", "search_index"} for video_id in many}
    assert automation.tick() == {}


def refuse(made: Pipeline, video_id: str) -> None:
    """A blocking check of what is staged fails, outside of any run."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("captions"), asset_partitions=[video_id])
    (newest,) = made.instance.fetch_materializations(wanted, limit=1).records
    judged = AssetCheckEvaluationTargetMaterializationData(
        storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp
    )
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("captions"),
        check_name="schema",
        passed=False,
        metadata={},
        target_materialization_data=judged,
        partition=video_id,
        blocking=True,
    )
    made.instance.report_runless_asset_event(evaluation)


def raising(light: dict[str, Any]) -> Detector:
    class Raising(Detector):
        """A double: no real weights raise at a chosen frame."""

        def detect(self, frames: Any, report: Any) -> list[Detection]:
            raise ModelFailed("yolo", "raised at frame 1.", "")

    return Raising(model="yolo26n.pt", weights_dir=str(light["models_dir"]))
