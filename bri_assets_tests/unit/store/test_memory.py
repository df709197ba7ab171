"""Conversations: turns are kept in pairs, read as they were said, by conversation and by video, and forgotten."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bri_assets.errors import CursorWrong, MessageNotFound, RangeWrong, TurnDiffers, VideoNotFound
from bri_assets.files import sha256_bytes
from bri_assets.settings import Settings
from bri_assets.store import Deletion, Memory, Purge
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.owned import OwnedFile
from bri_assets.store.memory import Message, PageWanted, Thread, Turn
from bri_assets_tests.bundles import open_store, operations, rows, stage

IDS = {name: f"{name}-{sha256_bytes(name.encode())[:12]}" for name in ("dog", "cat")}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two videos."""
    home = tmp_path_factory.mktemp("template")
    for name, video_id in IDS.items():
        tables = rows(home, video_id=video_id, sha256=sha256_bytes(name.encode()))
        open_store(home).commit(stage(home, tables), run_id="run", channel="test")
    return home


@pytest.fixture
def memory(template: Path, tmp_path: Path) -> Memory:
    shutil.copytree(template, tmp_path / "home")
    return operations(Memory, tmp_path / "home")


def say(memory: Memory, conversation: str = "c", user: str = "What is it?", **others: Any) -> list[Message]:
    turn = Turn(conversation_id=conversation, user=user, assistant=f"Of {user}: a dog.", **others)
    return memory.add(turn, channel="api/agent")


def events(memory: Memory, like: str = "memory.%") -> list[tuple[str, str, str, dict[str, Any]]]:
    with memory.file.open() as connection:
        found = connection.execute(
            "SELECT action, actor, entity_id, detail FROM audit_log WHERE action LIKE ? ORDER BY event_id", [like]
        ).fetchall()
    return [(action, actor.split(":")[0], entity_id, json.loads(detail)) for action, actor, entity_id, detail in found]


def words(messages: list[Message]) -> list[str]:
    return [message.content for message in messages if message.role == "user"]


def test_a_turn_is_two_messages_and_one_event_that_quotes_neither(memory: Memory) -> None:
    user, assistant = say(memory, video_id=IDS["dog"], turn_id="t-1")
    assert (user.role, user.content) == ("user", "What is it?")
    assert (assistant.role, assistant.content) == ("assistant", "Of What is it?: a dog.")
    assert user.message_id < assistant.message_id
    assert user.created_at == assistant.created_at
    for message in (user, assistant):
        assert (message.turn_id, message.conversation_id, message.video_id) == ("t-1", "c", IDS["dog"])
        assert message.created_by.startswith("api/agent:")
        assert memory.message(message.message_id) == message
    ((action, actor, entity_id, detail),) = events(memory)
    assert (action, actor, entity_id) == ("memory.added", "api/agent", "t-1")
    assert detail == {
        "conversation_id": "c",
        "video_id": IDS["dog"],
        "message_ids": [user.message_id, assistant.message_id],
        "at": user.created_at.isoformat(),
    }
    journal = Settings(home=memory.home).journal_path.read_text()
    assert "memory.added" in journal
    assert "a dog" not in journal


def test_the_same_turn_again_is_the_same_turn(memory: Memory) -> None:
    first = say(memory, turn_id="t-1", video_id=IDS["dog"])
    assert say(memory, turn_id="t-1", video_id=IDS["dog"]) == first
    # Also where its video is hidden by now: nothing new is said.
    operations(Deletion, memory.home).delete(IDS["dog"], channel="test")
    assert say(memory, turn_id="t-1", video_id=IDS["dog"]) == first
    assert memory.count() == 2
    assert len(events(memory)) == 1


@pytest.mark.parametrize(
    "other", [{"user": "And this?"}, {"conversation": "d"}, {"video_id": IDS["cat"]}, {"video_id": None}]
)
def test_another_turn_of_the_same_id_is_refused(memory: Memory, other: dict[str, Any]) -> None:
    first = say(memory, turn_id="t-1", video_id=IDS["dog"])
    with pytest.raises(TurnDiffers, match="t-1"):
        say(memory, **({"turn_id": "t-1", "video_id": IDS["dog"]} | other))
    assert memory.last() == first
    assert len(events(memory)) == 1


def test_a_turn_without_an_id_gets_one_of_its_own(memory: Memory) -> None:
    assert say(memory)[0].turn_id != say(memory)[0].turn_id
    assert memory.count("c") == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"conversation_id": ""},
        {"conversation_id": "two words"},
        {"conversation_id": "../c"},
        {"conversation_id": "c\n"},
        {"conversation_id": "c" * 101},
        {"turn_id": ""},
        {"turn_id": "a/b"},
        {"user": ""},
        {"user": " \n\t"},
        {"user": "\N{NO-BREAK SPACE}"},
        {"assistant": " "},
        {"assistant": "x" * 100_001},
        {"assistant": "\ud800"},
        {"mood": "good"},
    ],
)
def test_what_is_no_turn_is_refused(wrong: dict[str, Any]) -> None:
    right = {"conversation_id": "c", "user": "a", "assistant": "b"}
    Turn.model_validate(right)
    with pytest.raises(ValidationError):
        Turn.model_validate(right | wrong)


