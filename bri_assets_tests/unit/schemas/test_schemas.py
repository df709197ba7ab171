"""Every table's model: what it lets through, what it refuses, and how it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bri_assets.errors import RowsInvalid
from bri_assets.schemas import STAGED_TABLES, STORE_TABLES, TableSpec, validate
from bri_assets_tests.bundles import rows


def frame(table: str, tmp_path: Path) -> pd.DataFrame:
    return pd.DataFrame(rows(tmp_path)[table])


@pytest.mark.parametrize("table", STAGED_TABLES)
def test_valid_rows_come_back_sorted_by_key_with_the_types_of_the_model(table: str, tmp_path: Path) -> None:
    spec, given = STAGED_TABLES[table], frame(table, tmp_path)
    valid = validate(spec, given.iloc[::-1].reset_index(drop=True))
    assert valid.equals(validate(spec, given))
    assert list(valid.columns) == [column.name for column in spec.columns]
    assert valid[list(spec.key)].equals(valid[list(spec.key)].sort_values(list(spec.key)))


@pytest.mark.parametrize("table", [name for name in STAGED_TABLES if name != "source_video"])
def test_a_table_of_no_rows_is_valid_and_keeps_its_types(table: str, tmp_path: Path) -> None:
    spec = STAGED_TABLES[table]
    empty = validate(spec, pd.DataFrame([], columns=[column.name for column in spec.columns]))
    full = validate(spec, frame(table, tmp_path))
    assert len(empty) == 0
    assert empty.dtypes.equals(full.dtypes)


@pytest.mark.parametrize(
    ("table", "column", "value", "check"),
    [
        ("frames", "timestamp_s", -0.5, "greater_than_or_equal_to(0)"),
        ("frames", "timestamp_s", np.nan, "not_nullable"),
        ("frames", "timestamp_s", np.inf, "every number is finite"),
        ("frames", "image_sha256", "abc", "str_matches('^[0-9a-f]{64}$')"),
        ("frames", "image_path", "frames/../../x/1-0123456789ab.jpg", "str_matches"),
        ("captions", "text", " \n", "str_contains"),
        ("captions", "text", None, "not_nullable"),
        ("captions", "confidence", 1.01, "less_than_or_equal_to(1)"),
        ("transcripts", "end_s", 0.0, "start_s < end_s"),
        ("transcripts", "language", "English", "str_matches"),
        ("detections", "x1", 30.25, "x1 < x2"),
        ("detections", "y2", -1.0, "y1 < y2"),
        ("source_video", "duration_s", 0.0, "greater_than(0)"),
        ("source_video", "rotation_deg", 45, "isin"),
        ("source_video", "last_frame_s", 9.0, "last_frame_s <= duration_s"),
    ],
)
def test_a_wrong_value_is_refused_and_named(table: str, column: str, value: Any, check: str, tmp_path: Path) -> None:
    wrong = frame(table, tmp_path)
    wrong[column] = wrong[column].astype(object)
    wrong.loc[0, column] = value
    with pytest.raises(RowsInvalid) as caught:
        validate(STAGED_TABLES[table], wrong)
    assert any(check in str(failure["check"]) for failure in caught.value.failures), caught.value.failures


def test_all_wrong_values_are_named_not_only_the_first(tmp_path: Path) -> None:
    wrong = frame("captions", tmp_path)
    wrong["confidence"] = [2.0, 0.5, -1.0, 0.5]
    wrong.loc[1, "text"] = ""
    with pytest.raises(RowsInvalid) as caught:
        validate(STAGED_TABLES["captions"], wrong)
    assert sorted(failure["index"] for failure in caught.value.failures) == [0, 1, 2]


def test_a_key_that_repeats_is_refused(tmp_path: Path) -> None:
    wrong = frame("detections", tmp_path)
    wrong.loc[1, "detection_index"] = 0
    with pytest.raises(RowsInvalid) as caught:
        validate(STAGED_TABLES["detections"], wrong)
    assert {failure["check"] for failure in caught.value.failures} == {"key is unique"}


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_other_columns_than_the_models_are_refused(change: str, tmp_path: Path) -> None:
    wrong = frame("captions", tmp_path)
    wrong = wrong.drop(columns=["text"]) if change == "missing" else wrong.assign(more=1)
    with pytest.raises(RowsInvalid):
        validate(STAGED_TABLES["captions"], wrong)


@pytest.mark.parametrize("spec", STORE_TABLES, ids=lambda spec: spec.name)
def test_every_table_and_column_has_a_meaning(spec: TableSpec) -> None:
    assert spec.meaning.endswith(".")
    assert all(column.meaning.endswith((".", "…")) for column in spec.columns)
    assert {*spec.key} <= {column.name for column in spec.columns}
