"""Records that somebody changed with another program disagree with what he did not change along."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bri_assets.store import Archive, Consistency, Deletion, History, Memory, Purge, Tokens
from bri_assets.store.memory import Turn
from bri_assets_tests.bundles import open_store, operations
from bri_assets_tests.unit.store.test_recovery import commit, history_of_everything


@pytest.fixture
def home(tmp_path: Path) -> Path:
    commit(tmp_path, "first")
    commit(tmp_path, "first", "seen again")
    commit(tmp_path, "second")
    turn = Turn(conversation_id="c", user="What is it?", assistant="A picture.", turn_id="t")
    operations(Memory, tmp_path).add(turn, channel="test")
    tokens = operations(Tokens, tmp_path)
    tokens.create("agent", "read", datetime(2100, 1, 1, tzinfo=UTC), channel="test")
    tokens.create("revoked", "admin", channel="test")
    tokens.revoke("revoked", channel="test")
    return tmp_path


def differences(home: Path) -> list[str]:
    return operations(Consistency, home).differences()


def changed(home: Path, statement: str) -> list[str]:
    assert differences(home) == []
    with open_store(home).file.open() as connection:
        connection.execute(statement)
    return differences(home)


def test_whatever_a_store_went_through_its_records_agree(tmp_path: Path) -> None:
    history_of_everything(tmp_path)
    assert differences(tmp_path) == []


def test_what_people_do_leaves_them_in_agreement(home: Path) -> None:
    operations(History, home).rollback("first", 1, channel="test")
    operations(Deletion, home).delete("second", channel="test")
    assert differences(home) == []
    operations(Deletion, home).undelete("second", channel="test")
    operations(Archive, home).archive(0, channel="test")
    assert differences(home) == []
    operations(Purge, home).purge("second", reason="asked", channel="test")
    assert differences(home) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE current_versions SET version_id = 1 WHERE version_id = 2", "another version than its history"),
        ("DELETE FROM current_versions WHERE version_id = 3", "another version than its history"),
        ("UPDATE videos SET deleted_at = now() WHERE video_id LIKE 'second%'", "hidden or shown"),
        ("DELETE FROM proofs WHERE version_id = 1", "the record of its proofs"),
        ("DELETE FROM memory WHERE role = 'user'", "turn t is there by half"),
        ("UPDATE memory SET conversation_id = 'd' WHERE role = 'user'", "turn t is there by half"),
        ("UPDATE tokens SET scope = 'admin'", "allows what the audit log does not say"),
        ("UPDATE tokens SET expires_at = NULL", "allows what the audit log does not say"),
        ("UPDATE tokens SET revoked_at = NULL", "allows what the audit log does not say"),
        (
            """INSERT INTO tokens SELECT * REPLACE ('t-0123456789abcdef' AS token_id, repeat('a', 64) AS sha256)
               FROM tokens WHERE name = 'agent'""",
            "token t-0123456789abcdef allows what",
        ),
        ("UPDATE audit_log SET actor = 'nobody' WHERE event_id = 1", "as the journal has it"),
        ("UPDATE audit_log SET entity_id = '77' WHERE action = 'version.committed' AND entity_id = '3'", "gone"),
    ],
)
def test_what_is_changed_by_hand_is_named(home: Path, statement: str, said: str) -> None:
    found = changed(home, statement)
    assert any(said in difference for difference in found), found


def test_a_damaged_line_of_the_journal_is_named(home: Path) -> None:
    journal = home / "staged" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"actor":"', b'"actor":"x', 1))
    (found,) = differences(home)
    assert "line 1" in found
    assert "bri rebuild-journal" in found
