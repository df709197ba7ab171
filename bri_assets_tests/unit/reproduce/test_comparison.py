"""A comparison tells what is the same from what is not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bri_assets.reproduce import TOLERANCES, TableComparison, compare
from bri_assets.schemas import STAGED_TABLES
from bri_assets_tests.unit.reproduce.conftest import detection, step_of

#: Columns that follow from a home's names, and the one that is told and not judged.
UNJUDGED = {"video_id", "filename", "image_path", "image_sha256"}
JUDGED = [
    (spec.name, column.name)
    for spec in STAGED_TABLES.values()
    for column in spec.columns
    if column.name not in UNJUDGED and (column.name not in spec.key)
]


def rows_of(found: dict[str, Any], table: str) -> list[dict[str, Any]]:
    return [found["video"]] if table == "source_video" else list(found[table])


def table_of(found: dict[str, Any], again: dict[str, Any], name: str) -> TableComparison:
    tables = {table.table: table for table in compare(found, again)}
    assert list(tables) == list(STAGED_TABLES)
    assert all(table.reproduced for other, table in tables.items() if other != name)
    return tables[name]


def test_the_same_is_identical(found: dict[str, Any]) -> None:
    assert all(table.reproduced and table.identical for table in compare(found, copy.deepcopy(found)))


@pytest.mark.parametrize(("table", "column"), JUDGED, ids=lambda part: str(part))
def test_every_column_is_held_to_its_measure(found: dict[str, Any], table: str, column: str) -> None:
    again = copy.deepcopy(found)
    row = rows_of(again, table)[-1]
    value = row[column]
    if column in TOLERANCES:
        assert isinstance(value, float)
        row[column] = value + TOLERANCES[column] * 0.9
        near = table_of(found, again, table)
        assert (near.reproduced, near.identical) == (True, False)
        assert near.largest[column] == pytest.approx(TOLERANCES[column] * 0.9)
        row[column] = value + TOLERANCES[column] * 1.1
    else:
        row[column] = not value if isinstance(value, bool) else value * 2 if isinstance(value, str) else value + 1
    (deviation,) = table_of(found, again, table).deviations
    assert (deviation.table, deviation.column) == (table, column)
    assert (deviation.committed, deviation.rerun) == (value, row[column])
    assert deviation.tolerance == TOLERANCES.get(column)
    assert deviation.key == {name: row[name] for name in STAGED_TABLES[table].key if name != "video_id"}


def test_every_number_that_is_no_whole_number_has_a_tolerance() -> None:
    columns = {column.name for spec in STAGED_TABLES.values() for column in spec.columns if column.sql_type == "DOUBLE"}
    assert columns == set(TOLERANCES)


@pytest.mark.parametrize("table", ["frames", "captions", "transcripts", "detections"])
def test_a_row_too_few_and_a_row_too_many_are_named(found: dict[str, Any], table: str) -> None:
    fewer = copy.deepcopy(found)
    row = fewer[table].pop()
    key = {name: row[name] for name in STAGED_TABLES[table].key}
    lost, added = table_of(found, fewer, table), table_of(fewer, found, table)
    assert [(one.column, one.key, one.rerun) for one in lost.deviations] == [("row", key, None)]
    assert [(one.column, one.key, one.committed) for one in added.deviations] == [("row", key, None)]
    assert (lost.committed_rows, lost.rerun_rows) == (added.rerun_rows, added.committed_rows)


def test_equals_may_change_places_in_their_frame(found: dict[str, Any]) -> None:
    found["detections"][1] = detection(0, 1, "dog", 0.600001, x1=10.0)
    found["detections"][2] = detection(0, 2, "cat", 0.600000, x1=300.0)
    again = copy.deepcopy(found)
    again["detections"][1] = detection(0, 1, "cat", 0.600001, x1=300.0)
    again["detections"][2] = detection(0, 2, "dog", 0.600000, x1=10.0)
    assert table_of(found, again, "detections").reproduced


def test_an_object_that_is_missing_does_not_make_others_of_those_after_it(found: dict[str, Any]) -> None:
    again = copy.deepcopy(found)
    again["detections"] = [
        detection(0, 0, "dog", 0.6),
        detection(0, 1, "dog", 0.3, x1=300.0),
        found["detections"][3],
    ]
    (deviation,) = table_of(found, again, "detections").deviations
    assert (deviation.key, deviation.column) == ({"frame_index": 0, "detection_index": 0}, "row")
    assert (deviation.committed["class_name"], deviation.rerun) == ("cat", None)


def test_a_detection_of_another_frame_is_another(found: dict[str, Any]) -> None:
    again = copy.deepcopy(found)
    again["detections"][3]["frame_index"] = 2
    assert len(table_of(found, again, "detections").deviations) == 2


def test_other_bytes_of_the_same_picture_are_told_and_not_judged(found: dict[str, Any]) -> None:
    again = copy.deepcopy(found)
    again["frames"][0] |= {
        "image_sha256": "f" * 64,
        "image_path": "frames/other-0123456789ab/000000-ffffffffffff.jpg",
    }
    frames = table_of(found, again, "frames")
    assert (frames.reproduced, frames.identical, frames.images_differing) == (True, False, 1)


def test_another_outcome_is_not_the_same(found: dict[str, Any]) -> None:
    again = copy.deepcopy(found)
    step_of(again, "transcripts")["outcome"] = "no_audio"
    (deviation,) = table_of(found, again, "transcripts").deviations
    assert (deviation.committed, deviation.rerun) == ("transcribed", "no_audio")
