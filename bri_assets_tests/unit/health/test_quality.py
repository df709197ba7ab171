"""Which videos are found for their figures: by which rule, with what, and which are not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from bri_assets.errors import StoreMissing
from bri_assets.files import sha256_bytes
from bri_assets.findings import RULES, Finding
from bri_assets.health.look import Scene
from bri_assets.health.quality import QUALITY
from bri_assets.settings import Settings
from bri_assets.store.deletion import Deletion
from bri_assets.store.history import History
from bri_assets_tests.bundles import Rows, open_store, operations, rows, stage


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def find(home: Path, instance: dg.DagsterInstance, **settings: Any) -> list[Finding]:
    return list(QUALITY.find(Scene(Settings(home=home, **settings), instance, datetime.now(UTC))))


def healthy(home: Path, name: str = "holiday", *, frames: int = 4) -> Rows:
    """Rows of a video in which nothing is to be found."""
    sha256 = sha256_bytes(name.encode())
    tables = rows(home, frames=frames, video_id=f"{name}-{sha256[:12]}", sha256=sha256)
    for row in tables["captions"]:
        row["confidence"] = 0.8
    return tables


def commit(home: Path, tables: Rows, run: str = "run-1") -> str:
    return open_store(home).commit(stage(home, tables, run_id=run), run_id=run, channel="test").video_id


def with_gap(tables: Rows) -> Rows:
    for name in ("frames", "captions", "detections"):
        tables[name] = [row for row in tables[name] if row["frame_index"] != 1]
    return tables


def unsure(tables: Rows) -> Rows:
    for row in tables["captions"]:
        row |= {"confidence": 0.1, "text": "…"}
    return tables


def crowded(tables: Rows, times: int) -> Rows:
    like = tables["detections"][0]
    tables["detections"] = [
        like | {"frame_index": frame["frame_index"], "detection_index": rank}
        for frame in tables["frames"]
        for rank in range(times)
    ]
    return tables


def test_a_healthy_video_is_not_found(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    commit(tmp_path, healthy(tmp_path))
    silent = healthy(tmp_path, "silent")
    silent["source_video"][0] |= {"has_audio": False, "audio_codec": None}
    silent["transcripts"] = []
    commit(tmp_path, silent)
    assert find(tmp_path, instance) == []


def test_an_incomplete_video_names_the_table_that_is_short(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    video_id = commit(tmp_path, with_gap(healthy(tmp_path)))
    (found,) = find(tmp_path, instance)
    assert (found.rule, found.subject, found.version) == ("incomplete", f"video:{video_id}", "1")
    assert (found.video_id, found.weight) == (video_id, "WARN")
    assert found.facts == {"frames_completeness": {"value": 0.75, "expected": "at least 0.9", "table": "frames"}}
    assert "frames (75%, at least 0.9)" in found.summary
    assert f"bri quality {video_id}" in found.remedy
    assert "BRI_COMPLETENESS_MIN" in found.remedy


def test_all_that_is_wrong_with_accuracy_is_one_finding(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    tables = unsure(healthy(tmp_path))
    for row in tables["transcripts"]:
        row |= {"no_speech_prob": 0.9, "confidence": 0.1}
    commit(tmp_path, tables)
    (found,) = find(tmp_path, instance)
    assert found.rule == "low_accuracy"
    assert set(found.facts) == {
        "captions_confidence",
        "captions_low_confidence_share",
        "captions_empty_share",
        "transcripts_confidence",
        "transcripts_low_confidence_share",
        "transcripts_silence_share",
    }
    assert "mean confidence of the captions: 0.1, expected at least 0.25" in found.summary


def test_todays_thresholds_decide(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    commit(tmp_path, with_gap(healthy(tmp_path)))
    assert find(tmp_path, instance, completeness_min=0.75) == []
    assert [found.rule for found in find(tmp_path, instance, confidence_min=0.95)] == ["incomplete", "low_accuracy"]


def test_only_the_version_that_is_shown_counts_and_no_deleted_video(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    video_id = commit(tmp_path, with_gap(healthy(tmp_path)))
    assert len(find(tmp_path, instance)) == 1
    commit(tmp_path, healthy(tmp_path), "run-2")
    assert find(tmp_path, instance) == []
    operations(History, tmp_path).rollback(video_id, 1, channel="test")
    assert [found.version for found in find(tmp_path, instance)] == ["1"]
    operations(Deletion, tmp_path).delete(video_id, channel="test")
    assert find(tmp_path, instance) == []


def test_a_video_is_compared_with_at_least_so_many_others(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    for index in range(4):
        commit(tmp_path, healthy(tmp_path, f"peer{index}"))
    odd = commit(tmp_path, crowded(healthy(tmp_path, "crowd"), 40))
    assert find(tmp_path, instance, volume_peers_min=5) == []
    (found,) = find(tmp_path, instance, volume_peers_min=4)
    assert (found.rule, found.video_id) == ("unusual_volume", odd)
    # The median is 2, and at least 1 the spread.
    assert found.facts["detections_per_frame"]["value"] == 40
    assert found.facts["detections_per_frame"]["expected"] == "at most 8"
    assert find(tmp_path, instance, volume_peers_min=4, volume_deviation_max=38) == []


def test_a_table_that_is_wrong_already_is_not_told_of_for_its_volume(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    for index in range(4):
        commit(tmp_path, healthy(tmp_path, f"peer{index}"))
    tables = crowded(healthy(tmp_path, "crowd"), 40)
    for row in tables["detections"]:
        row["confidence"] = 0.01
    commit(tmp_path, tables)
    assert [found.rule for found in find(tmp_path, instance, volume_peers_min=4)] == ["low_accuracy"]


def test_the_rules_are_known_and_each_can_be_found() -> None:
    assert QUALITY.rules == ("incomplete", "low_accuracy", "unusual_volume")
    assert set(QUALITY.rules) <= RULES.keys()


def test_a_store_that_cannot_be_read_is_an_error_and_not_nothing(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    commit(tmp_path, healthy(tmp_path))
    Settings(home=tmp_path).store_path.unlink()
    with pytest.raises(StoreMissing):
        find(tmp_path, instance)
