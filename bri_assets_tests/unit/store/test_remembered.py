"""After a restore what was wiped stays wiped and what was revoked stays revoked; what was said since is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bri_assets.store import Drill, Memory, Purge, Tokens
from bri_assets.store.memory import Message, Turn
from bri_assets.store.tokens import hash_of
from bri_assets_tests.bundles import open_store, operations
from bri_assets_tests.snapshots import snapshot
from bri_assets_tests.unit.store.test_recovery import back_up, commit, restore, restore_of


def say(home: Path, conversation: str, video_id: str | None = None) -> list[Message]:
    turn = Turn(conversation_id=conversation, user="What is seen?", assistant="A picture.", video_id=video_id)
    return operations(Memory, home).add(turn, channel="test")


def wipe(home: Path, conversation: str | None = None, video_id: str | None = None) -> int:
    return operations(Memory, home).wipe(conversation, video_id, channel="test")


def talks(home: Path) -> list[str]:
    found = operations(Memory, home).last(n=500)
    assert [message.role for message in found] == ["user", "assistant"] * (len(found) // 2)
    return sorted({message.conversation_id for message in found})


def lose(home: Path) -> None:
    open_store(home).file.path.unlink()


def test_a_backup_brings_back_what_was_said_before_it(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    said = say(tmp_path, "before")
    back_up(tmp_path)
    before = snapshot(open_store(tmp_path))["memory"]
    lose(tmp_path)
    done = restore(tmp_path)
    assert (done.unsaid, done.lost) == (0, [])
    assert snapshot(open_store(tmp_path))["memory"] == before
    assert operations(Memory, tmp_path).last("before") == said


def test_what_was_said_since_is_counted_and_fails_no_restore(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    say(tmp_path, "before")
    back_up(tmp_path)
    last = [say(tmp_path, "since") for _ in range(3)][-1][-1].message_id
    drilled = operations(Drill, tmp_path).run(restore_of(tmp_path))
    assert (drilled.recovers, drilled.unsaid) == (True, 3)
    lose(tmp_path)
    done = restore(tmp_path)
    assert (done.unsaid, done.lost) == (3, [])
    assert talks(tmp_path) == ["before"]
    # A number that somebody may have written down means the lost message for ever.
    assert say(tmp_path, "after")[0].message_id == last + 1


def gone(name: str) -> Callable[[Path, str], Any]:
    ways: dict[str, Callable[[Path, str], Any]] = {
        "conversation": lambda home, _: [wipe(home, talk) for talk in ("a", "b")],
        "video": lambda home, video: wipe(home, video_id=video),
        "both": lambda home, video: [wipe(home, talk, video) for talk in ("a", "b")],
        "expired": lambda home, _: operations(Memory, home).expire(
            0, channel="test", now=datetime.now(UTC) + timedelta(seconds=1)
        ),
        "purged": lambda home, video: operations(Purge, home).purge(video, reason="asked", channel="test"),
    }
    return ways[name]


@pytest.mark.parametrize("how", ["conversation", "video", "both", "expired", "purged"])
def test_what_was_forgotten_stays_forgotten_and_is_no_loss(tmp_path: Path, how: str) -> None:
    video = commit(tmp_path, "first")
    say(tmp_path, "a", video)
    back_up(tmp_path)
    say(tmp_path, "b", video)
    gone(how)(tmp_path, video)
    assert talks(tmp_path) == []
    say(tmp_path, "c")
    lose(tmp_path)
    done = restore(tmp_path)
    assert (done.unsaid, done.lost) == (1, [])
    assert talks(tmp_path) == []


def test_a_wipe_takes_no_more_the_second_time(tmp_path: Path) -> None:
    """What was said in a conversation, or about a video, that was not meant, stays."""
    first, second = commit(tmp_path, "first"), commit(tmp_path, "second")
    for talk, video in (("a", first), ("a", second), ("b", first), ("b", None)):
        say(tmp_path, talk, video)
    back_up(tmp_path)
    wipe(tmp_path, "a", first)
    expected = snapshot(open_store(tmp_path))["memory"]
    assert len(expected) == 6
    lose(tmp_path)
    assert restore(tmp_path).unsaid == 0
    assert snapshot(open_store(tmp_path))["memory"] == expected


def tokens_before_and_after(home: Path) -> dict[str, str]:
    """Secrets by name, of tokens made before and after a backup, two of which are revoked after it."""
    tokens = operations(Tokens, home)
    secrets = {name: tokens.create(name, "read", channel="test").secret for name in ("old", "old-revoked")}
    back_up(home)
    end = datetime.now(UTC) + timedelta(days=9)
    secrets["new"] = tokens.create("new", "admin", end, channel="test").secret
    secrets["new-revoked"] = tokens.create("new-revoked", "write", channel="test").secret
    for name in ("old-revoked", "new-revoked"):
        tokens.revoke(name, channel="test")
    return secrets


def holding(home: Path, secrets: dict[str, str]) -> list[str]:
    tokens = operations(Tokens, home)
    return [name for name, secret in secrets.items() if tokens.find(hash_of(secret)) is not None]


@pytest.mark.parametrize("journal_only", [False, True])
def test_tokens_come_back_as_they_were(tmp_path: Path, journal_only: bool) -> None:
    commit(tmp_path, "first")
    secrets = tokens_before_and_after(tmp_path)
    before = snapshot(open_store(tmp_path))["tokens"]
    assert len(before) == 4
    lose(tmp_path)
    assert restore(tmp_path, journal_only=journal_only).lost == []
    assert snapshot(open_store(tmp_path))["tokens"] == before
    assert holding(tmp_path, secrets) == ["old", "new"]


def test_back_to_a_time_before_what_was_wiped_and_revoked_stays_so(tmp_path: Path) -> None:
    commit(tmp_path, "first")
    say(tmp_path, "wiped")
    say(tmp_path, "kept")
    tokens = operations(Tokens, tmp_path)
    secrets = {name: tokens.create(name, "read", channel="test").secret for name in ("stolen", "kept")}
    back_up(tmp_path)
    until = datetime.now(UTC)
    while datetime.now(UTC) <= until:
        time.sleep(0.001)
    wipe(tmp_path, "wiped")
    tokens.revoke("stolen", channel="test")
    secrets["later"] = tokens.create("later", "read", channel="test").secret
    commit(tmp_path, "first", "a mistake")

    done = restore(tmp_path, until=until)

    assert (done.unsaid, done.lost) == (0, [])
    assert open_store(tmp_path).video("first")["video"]["version"] == 1
    assert talks(tmp_path) == ["kept"]
    assert holding(tmp_path, secrets) == ["kept"]
    with open_store(tmp_path).file.open() as connection:
        told = connection.execute("SELECT action FROM audit_log ORDER BY event_id DESC LIMIT 3").fetchall()
    assert told == [("store.restored",), ("token.revoked",), ("memory.wiped",)]
    # The journal is that of the restored store, so the next restore does the same.
    lose(tmp_path)
    restore(tmp_path)
    assert talks(tmp_path) == ["kept"]
    assert holding(tmp_path, secrets) == ["kept"]
