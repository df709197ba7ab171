"""The agent's memory: turns of conversations, kept in pairs, read by conversation or by video, and forgotten.

A conversation is what its turns say it is. What the audit log and the journal tell of it is ids and counts, no words.
What does not belong here: SQL (``messages``) and how an agent asks (``serve``).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from bri_assets.errors import CursorWrong, MessageNotFound, RangeWrong, TurnDiffers, VideoNotFound
from bri_assets.files import sha256_bytes
from bri_assets.store import audit, messages
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.messages import Message, Thread, Turn

__all__ = ["Memory", "Message", "MessagePage", "PageWanted", "Thread", "Turn"]

#: Most threads or messages that are asked about at once, and most messages that are had of one thread.
_MOST_ASKED, _MOST_MESSAGES = 100, 500

#: Characters of a cursor; those that are given out have half of them.
_MOST_CURSOR = 120

#: The database's largest number.
_MOST_NUMBER = 2**63 - 1

#: A time further back than this, in days, is before everything.
_ALL_DAYS = 365_000.0


class PageWanted(Thread):
    """Which page of which messages."""

    limit: int = Field(50, ge=1, le=_MOST_MESSAGES, description="Most messages on the page.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")


class MessagePage(BaseModel):
    """A page of messages, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: list[Message]
    next_cursor: str | None = Field(description="For the next page; null on the last.")


