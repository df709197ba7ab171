"""Constraints are in the database, not only in Python: each wrong row is refused by a plain INSERT or UPDATE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from bri_assets_tests.bundles import open_store, rows, stage


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    home: Path = tmp_path_factory.mktemp("constraints")
    store = open_store(home)
    store.commit(stage(home, rows(home)), run_id="run-1", channel="test")
    with store.file.open() as opened:
        yield opened


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE frames SET timestamp_s = -1",
        "UPDATE frames SET timestamp_s = 'nan'::DOUBLE",
        "UPDATE frames SET timestamp_s = 'inf'::DOUBLE",
        "UPDATE frames SET image_sha256 = 'short'",
        "UPDATE frames SET image_path = '../../etc/passwd'",
        "UPDATE captions SET text = '  '",
        "UPDATE captions SET text = NULL",
        "UPDATE captions SET confidence = 1.5",
        "UPDATE transcripts SET start_s = end_s",
        "UPDATE transcripts SET no_speech_prob = -0.1",
        "UPDATE detections SET x2 = x1",
        "UPDATE detections SET confidence = 'nan'::DOUBLE",
        "UPDATE videos SET duration_s = 0",
        "UPDATE videos SET rotation_deg = 45",
        "UPDATE video_versions SET state = 'half'",
        "UPDATE proofs SET passed = NULL",
        "INSERT INTO captions VALUES (1, 0, 'twice', 0.5)",
        "INSERT INTO captions VALUES (99, 0, 'of no version', 0.5)",
        "INSERT INTO current_versions VALUES ('nobody', 99, now(), 'test')",
        "DELETE FROM video_versions",
        "DELETE FROM videos",
    ],
)
def test_the_database_refuses(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    with pytest.raises(duckdb.ConstraintException):
        connection.execute(statement)
