"""Staged files: what is read is what was written, and what was changed since is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bri_assets.content import content_sha256, rows_of
from bri_assets.errors import StagedDamaged, StagedMissing
from bri_assets.schemas import CAPTIONS, STAGED_TABLES, validate
from bri_assets.staging import Source, StagingArea
from bri_assets_tests.bundles import VIDEO_ID, rows, stage

finite = st.floats(min_value=0, max_value=1, allow_nan=False)
words = st.text(min_size=1).filter(lambda text: text.strip() != "" and "\0" not in text and not _has_surrogate(text))


def _has_surrogate(text: str) -> bool:
    return any(0xD800 <= ord(character) <= 0xDFFF for character in text)


def test_what_is_staged_reads_back_the_same(tmp_path: Path) -> None:
    bundle = stage(tmp_path, rows(tmp_path))
    staging = StagingArea(tmp_path / "staged")
    for name, manifest in bundle.manifests.items():
        wanted = validate(STAGED_TABLES[name], pd.DataFrame(rows(tmp_path)[name]))
        assert staging.read(manifest).equals(wanted)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(words, finite), min_size=1, max_size=8))
def test_the_content_hash_is_the_same_from_pandas_parquet_and_duckdb(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[str, float]]
) -> None:
    made = pd.DataFrame(
        [{"frame_index": index, "text": text, "confidence": number} for index, (text, number) in enumerate(values)]
    )
    made = CAPTIONS.model.validate(made[made["text"].str.contains(r"\S")].reset_index(drop=True))
    folder = tmp_path_factory.mktemp("hash")
    made.to_parquet(folder / "a.parquet")
    with duckdb.connect() as connection:
        from_database = connection.execute("FROM made ORDER BY frame_index DESC").fetchall()
    from_parquet = pd.read_parquet(folder / "a.parquet")
    hashes = {
        content_sha256(CAPTIONS, found)
        for found in (rows_of(CAPTIONS, made), rows_of(CAPTIONS, from_parquet), from_database)
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("column", "value"), [("text", "other"), ("confidence", np.nextafter(0.1, 1)), ("frame_index", 9)]
)
def test_the_content_hash_changes_with_every_value(tmp_path: Path, column: str, value: Any) -> None:
    made = validate(CAPTIONS, pd.DataFrame(rows(tmp_path)["captions"]))
    changed = made.copy()
    changed.loc[1, column] = value
    before, after = (content_sha256(CAPTIONS, rows_of(CAPTIONS, frame)) for frame in (made, changed))
    assert before != after


def test_staging_again_leaves_what_an_earlier_bundle_names(tmp_path: Path) -> None:
    tables, staging = rows(tmp_path), StagingArea(tmp_path / "staged")
    first = stage(tmp_path, tables)
    tables["captions"][0]["text"] = "another"
    second = stage(tmp_path, tables, run_id="run-2")
    assert first.sha256 != second.sha256
    assert staging.read(first.manifests["captions"])["text"][0] == "a picture 0"
    assert staging.read(staging.newest(VIDEO_ID, "captions"))["text"][0] == "another"


def test_a_bundle_is_named_by_what_it_holds(tmp_path: Path) -> None:
    bundle = stage(tmp_path, rows(tmp_path))
    assert StagingArea(tmp_path / "staged").bundle(VIDEO_ID).sha256 == bundle.sha256


@pytest.mark.parametrize("damage", [b"", b"PAR1 no Parquet PAR1", None])
def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path, damage: bytes | None) -> None:
    manifest = stage(tmp_path, rows(tmp_path)).manifests["captions"]
    staging = StagingArea(tmp_path / "staged")
    if damage is None:
        staging.path(manifest).unlink()
    else:
        staging.path(manifest).write_bytes(damage)
    with pytest.raises(StagedMissing if damage is None else StagedDamaged, match="Materialize the asset 'captions'"):
        staging.read(manifest)


def test_rows_of_another_staging_under_the_same_name_are_refused(tmp_path: Path) -> None:
    bundle, staging = stage(tmp_path, rows(tmp_path)), StagingArea(tmp_path / "staged")
    tables = rows(tmp_path)
    tables["captions"][0]["text"] = "another"
    other = stage(tmp_path, tables)
    staging.path(bundle.manifests["captions"]).write_bytes(staging.path(other.manifests["captions"]).read_bytes())
    with pytest.raises(StagedDamaged, match="does not hold the rows"):
        staging.read(bundle.manifests["captions"])


def test_a_table_that_was_never_staged_is_named(tmp_path: Path) -> None:
    stage(tmp_path, rows(tmp_path))
    (tmp_path / "staged" / VIDEO_ID / "transcripts.json").unlink()
    with pytest.raises(StagedMissing, match="transcripts"):
        StagingArea(tmp_path / "staged").bundle(VIDEO_ID)


def test_a_broken_manifest_is_refused(tmp_path: Path) -> None:
    stage(tmp_path, rows(tmp_path))
    (tmp_path / "staged" / VIDEO_ID / "frames.json").write_text('{"table": "frames"}')
    with pytest.raises(StagedDamaged, match=r"frames\.json"):
        StagingArea(tmp_path / "staged").bundle(VIDEO_ID)


def test_a_source_survives_being_written(tmp_path: Path) -> None:
    staging = StagingArea(tmp_path)
    source = Source(video_id="a-0", path='/x/"ü" \n.mp4', filename='"ü" \n.mp4', sha256="0" * 64, signature="1-2-3-4-5")
    staging.accept(source)
    assert staging.source("a-0") == source
    with pytest.raises(StagedMissing, match="bri ingest"):
        staging.source("b-0")