@pytest.mark.parametrize(
    "content", ["x" * 100_000, "ä" * 100_000, "a\0b", "\N{NO-BREAK SPACE}x", "'; DROP TABLE memory"]
)
def test_any_words_come_back_as_they_were(memory: Memory, content: str) -> None:
    said = memory.add(Turn(conversation_id="c", user=content, assistant=content), channel="test")
    assert memory.messages([one.message_id for one in said]) == said
    assert [message.content for message in memory.last("c")] == [content, content]


def test_a_turn_about_a_video_that_is_not_shown_is_refused(memory: Memory) -> None:
    with pytest.raises(VideoNotFound, match="nothing-000000000000"):
        say(memory, video_id="nothing-000000000000")
    operations(Deletion, memory.home).delete(IDS["dog"], channel="test")
    with pytest.raises(VideoNotFound, match=IDS["dog"]):
        say(memory, video_id=IDS["dog"])
    assert memory.count() == 0
    assert events(memory) == []


def test_a_hidden_video_hides_what_was_said_about_it_and_its_conversation_keeps_it(memory: Memory) -> None:
    said = say(memory, video_id=IDS["dog"])
    deletion = operations(Deletion, memory.home)
    deletion.delete(IDS["dog"], channel="test")
    reads = [
        lambda: memory.last(video_id=IDS["dog"]),
        lambda: memory.last("c", IDS["dog"]),
        lambda: memory.page(video_id=IDS["dog"]),
        lambda: memory.count(video_id=IDS["dog"]),
        lambda: memory.latest([Thread(conversation_id="c"), Thread(video_id=IDS["dog"])]),
    ]
    for read in reads:
        with pytest.raises(VideoNotFound, match=IDS["dog"]):
            read()
    assert memory.last("c") == said
    deletion.undelete(IDS["dog"], channel="test")
    assert memory.last(video_id=IDS["dog"]) == said


def test_a_purge_takes_what_was_said_about_the_video_and_nothing_else(memory: Memory) -> None:
    for video_id in (IDS["dog"], IDS["cat"], None):
        say(memory, user=f"about {video_id}", video_id=video_id)
    done = operations(Purge, memory.home).purge(IDS["dog"], reason="asked", channel="test")
    assert done.rows["memory"] == 2
    assert words(memory.last("c")) == [f"about {IDS['cat']}", "about None"]


def test_messages_come_by_number_in_the_order_that_is_asked(memory: Memory) -> None:
    said = say(memory) + say(memory, "d")
    numbers = [one.message_id for one in said]
    assert memory.messages(numbers[::-1] + numbers[:1]) == [*said[::-1], said[0]]
    assert memory.messages([]) == []
    for number in (0, -1, 10**6, 2**63, -(2**70)):
        with pytest.raises(MessageNotFound, match=str(number)):
            memory.messages([numbers[0], number])


def test_bounds(memory: Memory) -> None:
    threads = [Thread(conversation_id="c")] * 101
    for asked in (
        lambda: memory.last("c", n=0),
        lambda: memory.last("c", n=501),
        lambda: memory.page("c", limit=0),
        lambda: memory.page("c", limit=501),
        lambda: memory.latest(threads),
        lambda: memory.counts(threads),
        lambda: memory.pages([PageWanted(conversation_id="c")] * 101),
        lambda: memory.messages([1] * 501),
        lambda: memory.wipe(channel="test"),
        lambda: memory.expire(-1, channel="test"),
        lambda: memory.expire(float("nan"), channel="test"),
    ):
        with pytest.raises(RangeWrong):
            asked()
    assert memory.latest([]) == memory.counts([]) == memory.pages([]) == []


def test_a_cursor_is_of_the_messages_that_it_was_given_out_for(memory: Memory) -> None:
    for number in range(3):
        say(memory, user=str(number), video_id=IDS["dog"])
    cursor = memory.page("c", limit=2).next_cursor
    assert cursor is not None
    assert words(memory.page("c", limit=1, cursor=cursor).items) == ["1"]
    for asked in ({"conversation_id": "d"}, {"conversation_id": "c", "video_id": IDS["dog"]}, {}):
        with pytest.raises(CursorWrong):
            memory.page(**asked, cursor=cursor)


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!!", "bnVsbA==", "W10=", "WzEsICIiXQ==", "ä", "\ud800", "W1tb" * 10_000]
)
def test_what_is_no_cursor_is_refused(memory: Memory, cursor: str) -> None:
    with pytest.raises(CursorWrong):
        memory.page("c", cursor=cursor)


def test_names_that_no_conversation_has_have_no_messages(memory: Memory) -> None:
    say(memory)
    for name in ("nobody", "", "%", "c' OR 'a'='a", "\0", "\ud800"):
        assert memory.last(name) == []
        assert memory.count(name) == 0


