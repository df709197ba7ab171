"""What is told of two versions: every kind of change, in every table, and nothing that is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bri_assets.errors import StoreDamaged, VersionNotFound, VideoNotFound
from bri_assets.store import Store
from bri_assets.store.access.operations import OPERATIONS
from bri_assets.store.access.wire import pack, signature_of, unpack
from bri_assets.store.diff import ChangedRow, TableDiff, VersionDiff
from bri_assets.store.history import History
from bri_assets_tests.bundles import VIDEO_ID, Rows, open_store, rows, stage

Said = dict[str, dict[str, Any]]


def difference(
    home: Path, change: Callable[[Rows], None], said: Callable[[Said], None] | None = None
) -> dict[str, TableDiff]:
    """Commit a video, change its rows or what is said of them, commit it again, and compare; by table."""
    store = twice(home, change, said)
    found = History(store.home, store.file, store.staging).diff("holiday", 1, 2)
    assert (found.video_id, found.before, found.after) == (VIDEO_ID, 1, 2)
    names = [table.table for table in found.tables]
    assert names == ["source_video", "frames", "captions", "transcripts", "detections", "lineage"]
    assert found.differs == any(table.differs for table in found.tables)
    return {table.table: table for table in found.tables}


def twice(home: Path, change: Callable[[Rows], None], said: Callable[[Said], None] | None = None) -> Store:
    store, tables = open_store(home), rows(home)
    store.commit(stage(home, tables, run_id="run-1"), run_id="run-1", channel="test")
    change(tables)
    store.commit(stage(home, tables, run_id="run-2", change=said), run_id="run-2", channel="test")
    return store


def differing(found: dict[str, TableDiff]) -> set[str]:
    return {name for name, table in found.items() if table.differs}


def test_versions_that_differ_only_in_when_they_were_made_are_the_same(tmp_path: Path) -> None:
    found = difference(tmp_path, lambda tables: None)
    assert differing(found) == set()
    assert {name: (table.rows_before, table.rows_after, table.same) for name, table in found.items()} == {
        "source_video": (1, 1, 1),
        "frames": (4, 4, 4),
        "captions": (4, 4, 4),
        "transcripts": (3, 3, 3),
        "detections": (8, 8, 8),
        "lineage": (5, 5, 5),
    }


def test_only_the_columns_that_changed_are_told_with_both_values(tmp_path: Path) -> None:
    def change(tables: Rows) -> None:
        tables["captions"][2] |= {"text": "a horse", "confidence": 0.5}
        tables["frames"][1]["phash"] = "0123456789abcdef"
        tables["transcripts"][0]["language"] = "de"
        # The last bit of a number is a change.
        tables["detections"][3]["x1"] = 1.5000000000000002

    found = difference(tmp_path, change)
    assert differing(found) == {"captions", "frames", "transcripts", "detections"}
    assert found["captions"].changed == (
        ChangedRow(
            {"frame_index": 2}, {"text": "a picture 2", "confidence": 0.2}, {"text": "a horse", "confidence": 0.5}
        ),
    )
    assert found["frames"].changed == (
        ChangedRow({"frame_index": 1}, {"phash": "00ff00ff00ff00ff"}, {"phash": "0123456789abcdef"}),
    )
    assert found["transcripts"].changed == (ChangedRow({"segment_index": 0}, {"language": "en"}, {"language": "de"}),)
    key = {"frame_index": 1, "detection_index": 1}
    assert found["detections"].changed == (ChangedRow(key, {"x1": 1.5}, {"x1": 1.5000000000000002}),)
    assert {name: found[name].same for name in ("captions", "detections")} == {"captions": 3, "detections": 7}
    assert all(not table.only_before and not table.only_after for table in found.values())


def test_rows_that_only_one_version_has_are_told_whole(tmp_path: Path) -> None:
    old = rows(tmp_path)
    new = {"frame_index": 0, "detection_index": 2, "class_id": 1, "class_name": "bicycle", "confidence": 0.5}
    new |= {"x1": 0.0, "y1": 0.0, "x2": 1.0, "y2": 1.0}

    def change(tables: Rows) -> None:
        del tables["detections"][-1]
        tables["detections"].insert(2, dict(new))
        del tables["transcripts"][-1]

    found = difference(tmp_path, change)
    assert differing(found) == {"detections", "transcripts"}
    assert found["detections"].only_after == (new,)
    assert found["detections"].only_before == (old["detections"][-1],)
    assert (found["detections"].rows_before, found["detections"].rows_after, found["detections"].same) == (8, 8, 7)
    assert found["transcripts"].only_before == (old["transcripts"][-1],)
    assert found["transcripts"].only_after == ()
    assert (found["transcripts"].rows_before, found["transcripts"].rows_after) == (3, 2)


def test_tools_models_and_parameters_that_differ_are_told_one_by_one(tmp_path: Path) -> None:
    def said(provenances: Said) -> None:
        provenances["captions"] |= {"model": "another", "weights_sha256": "1" * 64, "parameters": {"beams": 3}}
        provenances["detections"] |= {"tool_version": "2"}

    found = difference(tmp_path, lambda tables: None, said)
    assert differing(found) == {"lineage"}
    assert found["lineage"].changed == (
        ChangedRow(
            {"table_name": "captions"},
            {"model": "invented", "weights_sha256": "0" * 64, "parameters.beams": None},
            {"model": "another", "weights_sha256": "1" * 64, "parameters.beams": 3},
        ),
        ChangedRow({"table_name": "detections"}, {"tool_version": "1"}, {"tool_version": "2"}),
    )


def test_facts_of_the_file_are_those_of_each_version(tmp_path: Path) -> None:
    def change(tables: Rows) -> None:
        tables["source_video"][0] |= {"duration_s": 8.5, "fps": 24.0}

    found = difference(tmp_path, change)
    assert differing(found) == {"source_video"}
    assert found["source_video"].changed == (
        ChangedRow({"video_id": VIDEO_ID}, {"duration_s": 8.0, "fps": 25.0}, {"duration_s": 8.5, "fps": 24.0}),
    )


def test_the_other_way_round_and_with_itself(tmp_path: Path) -> None:
    store = twice(tmp_path, lambda tables: tables["captions"][0].update(text="other"))
    history = History(store.home, store.file, store.staging)
    back = history.diff(VIDEO_ID, 2, 1)
    assert (back.before, back.after) == (2, 1)
    assert back.tables[2].changed == (ChangedRow({"frame_index": 0}, {"text": "other"}, {"text": "a picture 0"}),)
    assert not history.diff(VIDEO_ID, 2, 2).differs


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    store = twice(tmp_path, lambda tables: None)
    history = History(store.home, store.file, store.staging)
    with pytest.raises(VersionNotFound, match="has no version 3; it has 1 to 2"):
        history.diff(VIDEO_ID, 1, 3)
    with pytest.raises(VideoNotFound):
        history.diff("nobody", 1, 2)
    with store.file.open() as connection:
        connection.execute("UPDATE captions SET text = 'a lie' WHERE version_id = 1 AND frame_index = 1")
    with pytest.raises(StoreDamaged, match="captions of version 1"):
        history.diff(VIDEO_ID, 1, 2)
    with store.file.open() as connection:
        connection.execute("UPDATE video_versions SET state = 'archived' WHERE version_id = 1")
    with pytest.raises(VersionNotFound, match=f"bri unarchive {VIDEO_ID} 1"):
        history.diff(VIDEO_ID, 1, 2)
    with store.file.open() as connection:
        connection.execute("UPDATE videos SET deleted_at = now()")
    with pytest.raises(VideoNotFound):
        history.diff(VIDEO_ID, 2, 2)


def test_a_diff_travels_whole(tmp_path: Path) -> None:
    def change(tables: Rows) -> None:
        tables["captions"][0]["text"] = "other"
        del tables["detections"][-1]
        tables["source_video"][0]["fps"] = 24.0

    store = twice(tmp_path, change)
    found = History(store.home, store.file, store.staging).diff(VIDEO_ID, 1, 2)
    signature = signature_of(OPERATIONS["History.diff"])
    back = signature.result(unpack(pack(signature.plain_result(found))))
    assert isinstance(back, VersionDiff)
    assert back == found
