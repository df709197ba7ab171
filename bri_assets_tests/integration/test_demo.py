"""The main job on the sample clip: what is seen and said is found, proven, and told by every way out."""

from __future__ import annotations

import json
import re
from typing import Any

import dagster as dg
import pytest

from bri_assets.files import sha256_file
from bri_assets.jobs import INGEST
from bri_assets.schemas import VERSIONED_TABLES
from bri_assets.store import PROOFS
from bri_assets_tests.commands import Bri
from bri_assets_tests.integration.conftest import SAMPLE

READING = """And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power to do for
them. He was not an ill-disposed young man. Unless to be rather cold-hearted and rather selfish is to be ill-disposed.
Had he married a more amiable woman, he might have been made still more respectable than he was."""

#: What is to be seen, by the frames (one every 2 s) of its scene.
SCENES = {"person": range(4), "cat": range(4, 8), "cup": range(8, 12)}

Demo = tuple[Bri, str]


@pytest.fixture(scope="module")
def found(demo: Demo) -> dict[str, Any]:
    return dict(demo[0].json("show", "tour"))


@pytest.fixture(scope="module")
def instance(demo: Demo) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(demo[0].home / "dagster"))


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


@pytest.mark.parametrize("name", SCENES)
def test_each_object_is_found_in_every_frame_of_its_scene(found: dict[str, Any], name: str) -> None:
    seen = {row["frame_index"] for row in found["detections"] if row["class_name"] == name}
    assert seen >= set(SCENES[name])
    assert all(0.25 <= row["confidence"] <= 1 for row in found["detections"])


def test_every_word_of_the_reading_is_found(found: dict[str, Any]) -> None:
    assert words(" ".join(row["text"] for row in found["transcripts"])) == words(READING)
    assert found["transcripts"][-1]["end_s"] <= found["video"]["duration_s"]
    assert {row["language"] for row in found["transcripts"]} == {"en"}


def test_there_is_a_frame_every_two_seconds_with_its_caption_and_image(demo: Demo, found: dict[str, Any]) -> None:
    assert [row["timestamp_s"] for row in found["frames"]] == pytest.approx([2.0 * k for k in range(12)])
    assert [row["frame_index"] for row in found["captions"]] == list(range(12))
    for frame in found["frames"]:
        assert sha256_file(demo[0].home / frame["image_path"]) == frame["image_sha256"]


def test_confidences_are_the_models_own(found: dict[str, Any]) -> None:
    for table in ("captions", "detections"):
        assert len({row["confidence"] for row in found[table]}) > 1
    # Whisper gives one for each window of 30 s, which holds all of this clip's words.
    assert all(0.5 < row["confidence"] < 1 for row in found["transcripts"])


def test_what_was_found_is_printed_with_where_it_lies(demo: Demo) -> None:
    bri, printed = demo
    for name in SCENES:
        assert name in printed
    assert "Dashwood" in printed
    assert str(bri.home / "store" / "bri.duckdb") in printed
    assert str(bri.home / "frames") in printed
    assert "make ui" in printed
    for asset in ("source_video", "frames", "captions", "detections", "transcripts", "committed_video"):
        assert f"{asset} done in" in printed


def test_the_fallback_of_the_captioner_is_said_and_stands_in_the_lineage(demo: Demo, found: dict[str, Any]) -> None:
    lineage = {row["table_name"]: row for row in found["lineage"]}
    by_blip = lineage["captions"]["tool"] == "transformers"
    assert ("BLIP cannot be had here" in demo[1]) is not by_blip
    assert by_blip or lineage["captions"]["model"] == "objects"


def test_the_lineage_names_the_weights_that_were_used(found: dict[str, Any]) -> None:
    lineage = {row["table_name"]: row for row in found["lineage"]}
    assert lineage["detections"]["tool"] == "ultralytics"
    assert lineage["detections"]["weights_sha256"] == "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef"
    assert lineage["transcripts"]["model"] == "base"
    assert len(lineage["transcripts"]["weights_sha256"]) == 64
    assert json.loads(lineage["frames"]["parameters"])["interval_s"] == 2.0
    assert {row["source_sha256"] for row in lineage.values()} == {sha256_file(SAMPLE)}


def test_show_json_has_the_field_names_of_the_schemas(found: dict[str, Any]) -> None:
    assert set(found) >= {"video", "frames", "captions", "transcripts", "detections"}
    for spec in VERSIONED_TABLES:
        assert list(found[spec.name][0]) == [column.name for column in spec.columns]


def test_show_at_a_time(demo: Demo) -> None:
    at = demo[0].json("show", "tour", "--at", "9.5")
    assert [row["frame_index"] for row in at["frames"]] == [4]
    assert {row["class_name"] for row in at["detections"]} == {"cat"}
    assert [row["start_s"] <= 9.5 < row["end_s"] for row in at["transcripts"]] == [True]
    assert "ends at 24.0 s" in demo[0]("show", "tour", "--at", "99", exits=2)


def test_status_json_tells_what_became_of_the_upload(demo: Demo) -> None:
    (row,) = demo[0].json("status")
    wanted = {
        "filename": "tour.mp4",
        "state": "committed",
        "version": 1,
        "duration_s": 24.0,
        "has_audio": True,
        "frames": 12,
        "captions": 12,
        "reason": None,
    }
    assert wanted.items() <= row.items()
    assert row["video_id"] == f"tour-{sha256_file(SAMPLE)[:12]}"
    assert row["transcript_segments"] > 0
    assert row["detections"] >= 12
    assert row["committed_at"].endswith("+00:00")


def test_the_same_file_again_is_not_ingested_again(demo: Demo, instance: dg.DagsterInstance) -> None:
    again = Bri(demo[0].home, demo[0].settings | {"BRI_CAPTIONER": "auto"})
    assert "committed already" in again("ingest", SAMPLE)
    assert demo[0].status()["tour.mp4"]["version"] == 1
    assert len(instance.get_runs()) == 1


def test_the_run_is_in_the_history_of_dagster(instance: dg.DagsterInstance, found: dict[str, Any]) -> None:
    (run,) = instance.get_runs()
    assert (run.job_name, run.status) == (INGEST, dg.DagsterRunStatus.SUCCESS)
    assert run.tags["dagster/partition"] == found["video"]["video_id"]
    for name in ("source_video", "frames", "captions", "detections", "transcripts", "committed_video"):
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == {found["video"]["video_id"]}


def test_every_check_has_a_verdict_of_this_partition(instance: dg.DagsterInstance, found: dict[str, Any]) -> None:
    checks = [dg.AssetCheckKey(dg.AssetKey(spec.name), "schema") for spec in VERSIONED_TABLES]
    checks.append(dg.AssetCheckKey(dg.AssetKey("committed_video"), "proofs"))
    for key in checks:
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
        evaluation = record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
        assert (evaluation.passed, evaluation.blocking) == (True, True)
        assert evaluation.partition == found["video"]["video_id"]
    table = evaluation.metadata["proofs"]
    assert isinstance(table, dg.TableMetadataValue)
    assert {str(record.data["proof"]) for record in table.records} == {proof.name for proof in PROOFS}