class Memory(Operations):
    """Operations on the agent's memory; ``channel`` is the way in, for the audit log.

    Reads by conversation show every message of it. Reads by video raise ``VideoNotFound`` for one that is not shown:
    unknown, deleted, never committed. Each read has a form for up to 100 threads, which costs as many statements as the
    form for one; more raise ``RangeWrong``.
    """

    @operation()
    def add(self, turn: Turn, *, channel: str) -> list[Message]:
        """Add a turn, both its messages or none; one that is there already stays as it is.

        Returns:
            The user's message and the assistant's.

        Raises:
            TurnDiffers: a turn of that id was added before, and says something else.
            VideoNotFound: the turn is about a video that is not shown.
        """
        with self.writing() as connection:
            there = messages.of_turn(connection, turn.turn_id)
            if there:
                _require_same(there, turn)
                return there
            _require_shown(connection, [turn.video_id])
            who = audit.actor(channel)
            added = messages.add(connection, turn, who=who)
            detail = _about(turn.conversation_id, turn.video_id) | {"message_ids": [one.message_id for one in added]}
            _record(connection, "memory.added", turn.turn_id, who, added[0].created_at, detail)
            return added

    def last(self, conversation_id: str | None = None, video_id: str | None = None, n: int = 20) -> list[Message]:
        """The last messages of one thread; see ``latest``."""
        return self.latest([Thread(conversation_id=conversation_id, video_id=video_id)], n)[0]

    @operation()
    def latest(self, threads: list[Thread], n: int = 20) -> list[list[Message]]:
        """The last messages of each thread, oldest first.

        Args:
            threads: which messages.
            n: most messages of each, 1 to 500.

        Raises:
            RangeWrong: ``n`` is out of bounds.
        """
        _require_between("n", n, _MOST_MESSAGES)
        with self.file.reading() as connection:
            _require_askable(connection, threads)
            return messages.latest(connection, threads, n)

    def page(
        self,
        conversation_id: str | None = None,
        video_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> MessagePage:
        """A page of one thread; see ``pages``.

        Raises:
            RangeWrong: ``limit`` is not between 1 and 500.
        """
        _require_between("limit", limit, _MOST_MESSAGES)
        wanted = PageWanted(conversation_id=conversation_id, video_id=video_id, limit=limit, cursor=cursor)
        return self.pages([wanted])[0]

    @operation()
    def pages(self, wanted: list[PageWanted]) -> list[MessagePage]:
        """Pages of messages, oldest first; what is added meanwhile comes at the end, and nothing comes twice.

        Raises:
            CursorWrong: a cursor is none that was given out for these messages.
        """
        asked = [(one, _after(one), one.limit + 1) for one in wanted]
        with self.file.reading() as connection:
            _require_askable(connection, wanted)
            found = messages.pages(connection, asked)
        return [_page(one, items) for one, items in zip(wanted, found, strict=True)]

    def message(self, message_id: int) -> Message:
        """One message; see ``messages``."""
        return self.messages([message_id])[0]

    @operation()
    def messages(self, message_ids: list[int]) -> list[Message]:
        """Messages by their numbers, in the order in which they are asked for.

        Raises:
            MessageNotFound: there is none of such a number.
        """
        _require_between("messages", len(message_ids), _MOST_MESSAGES, least=0)
        with self.file.reading() as connection:
            found = messages.by_id(connection, [number for number in message_ids if 0 < number <= _MOST_NUMBER])
        if missing := [number for number in message_ids if number not in found]:
            what = "there is no such message: it was never added, or is forgotten."
            raise MessageNotFound(", ".join(f"message {number}" for number in missing[:5]), what)
        return [found[number] for number in message_ids]

    def count(self, conversation_id: str | None = None, video_id: str | None = None) -> int:
        """How many messages one thread has; see ``counts``."""
        return self.counts([Thread(conversation_id=conversation_id, video_id=video_id)])[0]

    @operation()
    def counts(self, threads: list[Thread]) -> list[int]:
        """How many messages each thread has; a conversation that nobody began has none."""
        with self.file.reading() as connection:
            _require_askable(connection, threads)
            return messages.counts(connection, threads)

    @operation()
    def wipe(self, conversation_id: str | None = None, video_id: str | None = None, *, channel: str) -> int:
        """Forget a conversation, or all that was said about a video, or what was said about it in that conversation.

        Args:
            conversation_id: the conversation.
            video_id: the video; it may be deleted, or never have been there.
            channel: the way in.

        Returns:
            How many messages there were. Wiping nothing is recorded nowhere.

        Raises:
            RangeWrong: neither is named.
        """
        named = _about(conversation_id, video_id)
        if not named:
            what = "neither a conversation nor a video is named, and everything is not wiped at once."
            raise RangeWrong("the memory", what, "Name what is to be wiped.")
        who, at = audit.actor(channel), datetime.now(UTC)
        with self.writing() as connection:
            count = messages.wipe(connection, Thread(conversation_id=conversation_id, video_id=video_id))
            if count:
                entity_id = conversation_id or video_id or ""
                _record(connection, "memory.wiped", entity_id, who, at, named | {"messages": count})
            return count

    @operation()
    def expire(self, older_than_days: float, *, channel: str, now: datetime | None = None) -> int:
        """Forget what was said long enough ago; returns how many messages that were.

        Args:
            older_than_days: age in days, >= 0.
            channel: the way in.
            now: the time, by default the clock's.

        Raises:
            RangeWrong: the age is below 0.
        """
        if not older_than_days >= 0:
            raise RangeWrong("the memory", f"{older_than_days:g} days is no age.", "Name 0 days or more.")
        who, at = audit.actor(channel), now or datetime.now(UTC)
        before = at - timedelta(days=min(older_than_days, _ALL_DAYS))
        with self.writing() as connection:
            count = messages.expire(connection, before)
            if count:
                detail = {"before": before.isoformat(), "messages": count}
                _record(connection, "memory.expired", before.isoformat(), who, at, detail)
            return count


def _page(wanted: PageWanted, found: list[Message]) -> MessagePage:
    items = found[: wanted.limit]
    more = len(found) > wanted.limit
    return MessagePage(items=items, next_cursor=_cursor(wanted, items[-1].message_id) if more else None)


def _cursor(wanted: PageWanted, after: int) -> str:
    told = json.dumps([after, _question(wanted, after)]).encode()
    return base64.urlsafe_b64encode(told).decode()


def _after(wanted: PageWanted) -> int:
    """The number of the last message on the page before; 0 for the first page."""
    if wanted.cursor is None:
        return 0
    if len(wanted.cursor) > _MOST_CURSOR:
        raise _wrong(wanted.cursor)
    try:
        after, question = json.loads(base64.b64decode(wanted.cursor, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, TypeError) as error:
        raise _wrong(wanted.cursor) from error
    if type(after) is not int or not 0 < after <= _MOST_NUMBER or question != _question(wanted, after):
        raise _wrong(wanted.cursor)
    return after


def _question(wanted: PageWanted, after: int) -> str:
    """What ties a cursor to its place and to the messages that were asked for."""
    return sha256_bytes(json.dumps([wanted.conversation_id, wanted.video_id, after]).encode())[:16]


def _wrong(cursor: str) -> CursorWrong:
    what, remedy = "is no cursor of these messages.", "Begin with the first page, without a cursor."
    return CursorWrong(f"the cursor {cursor[:80]!a}", what, remedy)


def _require_askable(connection: duckdb.DuckDBPyConnection, threads: Sequence[Thread]) -> None:
    _require_between("threads", len(threads), _MOST_ASKED, least=0)
    _require_shown(connection, [thread.video_id for thread in threads])


def _require_between(what: str, value: int, most: int, *, least: int = 1) -> None:
    if not least <= value <= most:
        raise RangeWrong(what, f"{value} is not between {least} and {most}.", "Ask for less at a time.")


def _require_shown(connection: duckdb.DuckDBPyConnection, video_ids: Sequence[str | None]) -> None:
    named = [video_id for video_id in video_ids if video_id is not None]
    if missing := messages.unshown(connection, named) if named else []:
        what = (
            "no video that is shown has this id." if len(missing) == 1 else "no videos that are shown have these ids."
        )
        raise VideoNotFound(", ".join(missing[:5]), what, "See `bri status`.")


def _require_same(there: Sequence[Message], turn: Turn) -> None:
    said = [(turn.conversation_id, turn.video_id, "user", turn.user)]
    said += [(turn.conversation_id, turn.video_id, "assistant", turn.assistant)]
    if [(one.conversation_id, one.video_id, one.role, one.content) for one in there] != said:
        what = "a turn of this id was added before, and is another one."
        raise TurnDiffers(turn.turn_id, what, "Give each turn an id of its own, or none.")


def _about(conversation_id: str | None, video_id: str | None) -> dict[str, Any]:
    named = {"conversation_id": conversation_id, "video_id": video_id}
    return {name: value for name, value in named.items() if value is not None}


def _record(
    connection: duckdb.DuckDBPyConnection, action: str, entity_id: str, who: str, at: datetime, detail: dict[str, Any]
) -> None:
    told = detail | {"at": at.isoformat()}
    audit.record(connection, who=who, action=action, entity="memory", entity_id=entity_id, detail=told)
