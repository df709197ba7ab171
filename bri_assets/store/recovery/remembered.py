"""What happened to conversations and tokens happens again after a restore; what was said cannot.

The journal holds no words, so a turn that was added since the backup does not come back; it is counted. What was wiped
stays wiped and what was revoked stays revoked, also by a restore to a time before that. What does not belong here:
everything else that happens again (``replay``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import duckdb

from bri_assets.store import audit, messages, tokens
from bri_assets.store.access.connection import transaction
from bri_assets.store.access.journal import Event
from bri_assets.store.messages import Thread

__all__ = ["Remembered", "keep_forgotten", "message_ids"]


class Remembered:
    """Events of ``memory`` and ``tokens`` onto an open store.

    Args:
        connection: to the store; each event comes in a transaction of its caller.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._unsaid: dict[str, Event] = {}
        #: What lets an event happen again, by its action.
        self.again: dict[str, Callable[[Event], None]] = {
            "memory.added": self._add,
            "memory.wiped": self._wipe,
            "memory.expired": self._expire,
            "token.created": self._create,
            "token.revoked": self._revoke,
        }

    @property
    def unsaid(self) -> int:
        """Turns that were added and cannot come back, and that nobody had forgotten since."""
        return len(self._unsaid)

    def forget_video(self, video_id: str) -> None:
        """A video was purged: what was said about it shall not come back."""
        self._forget(lambda event: event.detail.get("video_id") == video_id)

    def _add(self, event: Event) -> None:
        self._unsaid[event.entity_id] = event

    def _wipe(self, event: Event) -> None:
        messages.wipe(self._connection, _thread(event))
        named = {name: event.detail[name] for name in ("conversation_id", "video_id") if name in event.detail}
        self._forget(lambda turn: named.items() <= turn.detail.items())

    def _expire(self, event: Event) -> None:
        before = datetime.fromisoformat(event.detail["before"])
        messages.expire(self._connection, before)
        self._forget(lambda turn: _at(turn) < before)

    def _create(self, event: Event) -> None:
        told = event.detail
        expires_at = told["expires_at"] and datetime.fromisoformat(told["expires_at"])
        sha256 = event.rows_sha256 or ""
        at = _at(event)
        tokens.keep(
            self._connection, told["name"], sha256, told["scope"], expires_at=expires_at, who=event.actor, at=at
        )

    def _revoke(self, event: Event) -> None:
        tokens.revoke(self._connection, event.entity_id, who=event.actor, at=_at(event))

    def _forget(self, which: Callable[[Event], bool]) -> None:
        self._unsaid = {turn: event for turn, event in self._unsaid.items() if not which(event)}


def keep_forgotten(connection: duckdb.DuckDBPyConnection, left_behind: Iterable[Event]) -> None:
    """Wipe and revoke again what was, where a restore to a point in time left that behind; it is recorded anew.

    Args:
        connection: to the restored store, without a transaction.
        left_behind: events that are not part of its past any more.
    """
    for event in left_behind:
        with transaction(connection):
            if event.action == "memory.wiped":
                changed = messages.wipe(connection, _thread(event)) > 0
            elif event.action == "token.revoked":
                changed = tokens.revoke(connection, event.entity_id, who=event.actor, at=_at(event))
            else:
                continue
            if changed:
                audit.record(
                    connection,
                    who=event.actor,
                    action=event.action,
                    entity=event.entity,
                    entity_id=event.entity_id,
                    detail=event.detail,
                )


def message_ids(events: Iterable[Event]) -> Iterable[int]:
    """The numbers that messages were given, by the events of their turns."""
    return (number for event in events if event.action == "memory.added" for number in event.detail["message_ids"])


def _thread(event: Event) -> Thread:
    return Thread(conversation_id=event.detail.get("conversation_id"), video_id=event.detail.get("video_id"))


def _at(event: Event) -> datetime:
    return datetime.fromisoformat(event.detail["at"])
