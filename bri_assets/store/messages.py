"""The table ``memory``: rows of conversations in and out, on a connection that the caller has open.

Every function that changes rows takes its author and time, for a replay after a restore; the audit log is the caller's.
What does not belong here: the operations (``memory``).
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import duckdb
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bri_assets.schemas.memory import CONVERSATION_ID, MOST_CHARACTERS, TURN_ID

__all__ = [
    "Message",
    "Thread",
    "Turn",
    "add",
    "by_id",
    "counts",
    "expire",
    "latest",
    "of_turn",
    "pages",
    "unshown",
    "wipe",
]

_COLUMNS = "message_id, turn_id, conversation_id, video_id, role, content, created_at, created_by"


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("it is blank")
    return text


def _storable(text: str) -> str:
    """What no text of the store can hold becomes what no id has."""
    return text.encode(errors="replace").decode()


_Content = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS), AfterValidator(_said)]
_Conversation = Annotated[str, Field(pattern=CONVERSATION_ID)]
_Asked = Annotated[str, AfterValidator(_storable)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Turn(_Model):
    """What a user said and what the assistant answered: they are kept both or not at all."""

    conversation_id: _Conversation = Field(description="The conversation; it begins with its first turn.")
    user: _Content = Field(description="What the user said, not blank.")
    assistant: _Content = Field(description="What the assistant answered, not blank.")
    video_id: str | None = Field(None, description="The video that it is about, if it is about one.")
    turn_id: str = Field(
        default_factory=lambda: uuid.uuid4().hex,
        pattern=TURN_ID,
        description="Names the turn, so that adding it twice is adding it once; made where none is given.",
    )


class Message(_Model):
    """One side of a turn."""

    message_id: int = Field(description="Number of the message, growing.")
    turn_id: str = Field(description="The turn: a message of the user and one of the assistant.")
    conversation_id: str
    video_id: str | None = Field(description="The video that the turn is about; null where it is about none.")
    role: Literal["user", "assistant"]
    content: str
    created_at: datetime = Field(description="When it was added, UTC.")
    created_by: str = Field(description="Who added it.")


class Thread(_Model):
    """Which messages: those of a conversation, of a video, of both at once, or all."""

    conversation_id: _Asked | None = None
    video_id: _Asked | None = None


def add(connection: duckdb.DuckDBPyConnection, turn: Turn, *, who: str, at: datetime | None = None) -> list[Message]:
    """Insert both messages of a turn, the user's first; ``at`` is None for now."""
    return [
        _insert(connection, turn, role, content, who, at)
        for role, content in (("user", turn.user), ("assistant", turn.assistant))
    ]


def _insert(
    connection: duckdb.DuckDBPyConnection, turn: Turn, role: str, content: str, who: str, at: datetime | None
) -> Message:
    found = connection.execute(
        f"""INSERT INTO memory VALUES (nextval('message_ids'), $turn_id, $conversation_id, $video_id, $role, $content,
                                      coalesce($at::TIMESTAMPTZ, now()), $who) RETURNING {_COLUMNS}""",  # noqa: S608 - our own names
        {
            "turn_id": turn.turn_id,
            "conversation_id": turn.conversation_id,
            "video_id": turn.video_id,
            "role": role,
            "content": content,
            "at": at,
            "who": who,
        },
    )
    return _messages(found)[0]


def of_turn(connection: duckdb.DuckDBPyConnection, turn_id: str) -> list[Message]:
    """The messages of a turn, the user's first; none where it was never added, or is forgotten."""
    query = f"SELECT {_COLUMNS} FROM memory WHERE turn_id = ? ORDER BY message_id"  # noqa: S608 - our own names
    return _messages(connection.execute(query, [turn_id]))


def by_id(connection: duckdb.DuckDBPyConnection, message_ids: Sequence[int]) -> dict[int, Message]:
    """Those of the messages that there are."""
    query = f"SELECT {_COLUMNS} FROM memory WHERE message_id IN (SELECT unnest($ids::BIGINT[]))"  # noqa: S608 - our own names
    return {message.message_id: message for message in _messages(connection.execute(query, {"ids": list(message_ids)}))}


