"""Constraints are in the database, not only in Python: each wrong row is refused by a plain INSERT or UPDATE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from bri_assets.store import Memory, Tokens
from bri_assets.store.memory import Turn
from bri_assets_tests.bundles import open_store, operations, rows, stage


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    home: Path = tmp_path_factory.mktemp("constraints")
    store = open_store(home)
    store.commit(stage(home, rows(home)), run_id="run-1", channel="test")
    turn = Turn(conversation_id="c", user="What is it?", assistant="A picture.", turn_id="t")
    operations(Memory, home).add(turn, channel="test")
    operations(Tokens, home).keep("agent", "a" * 64, "read", channel="test")
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
        "INSERT INTO memory VALUES (99, 't', 'c', NULL, 'user', 'the same turn', now(), 'test')",
        "INSERT INTO memory VALUES (1, 'u', 'c', NULL, 'user', 'the same number', now(), 'test')",
        "INSERT INTO memory VALUES (99, 'u', 'c', NULL, 'system', 'of nobody', now(), 'test')",
        "UPDATE memory SET content = ' '",
        "UPDATE memory SET content = repeat('x', 100001)",
        "UPDATE memory SET conversation_id = 'two words'",
        "UPDATE memory SET turn_id = ''",
        "INSERT INTO tokens SELECT * REPLACE ('t-0123456789abcdef' AS token_id) FROM tokens",
        "UPDATE tokens SET sha256 = 'short'",
        "UPDATE tokens SET scope = 'everything'",
        "UPDATE tokens SET name = 'two words'",
        "DELETE FROM video_versions",
        "DELETE FROM videos",
    ],
)
def test_the_database_refuses(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    with pytest.raises(duckdb.ConstraintException):
        connection.execute(statement)
