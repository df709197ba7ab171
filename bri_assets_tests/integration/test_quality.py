"""Quality figures of real clips: what Dagster shows, what is found, and what `bri quality` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from bri_assets.assets.collection import collection
from bri_assets.commands.quality import app
from bri_assets.errors import VideoNotFound
from bri_assets.health.look import Scene
from bri_assets.health.quality import QUALITY
from bri_assets.store.quality import FIGURES
from bri_assets_tests.clips import SAMPLE, make_clip
from bri_assets_tests.pipeline import Pipeline, pipeline


@dataclass(frozen=True)
class Clips:
    """A pipeline that took three clips in.

    Args:
        pipeline: with its home.
        sample: id of the sample clip.
        still: id of a clip without sound in which nothing is to be seen.
        gap: id of one whose middle is missing.
    """

    pipeline: Pipeline
    sample: str
    still: str
    gap: str


@pytest.fixture(scope="module")
def clips(light: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clips]:
    folder = tmp_path_factory.mktemp("quality")
    paths = [
        SAMPLE,
        make_clip(folder / "still.mp4", seconds=5),
        make_clip(folder / "gap.mp4", times=[0, 0.5, 1, 9, 9.5, 10]),
    ]
    with pipeline(folder / "data", **light) as made:
        claimed = [made.accept(path).video_id for path in paths]
        for video_id in claimed:
            # A figure beyond its threshold stops nothing.
            assert made.run(video_id).success
        yield Clips(made, *claimed)


def evaluations(clips: Clips) -> dict[str, Any]:
    """The verdict of the check on each video."""
    key = dg.AssetCheckKey(dg.AssetKey("committed_video"), "quality")
    records = clips.pipeline.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    events = [record.event.dagster_event for record in records if record.event is not None]
    found = [event.asset_check_evaluation_data for event in events if event is not None]
    return {str(verdict.partition): verdict for verdict in found}


def test_the_check_warns_of_the_clip_with_a_gap_alone(clips: Clips) -> None:
    found = evaluations(clips)
    assert {video_id: verdict.passed for video_id, verdict in found.items()} == {
        clips.sample: True,
        clips.still: True,
        clips.gap: False,
    }
    gap = found[clips.gap]
    assert gap.severity is dg.AssetCheckSeverity.WARN
    assert not gap.blocking
    assert gap.description == "completeness is 0.5, at least 0.9; frames_completeness is 0.5, at least 0.9 is expected."
    shown = {record.data["figure"]: record.data for record in gap.metadata["figures"].value.records}
    assert list(shown) == list(FIGURES)
    assert shown["frames_completeness"]["passed"] is False
    assert shown["frames_completeness"]["setting"] == "BRI_COMPLETENESS_MIN"


def test_each_materialization_has_the_figures_as_numbers(clips: Clips) -> None:
    records = clips.pipeline.instance.fetch_materializations(dg.AssetKey("committed_video"), limit=10).records
    shown = {record.partition_key: record.asset_materialization.metadata for record in records}  # type: ignore[union-attr]
    sample = {name: value.value for name, value in shown[clips.sample].items() if name.startswith("quality/")}
    assert sample["quality/completeness"] == 1.0
    assert 0.5 < sample["quality/transcripts_confidence"] < 1
    assert all(isinstance(value, float) for value in sample.values())
    # What could not be measured is not there, for it would plot as nothing.
    assert "quality/transcripts_confidence" not in shown[clips.still]


def test_only_the_clip_with_a_gap_is_found(clips: Clips) -> None:
    scene = Scene(clips.pipeline.settings, clips.pipeline.instance, datetime.now(UTC))
    assert [(finding.rule, finding.video_id) for finding in QUALITY.find(scene)] == [("incomplete", clips.gap)]


def test_the_collection_measures_what_was_not_and_shows_numbers(clips: Clips) -> None:
    with clips.pipeline.store.file.open() as connection:
        connection.execute("DELETE FROM quality WHERE version_id = 1")
    resources = {"settings": clips.pipeline.settings}
    done = dg.materialize([collection], instance=clips.pipeline.instance, resources=resources)
    (event,) = done.asset_materializations_for_node("collection")
    shown = {name: value.value for name, value in event.metadata.items()}
    assert (shown["videos"], shown["versions"], shown["measured_now"]) == (3, 3, 1)
    assert shown["quality/completeness"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert (shown["least/completeness"], shown["incomplete"], shown["low_accuracy"]) == (0.5, 1, 0)
    assert shown["within_share"] == pytest.approx(2 / 3)
    assert (shown["uploads"], shown["fresh_share"], shown["stuck_uploads"]) == (3, 1.0, 0)
    assert 0 < shown["slowest_h"] < 1
    again = dg.materialize([collection], instance=clips.pipeline.instance, resources=resources)
    (event,) = again.asset_materializations_for_node("collection")
    assert event.metadata["measured_now"].value == 0


@pytest.fixture
def bri(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    home: Path = clips.pipeline.settings.home
    monkeypatch.setenv("BRI_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner()


def run(bri: CliRunner, *arguments: str) -> str:
    done = bri.invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_person_reads_the_figures_of_a_video(clips: Clips, bri: CliRunner) -> None:
    said = run(bri, "gap")
    assert "gap.mp4" in said
    (line,) = [line for line in said.splitlines() if " frames_completeness " in line]
    assert "0.5 share" in line
    assert "at least 0.9" in line
    found = json.loads(run(bri, "gap", "--json"))
    assert found["video_id"] == clips.gap
    by_name = {row["figure"]: row for row in found["figures"]}
    assert list(by_name) == list(FIGURES)
    assert by_name["frames_completeness"] | {"meaning": ""} == {
        "figure": "frames_completeness",
        "value": 0.5,
        "least": 0.9,
        "most": None,
        "passed": False,
        "unit": "share",
        "meaning": "",
        "setting": "BRI_COMPLETENESS_MIN",
    }
    with pytest.raises(VideoNotFound):
        bri.invoke(app, ["nothing"], catch_exceptions=False)


def test_a_person_reads_the_figures_of_the_collection(clips: Clips, bri: CliRunner) -> None:
    said = run(bri)
    assert "3 videos are shown, of 3 versions" in said
    assert "3 of 3 uploads were committed in time" in said
    assert f"{clips.gap}: completeness 0.5, at least 0.9; frames_completeness 0.5, at least 0.9" in said
    assert clips.sample not in said
    found = json.loads(run(bri, "--json"))
    assert found["videos"] == 3
    assert [video["video_id"] for video in found["beyond"]] == [clips.gap]
