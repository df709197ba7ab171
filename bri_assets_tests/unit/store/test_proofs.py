"""One invariant, one proof, one test that breaks it: that proof refuses the commit, and the store is unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bri_assets.errors import CommitRefused
from bri_assets.store import PROOFS, Store
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, Rows, open_store, provenances, rows, stage
from bri_assets_tests.snapshots import snapshot

Change = Callable[[Rows, Path], None]


def drop(table: str, index: int) -> Change:
    return lambda tables, _home: tables[table].pop(index) and None


def put(table: str, index: int, **values: Any) -> Change:
    return lambda tables, _home: tables[table][index].update(values)


def lose_image(tables: Rows, home: Path) -> None:
    (home / tables["frames"][2]["image_path"]).unlink()


def damage_image(tables: Rows, home: Path) -> None:
    (home / tables["frames"][1]["image_path"]).write_bytes(b"other bytes")


def no_frames_at_all(tables: Rows, _home: Path) -> None:
    for name in ("frames", "captions", "detections"):
        tables[name].clear()


def two_captions_more(tables: Rows, _home: Path) -> None:
    tables["captions"] += [{"frame_index": index, "text": "more", "confidence": 0.5} for index in (4, 5)]


def swapped_times(tables: Rows, _home: Path) -> None:
    tables["frames"][1]["timestamp_s"], tables["frames"][2]["timestamp_s"] = 4.0, 2.0


# Proof → what breaks it in the rows before they are staged, and an offending row that the refusal must name.
BROKEN_ROWS: dict[str, tuple[Change, dict[str, Any]]] = {
    "every_frame_has_a_caption": (drop("captions", 2), {"frame_index": 2}),
    "no_more_captions_than_frames": (two_captions_more, {"captions": 6, "frames": 4}),
    "every_caption_has_its_frame": (put("captions", 3, frame_index=9), {"frame_index": 9}),
    "every_detection_has_its_frame": (put("detections", 0, frame_index=9), {"frame_index": 9, "class_name": "dog"}),
    "there_is_a_frame": (no_frames_at_all, {"frames": 0}),
    "frame_times_strictly_increase": (swapped_times, {"frame_index": 2, "timestamp_s": 2.0, "before_s": 4.0}),
    "frame_times_lie_within_the_duration": (put("frames", 3, timestamp_s=8.5), {"frame_index": 3, "duration_s": 8.0}),
    "every_frame_lies_in_its_slot": (put("frames", 1, timestamp_s=1.5), {"frame_index": 1, "timestamp_s": 1.5}),
    "slots_cover_the_video": (put("source_video", 0, duration_s=20.0, last_frame_s=18.0), {"last_frame_s": 18.0}),
    "transcript_segments_are_ordered": (put("transcripts", 2, start_s=0.5), {"segment_index": 2, "before_s": 1.5}),
    "transcript_segments_end_within_the_duration": (put("transcripts", 2, end_s=8.01), {"end_s": 8.01}),
    "boxes_lie_inside_their_frame": (put("detections", 3, x2=64.5), {"frame_index": 1, "x2": 64.5, "width": 64}),
    "every_image_is_the_staged_one": (damage_image, {"frame_index": 1}),
}


@pytest.mark.parametrize("proof", BROKEN_ROWS)
def test_broken_rows_are_refused(proof: str, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    whole = rows(tmp_path)
    store.commit(stage(tmp_path, whole), run_id="run-1", channel="test")
    before = snapshot(store)
    broken, (breaks, offending) = rows(tmp_path), BROKEN_ROWS[proof]
    honest = provenances(broken)["frames"]["facts"]
    breaks(broken, tmp_path)
    bundle = stage(tmp_path, broken, change=_slots_of(honest, broken, proof), run_id="run-2")

    refusal = _refused(store, bundle)

    assert proof in refusal.failed
    assert any(offending.items() <= row.items() for row in refusal.failed[proof]), refusal.failed[proof]
    assert snapshot(store) == before
    assert store.video(VIDEO_ID)["video"]["version"] == 1


def test_a_missing_image_is_refused(tmp_path: Path) -> None:
    tables = rows(tmp_path)
    bundle = stage(tmp_path, tables)
    lose_image(tables, tmp_path)
    refusal = _refused(open_store(tmp_path), bundle)
    assert refusal.failed["every_image_is_the_staged_one"][0]["frame_index"] == 2
    assert refusal.failed["every_image_is_the_staged_one"][0]["on_disk"] is None


@pytest.mark.parametrize(
    ("slots", "offending"),
    [
        ({"sample_slots": 4, "empty_slots": []}, {"slot": 2, "has_frame": False, "recorded_as_empty": False}),
        ({"sample_slots": 4, "empty_slots": [1, 2]}, {"slot": 1, "has_frame": True, "recorded_as_empty": True}),
        ({"sample_slots": 4, "empty_slots": [2, 7]}, {"slot": 7, "has_frame": False, "recorded_as_empty": True}),
    ],
)
def test_a_slot_without_frame_must_be_recorded(
    tmp_path: Path, slots: dict[str, Any], offending: dict[str, Any]
) -> None:
    tables = rows(tmp_path)
    for name in ("frames", "captions"):
        del tables[name][2]
    tables["detections"] = [row for row in tables["detections"] if row["frame_index"] != 2]
    bundle = stage(tmp_path, tables, change=lambda said: said["frames"]["facts"].update(slots))
    refusal = _refused(open_store(tmp_path), bundle)
    assert offending in refusal.failed["every_slot_has_a_frame_or_is_recorded_as_empty"]


def test_a_recorded_gap_is_committed(tmp_path: Path) -> None:
    tables = rows(tmp_path)
    for name in ("frames", "captions"):
        del tables[name][2]
    tables["detections"] = [row for row in tables["detections"] if row["frame_index"] != 2]
    store = open_store(tmp_path)
    assert store.commit(stage(tmp_path, tables), run_id="run-1", channel="test").counts["frames"] == 3
    assert store.video(VIDEO_ID)["video"]["empty_slots"] == [2]


@pytest.mark.parametrize(
    ("has_audio", "outcome", "segments"), [(True, "no_audio", 0), (False, "transcribed", 0), (False, "no_audio", 3)]
)
def test_audio_without_a_result_is_refused(tmp_path: Path, has_audio: bool, outcome: str, segments: int) -> None:
    tables = rows(tmp_path)
    tables["source_video"][0] |= {"has_audio": has_audio, "audio_codec": "aac" if has_audio else None}
    tables["transcripts"] = tables["transcripts"][:segments]
    bundle = stage(tmp_path, tables, change=lambda said: said["transcripts"].update(outcome=outcome))
    refusal = _refused(open_store(tmp_path), bundle)
    assert refusal.failed["audio_has_a_transcript_result"] == [
        {"has_audio": has_audio, "transcript_outcome": outcome, "transcript_segments": segments}
    ]


def test_an_empty_transcript_of_sound_is_a_result(tmp_path: Path) -> None:
    tables = rows(tmp_path)
    tables["transcripts"] = []
    committed = open_store(tmp_path).commit(stage(tmp_path, tables), run_id="run-1", channel="test")
    assert committed.counts["transcripts"] == 0


def test_a_table_of_another_source_is_refused(tmp_path: Path) -> None:
    bundle = stage(tmp_path, rows(tmp_path), sources={"captions": "f" * 64})
    refusal = _refused(open_store(tmp_path), bundle)
    assert refusal.failed["all_tables_come_from_the_same_source"] == [
        {"table_name": "captions", "source_sha256": "f" * 64, "video_sha256": SOURCE_SHA256}
    ]


def test_captions_of_an_earlier_runs_frames_are_refused(tmp_path: Path) -> None:
    bundle = stage(tmp_path, rows(tmp_path), change=lambda said: said["captions"].update(inputs={"frames": "e" * 64}))
    refusal = _refused(open_store(tmp_path), bundle)
    assert list(refusal.failed) == ["inputs_are_the_staged_tables"]
    assert refusal.failed["inputs_are_the_staged_tables"][0]["made_from"] == "e" * 64


# These three say that the database holds what was staged: rows are changed inside the transaction, as a faulty disk or
# a faulty INSERT would, by a trigger of the test's own between insert and proof.
@pytest.mark.parametrize(
    ("proof", "statement"),
    [
        ("row_counts_equal_the_manifests", "DELETE FROM captions WHERE frame_index = 1"),
        ("content_hashes_equal_the_manifests", "UPDATE captions SET text = 'another' WHERE frame_index = 1"),
        ("class_statistics_equal_the_detections", "UPDATE video_class_stats SET detections = 99"),
    ],
)
def test_rows_that_changed_on_the_way_are_refused(
    tmp_path: Path, proof: str, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bri_assets.store import commit as module

    store, insert = open_store(tmp_path), module.rows.insert_class_stats

    def insert_then_lose(connection: Any, version_id: int) -> None:
        insert(connection, version_id)
        connection.execute(statement)

    monkeypatch.setattr(module.rows, "insert_class_stats", insert_then_lose)
    before = snapshot(store)
    refusal = _refused(store, stage(tmp_path, rows(tmp_path)))
    assert proof in refusal.failed
    assert refusal.failed[proof]
    assert snapshot(store) == before


def test_every_proof_has_a_test_that_breaks_it() -> None:
    broken = set(BROKEN_ROWS) | {
        "every_slot_has_a_frame_or_is_recorded_as_empty",
        "audio_has_a_transcript_result",
        "all_tables_come_from_the_same_source",
        "inputs_are_the_staged_tables",
        "row_counts_equal_the_manifests",
        "content_hashes_equal_the_manifests",
        "class_statistics_equal_the_detections",
    }
    assert {proof.name for proof in PROOFS} == broken


def test_a_constraint_of_the_database_refuses_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bri_assets.store import commit as module

    store, insert = open_store(tmp_path), module.rows.insert_lineage

    def insert_twice(connection: Any, version_id: int, bundle: Any) -> None:
        insert(connection, version_id, bundle)
        insert(connection, version_id, bundle)

    monkeypatch.setattr(module.rows, "insert_lineage", insert_twice)
    before = snapshot(store)
    refusal = _refused(store, stage(tmp_path, rows(tmp_path)))
    assert "duplicate key" in refusal.failed["database_constraint"][0]["message"].lower()
    assert snapshot(store) == before


def _slots_of(honest: dict[str, Any], broken: Rows, proof: str) -> Callable[[dict[str, dict[str, Any]]], None] | None:
    """Keep the slots as the whole video had them, where recomputing them would hide what the test breaks."""
    if proof != "slots_cover_the_video":
        return None
    del broken
    return lambda said: said["frames"].update(facts=honest)


def _refused(store: Store, bundle: Any) -> CommitRefused:
    with pytest.raises(CommitRefused) as caught:
        store.commit(bundle, run_id="run-2", channel="test")
    with store.file.open() as connection:
        event = connection.execute(
            "SELECT action, run_id, detail FROM audit_log ORDER BY event_id DESC LIMIT 1"
        ).fetchall()
    assert event[0][:2] == ("version.refused", "run-2")
    assert all(name in event[0][2] for name in caught.value.failed)
    return caught.value
