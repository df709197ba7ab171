"""The same job under other configurations: BLIP, a process a step, another interval, no way to the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest

from bri_assets_tests.clips import make_clip
from bri_assets_tests.commands import Bri
from bri_assets_tests.integration.conftest import SAMPLE
from bri_assets_tests.pipeline import pipeline
from bri_assets_tests.tiny_blip import build_tiny_blip

TAUGHT = {2: "an astronaut in a white suit", 10: "a cat", 20: "a cup of coffee on a table"}


@pytest.fixture(scope="module")
def tiny_blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BLIP's real classes, tiny and overfitted on the sample's scenes: a fixture, never a captioner."""
    pictures = {}
    with av.open(str(SAMPLE)) as container:
        for frame in container.decode(video=0):
            if frame.time in TAUGHT:
                pictures[round(frame.time)] = frame.to_ndarray(format="rgb24")
    folder = tmp_path_factory.mktemp("blip") / "tiny"
    with pytest.warns(UserWarning, match="never a captioner"):
        build_tiny_blip(folder, [(pictures[second], text) for second, text in TAUGHT.items()])
    return folder


@pytest.mark.parametrize("choice", ["blip", "auto"])
def test_blip_captions_where_its_weights_are(
    choice: str, tiny_blip: Path, light: dict[str, Any], tmp_path: Path
) -> None:
    chosen = light | {"captioner": choice, "captioner_model": str(tiny_blip)}
    with pipeline(tmp_path / "data", **chosen) as made:
        video_id = made.accept(SAMPLE).video_id
        assert made.run(video_id).success
        found = made.store.video(video_id)
    texts = [row["text"] for row in found["captions"]]
    assert [texts[1], texts[5], texts[10]] == list(TAUGHT.values())
    assert all(0 < row["confidence"] < 1 for row in found["captions"])
    lineage = {row["table_name"]: row for row in found["lineage"]}["captions"]
    assert (lineage["tool"], lineage["model"]) == ("transformers", "tiny")
    assert list(json.loads(lineage["inputs"])) == ["frames"]


def test_blip_without_weights_is_an_error_that_names_the_ways_out(
    light_variables: dict[str, str], tmp_path: Path
) -> None:
    bri = Bri(tmp_path / "data", light_variables | {"BRI_CAPTIONER": "blip", "BRI_CAPTIONER_MODEL": "nobody/nothing"})
    said = bri("ingest", make_clip(tmp_path / "clip.mp4", seconds=1), exits=1)
    assert all(way in said for way in ("bri models pull", "BRI_CAPTIONER_MODEL", "BRI_CAPTIONER=objects"))
    assert bri.store.status() == []


def test_a_process_a_step_does_the_same(light_variables: dict[str, str], tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=3)
    one, many = (
        Bri(tmp_path / executor, light_variables | {"BRI_EXECUTOR": executor})
        for executor in ("in_process", "multiprocess")
    )
    for bri in (one, many):
        assert "committed_video done in" in bri("ingest", clip)
    first, second = (bri.store.video("clip") for bri in (one, many))
    for table in ("frames", "captions", "transcripts", "detections"):
        assert first[table] == second[table]


def test_another_interval_and_quality(light: dict[str, Any], tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=3)
    with pipeline(tmp_path / "data", **light, frame_interval_s="0.5", jpeg_quality=50) as made:
        video_id = made.accept(clip).video_id
        assert made.run(video_id).success
        found = made.store.video(video_id)
    assert [row["timestamp_s"] for row in found["frames"]] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5], abs=0.001)
    assert found["video"]["sample_interval_s"] == 0.5


def test_the_same_content_gives_the_same_rows(light: dict[str, Any], tmp_path: Path) -> None:
    hashes = []
    for home in ("a", "b"):
        with pipeline(tmp_path / home, **light) as made:
            video_id = made.accept(SAMPLE).video_id
            assert made.run(video_id).success
            hashes.append({row["table_name"]: row["content_sha256"] for row in made.store.video(video_id)["lineage"]})
    assert hashes[0] == hashes[1]
