"""A changed model, parameter or library makes exactly the right assets stale, as Dagster itself judges it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from bri_assets.assets import code_versions
from bri_assets.assets.code_versions import NUMBERS, code_version, decided_by
from bri_assets.definitions import build_defs
from bri_assets.settings import Settings
from bri_assets_tests.clips import make_clip
from bri_assets_tests.pipeline import Pipeline, pipeline

Stale = Callable[[Settings, dg.DagsterInstance, str], set[str]]


@dataclass(frozen=True)
class Done:
    """A pipeline with one video that was ingested."""

    made: Pipeline
    video_id: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, light: dict[str, Any], tiny_blip: Path) -> Iterator[Done]:
    home = tmp_path_factory.mktemp("code-versions")
    chosen = light | {"captioner": "blip", "captioner_model": str(tiny_blip)}
    with pipeline(home / "data", **chosen) as made:
        video_id = made.accept(make_clip(home / "clip.mp4", seconds=3, audio="speech")).video_id
        assert made.run(video_id).success
        yield Done(made, video_id)


def test_nothing_is_stale_while_nothing_changed(done: Done, stale: Stale) -> None:
    assert stale(done.made.settings, done.made.instance, done.video_id) == set()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"frame_interval_s": Decimal("1")}, {"frames"}),
        ({"jpeg_quality": 80}, {"frames"}),
        ({"captioner_model": "Salesforce/blip-image-captioning-large"}, {"captions"}),
        ({"captioner": "objects"}, {"captions"}),
        ({"captioner_max_tokens": 20}, {"captions"}),
        ({"detector_model": "yolo26s.pt"}, {"detections"}),
        ({"detector_threshold": 0.5}, {"detections"}),
        ({"transcriber_model": "base"}, {"transcripts"}),
        ({"transcriber_language": "en"}, {"transcripts"}),
        ({"transcriber_chunk_s": 60.0}, {"transcripts"}),
        ({"embedder_model": "sentence-transformers/another"}, {"search_index"}),
        # What changes no rows, or only their last bits.
        ({"frame_interval_s": Decimal("2.00")}, set()),
        ({"captioner_batch_size": 1, "detector_batch_size": 1, "device": "cpu"}, set()),
        ({"executor": "multiprocess", "retries": 0, "captions_limit_s": 1, "settle_s": 9}, set()),
    ],
    ids=str,
)
def test_a_changed_setting_makes_what_it_decides_stale(
    changed: dict[str, Any], expected: set[str], done: Done, stale: Stale
) -> None:
    settings = done.made.settings.model_copy(update=changed)
    assert stale(settings, done.made.instance, done.video_id) == expected


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ("av", {"source_video", "frames", "transcripts"}),
        ("opencv-python", {"frames", "captions", "detections"}),
        ("pillow", {"frames"}),
        ("transformers", {"captions", "search_index"}),
        ("lancedb", {"search_index"}),
        ("ultralytics", {"detections"}),
        ("openai-whisper", {"transcripts"}),
        ("torch", {"captions", "detections", "transcripts", "search_index"}),
        ("inflect", set()),
        ("dagster", set()),
    ],
)
def test_another_version_of_a_library_makes_what_it_decides_stale(
    library: str, expected: set[str], done: Done, stale: Stale, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = code_versions.version
    monkeypatch.setattr(code_versions, "version", lambda name: "0.0.1" if name == library else installed(name))
    assert stale(done.made.settings, done.made.instance, done.video_id) == expected


@pytest.mark.parametrize("table", sorted(NUMBERS))
def test_a_raised_number_makes_its_own_asset_stale(
    table: str, done: Done, stale: Stale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NUMBERS, table, NUMBERS[table] + 1)
    assert stale(done.made.settings, done.made.instance, done.video_id) == {table}


def test_what_was_made_anew_makes_only_what_it_changed_stale(
    tmp_path: Path, light: dict[str, Any], stale: Stale
) -> None:
    with pipeline(tmp_path / "data", **light) as made:
        clip = make_clip(tmp_path / "clip.mp4", seconds=3)
        video_id, other_id = made.accept(clip).video_id, made.accept(make_clip(tmp_path / "o.mp4", seconds=2)).video_id
        assert made.run(video_id).success
        assert made.run(other_id).success
        # The same rows: what was made of them is what it would be.
        assert made.run(video_id, ["frames", "detections"]).success
        assert stale(made.settings, made.instance, video_id) == set()
    with pipeline(tmp_path / "data", **light, jpeg_quality=30) as made:
        assert stale(made.settings, made.instance, video_id) == {"frames"}
        assert made.run(video_id, ["frames"]).success
        follow = {"detections", "captions", "committed_video"}
        assert stale(made.settings, made.instance, video_id) == follow
        assert stale(made.settings, made.instance, other_id) == {"frames"}
        assert made.run(video_id, [*follow, "search_index"]).success
        assert stale(made.settings, made.instance, video_id) == set()


def test_a_manifest_names_the_code_version_that_dagster_records(done: Done) -> None:
    for table in set(NUMBERS) - {"committed_video", "search_index"}:
        manifest = done.made.staging.newest(done.video_id, table)
        assert manifest.provenance.facts["code_version"] == code_version(table, done.made.settings)
        (record,) = done.made.instance.fetch_materializations(dg.AssetKey(table), limit=1).records
        assert record.asset_materialization is not None
        assert record.asset_materialization.tags is not None
        assert record.asset_materialization.tags["dagster/code_version"] == code_version(table, done.made.settings)


def test_other_weights_of_the_same_name_are_another_version(light: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(light["models_dir"] / "detector", tmp_path / "detector")
    settings = Settings(home=tmp_path, models_dir=tmp_path)
    before = code_version("detections", settings)
    assert before == code_version("detections", Settings(home=tmp_path, models_dir=light["models_dir"]))
    record = tmp_path / "detector" / "yolo26n.pt.json"
    said = json.loads(record.read_text())
    record.write_text(json.dumps(said | {"sha256": "0" * 64}))
    changed = code_version("detections", settings)
    record.write_text("no record")
    unknown = code_version("detections", settings)
    (tmp_path / "detector" / "yolo26n.pt").unlink()
    assert len({before, changed, unknown, code_version("detections", settings)}) == 4


def test_weights_at_a_local_path_are_told_apart_by_size_and_time(tmp_path: Path) -> None:
    weights = tmp_path / "own.pt"
    weights.write_bytes(b"weights")
    settings = Settings(home=tmp_path, detector_model=str(weights))
    before = code_version("detections", settings)
    assert code_version("detections", settings) == before
    weights.write_bytes(b"heavier weights")
    assert code_version("detections", settings) != before


def test_pulling_blip_makes_stale_what_auto_made_without_it(tmp_path: Path, tiny_blip: Path) -> None:
    settings = Settings(home=tmp_path, captioner="auto", captioner_model=str(tmp_path / "blip"))
    before = decided_by("captions", settings)
    assert before == decided_by("captions", settings.model_copy(update={"captioner": "objects"}))
    shutil.copytree(tiny_blip, tmp_path / "blip")
    after = decided_by("captions", settings)
    assert (before["captioner"], after["captioner"]) == ("objects", "blip")
    assert after == decided_by("captions", settings.model_copy(update={"captioner": "blip"}))


def test_what_decides_is_what_the_lineage_says_decided(done: Done) -> None:
    """So that a library which gets a part in the rows is not forgotten in one of the two places."""
    installed = {found.name.lower() for found in distributions()} - {"bri-assets"}
    for table in ("frames", "captions", "detections", "transcripts"):
        provenance = done.made.staging.newest(done.video_id, table).provenance
        tool = {"opencv": "opencv-python"}.get(provenance.tool, provenance.tool)
        recorded = {name for name in provenance.parameters if name.lower() in installed} | {tool}
        assert recorded == set(decided_by(table, done.made.settings)["libraries"]), table


def test_the_definitions_say_what_a_code_version_is_over(done: Done) -> None:
    graph = build_defs(done.made.settings).resolve_asset_graph()
    told = graph.get(dg.AssetKey("detections")).metadata["code_version_over"]
    assert told.value == decided_by("detections", done.made.settings)