def latest(connection: duckdb.DuckDBPyConnection, threads: Sequence[Thread], n: int) -> list[list[Message]]:
    """The last ``n`` messages of each, oldest first, by one statement."""
    return _each(connection, [(thread, "true", [], "DESC", n) for thread in threads])


def pages(connection: duckdb.DuckDBPyConnection, wanted: Sequence[tuple[Thread, int, int]]) -> list[list[Message]]:
    """Of each thread the first messages after a number, as many as are wanted, oldest first, by one statement.

    Args:
        connection: an open store.
        wanted: a thread, the number of the last message before, and most messages.
    """
    return _each(connection, [(thread, "message_id > ?", [after], "ASC", most) for thread, after, most in wanted])


def counts(connection: duckdb.DuckDBPyConnection, threads: Sequence[Thread]) -> list[int]:
    """How many messages each has, by one statement."""
    if not threads:
        return []
    parts, values = list[str](), list[Any]()
    for position, thread in enumerate(threads):
        where, more = _where(thread)
        parts.append(f"SELECT {position} AS thread, count(*) FROM memory WHERE {where}")  # noqa: S608 - our own text
        values += more
    found = connection.execute(f"{' UNION ALL '.join(parts)} ORDER BY thread", values).fetchall()
    return [int(count) for _, count in found]


def unshown(connection: duckdb.DuckDBPyConnection, video_ids: Sequence[str]) -> list[str]:
    """Those of the videos that no read shows: unknown, never committed, deleted."""
    found = connection.execute(
        """SELECT asked.video_id FROM (SELECT DISTINCT unnest($ids::VARCHAR[]) AS video_id) asked
           WHERE asked.video_id NOT IN (
               SELECT c.video_id FROM current_versions c JOIN videos v USING (video_id) WHERE v.deleted_at IS NULL)
           ORDER BY 1""",
        {"ids": list(video_ids)},
    ).fetchall()
    return [video_id for (video_id,) in found]


def wipe(connection: duckdb.DuckDBPyConnection, thread: Thread) -> int:
    """Remove the messages of a thread; returns how many there were."""
    where, values = _where(thread)
    return int(connection.execute(f"DELETE FROM memory WHERE {where}", values).fetchall()[0][0])  # noqa: S608 - our own text


def expire(connection: duckdb.DuckDBPyConnection, before: datetime) -> int:
    """Remove the messages that were added before a time; returns how many there were."""
    return int(connection.execute("DELETE FROM memory WHERE created_at < ?", [before]).fetchall()[0][0])


def _each(
    connection: duckdb.DuckDBPyConnection, asked: Sequence[tuple[Thread, str, list[Any], str, int]]
) -> list[list[Message]]:
    """Of each thread the messages that fulfil one more condition: the first ones in an order, oldest first."""
    if not asked:
        return []
    parts, values = list[str](), list[Any]()
    for position, (thread, condition, more, order, most) in enumerate(asked):
        where, named = _where(thread)
        parts.append(
            f"FROM (SELECT {position} AS thread, {_COLUMNS} FROM memory WHERE {where} AND {condition}"  # noqa: S608
            f" ORDER BY message_id {order} LIMIT ?)"
        )
        values += [*named, *more, most]
    found = connection.execute(f"{' UNION ALL '.join(parts)} ORDER BY thread, message_id", values)
    groups = {
        thread: [_message(row[1:]) for row in rows]
        for thread, rows in itertools.groupby(found.fetchall(), key=lambda row: row[0])
    }
    return [groups.get(position, []) for position in range(len(asked))]


def _where(thread: Thread) -> tuple[str, list[Any]]:
    asked = {"conversation_id": thread.conversation_id, "video_id": thread.video_id}
    named = {name: value for name, value in asked.items() if value is not None}
    return " AND ".join(f"{name} = ?" for name in named) or "true", list(named.values())


def _messages(found: duckdb.DuckDBPyConnection) -> list[Message]:
    return [_message(row) for row in found.fetchall()]


def _message(row: Sequence[Any]) -> Message:
    return Message(**dict(zip(_COLUMNS.split(", "), row, strict=True)))