def test_wiping_takes_what_is_named_and_records_how_much(memory: Memory) -> None:
    for conversation, name in itertools.product(("c", "d"), ("dog", "cat")):
        say(memory, conversation, user=f"{conversation} {name}", video_id=IDS[name])
    assert memory.wipe("c", IDS["cat"], channel="api/agent") == 2
    assert words(memory.last()) == ["c dog", "d dog", "d cat"]
    assert memory.wipe(video_id=IDS["dog"], channel="api/agent") == 4
    assert words(memory.last()) == ["d cat"]
    assert memory.wipe("nobody", channel="api/agent") == 0
    assert memory.wipe("d", channel="api/agent") == 2
    assert memory.count() == 0
    told = [(actor, entity_id, detail["messages"]) for _, actor, entity_id, detail in events(memory, "memory.wiped")]
    assert told == [("api/agent", "c", 2), ("api/agent", IDS["dog"], 4), ("api/agent", "d", 2)]


def test_what_was_said_about_a_deleted_video_can_be_wiped(memory: Memory) -> None:
    say(memory, video_id=IDS["dog"])
    operations(Deletion, memory.home).delete(IDS["dog"], channel="test")
    assert memory.wipe(video_id=IDS["dog"], channel="test") == 2


def test_what_was_said_long_enough_ago_expires_with_both_its_messages(memory: Memory) -> None:
    said = [say(memory, user=str(number)) for number in range(3)]
    at = said[1][0].created_at + timedelta(days=30)
    # The second is 30 days old to the microsecond: that is not older.
    assert memory.expire(30, channel="schedule", now=at) == 2
    assert words(memory.last()) == ["1", "2"]
    assert memory.expire(1e300, channel="schedule") == 0
    assert memory.expire(0, channel="schedule", now=datetime.now(UTC) + timedelta(days=1)) == 4
    assert [(actor, detail["messages"]) for _, actor, _, detail in events(memory, "memory.expired")] == [
        ("schedule", 2),
        ("schedule", 4),
    ]


def test_numbers_are_not_given_again(memory: Memory) -> None:
    last = say(memory)[1].message_id
    memory.wipe("c", channel="test")
    assert say(memory)[0].message_id > last


_TALKS = ("a", "b")
_THREADS = [Thread(conversation_id=talk) for talk in _TALKS]
_THREADS += [Thread(video_id=video) for video in IDS.values()]
_THREADS += [Thread(conversation_id=talk, video_id=IDS["dog"]) for talk in _TALKS]
_THREADS += [Thread(), Thread(conversation_id="nobody")]


@pytest.fixture(scope="module")
def owned(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    """An open store, as its owner has it."""
    home = tmp_path_factory.mktemp("owned") / "home"
    shutil.copytree(template, home)
    with OwnedFile.owning(StoreFile.of(Settings(home=home)), cursors=2) as file:
        yield Memory(home, file, open_store(home).staging)


def fits(message: Message, thread: Thread) -> bool:
    return thread.conversation_id in (None, message.conversation_id) and thread.video_id in (None, message.video_id)


_SAID = st.tuples(st.sampled_from(_TALKS), st.sampled_from([None, *IDS.values()]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(_SAID, max_size=8), later=st.lists(_SAID, max_size=4), n=st.integers(1, 7), first=st.integers(1, 5)
)
def test_reads_give_what_was_said_in_its_order(
    owned: Memory, said: list[tuple[str, str | None]], later: list[tuple[str, str | None]], n: int, first: int
) -> None:
    """One thread at a time and all at once; while pages are read, more is said, and it comes at the end, once."""
    for talk in _TALKS:
        owned.wipe(talk, channel="test")
    everything = [one for talk, video in said for one in say(owned, talk, video_id=video)]

    def of(thread: Thread) -> list[Message]:
        return [one for one in everything if fits(one, thread)]

    assert owned.latest(_THREADS, n) == [of(thread)[-n:] for thread in _THREADS]
    assert owned.counts(_THREADS) == [len(of(thread)) for thread in _THREADS]

    wanted = [PageWanted(**dict(thread), limit=first) for thread in _THREADS]
    pages = owned.pages(wanted)
    assert [page.items for page in pages] == [of(thread)[:first] for thread in _THREADS]
    before = {position: len(of(thread)) for position, thread in enumerate(_THREADS)}
    everything += [one for talk, video in later for one in say(owned, talk, video_id=video)]
    for position, (thread, page) in enumerate(zip(_THREADS, pages, strict=True)):
        read, cursor = list(page.items), page.next_cursor
        assert (cursor is None) == (before[position] <= first)
        while cursor is not None:
            found = owned.page(thread.conversation_id, thread.video_id, limit=n, cursor=cursor)
            assert len(found.items) == n or found.next_cursor is None
            read += found.items
            cursor = found.next_cursor
        assert read == (of(thread) if before[position] > first else of(thread)[: before[position]])
