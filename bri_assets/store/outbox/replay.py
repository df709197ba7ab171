"""What happened to alerts happens again after a restore, so that nobody is told twice or not at all.

The audit log keeps no words: an alert that is still found gets them back at the next look. What does not belong here:
when, and onto what, is replayed (``recovery.replay``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import duckdb

from bri_assets.findings import Finding
from bri_assets.store.access.journal import Event
from bri_assets.store.outbox import alerts, deliveries, silences
from bri_assets.store.outbox.model import Notice, Silence
from bri_assets.store.outbox.plan import NOT_KEPT

__all__ = ["AGAIN"]


def _fire(connection: duckdb.DuckDBPyConnection, event: Event) -> None:
    told = event.detail
    finding = Finding(
        rule=told["rule"],
        subject=told["subject"],
        summary=NOT_KEPT,
        remedy="See `bri diagnose`.",
        version=told["version"],
        video_id=told["video_id"],
        severity=told["severity"],
    )
    fired = alerts.Fired(event.entity_id, told["episode"])
    alerts.fire(connection, finding, fired, told["channels"], who=event.actor, at=_at(event))


def _resolve(connection: duckdb.DuckDBPyConnection, event: Event) -> None:
    superseded = event.detail["superseded"]
    alerts.close(connection, event.entity_id, superseded=superseded, who=event.actor, at=_at(event))


def _put(connection: duckdb.DuckDBPyConnection, event: Event) -> None:
    deliveries.put(connection, "fired", event.entity_id, event.detail["alerts"], who=event.actor, at=_at(event))


def _deliver(connection: duckdb.DuckDBPyConnection, event: Event) -> None:
    deliveries.mark_delivered(connection, event.entity_id, _notices(event), who=event.actor, at=_at(event))


def _fail(connection: duckdb.DuckDBPyConnection, event: Event) -> None:
    deliveries.mark_failed(
        connection,
        event.entity_id,
        _notices(event),
        error=NOT_KEPT,
        next_attempt_at=datetime.fromisoformat(event.detail["next_attempt_at"]),
        who=event.actor,
        at=_at(event),
    )


def _silence(connection: duckdb.DuckDBPyConnection, event: Event) -> None:
    told = event.detail
    until = datetime.fromisoformat(told["until"])
    made = Silence(event.entity_id, told["rule"], told["subject"], told["reason"], until, _at(event), event.actor)
    silences.keep(connection, made)


def _lift(connection: duckdb.DuckDBPyConnection, event: Event) -> None:
    silences.lift(connection, event.entity_id, who=event.actor, at=_at(event))


def _notices(event: Event) -> list[Notice]:
    return [Notice(*told) for told in event.detail["notices"]]


def _at(event: Event) -> datetime:
    return datetime.fromisoformat(event.detail["at"])


#: What lets an event happen again, by its action; ``alert.renewed`` changed words alone.
AGAIN: dict[str, Callable[[duckdb.DuckDBPyConnection, Event], None]] = {
    "alert.fired": _fire,
    "alert.resolved": _resolve,
    "alert.due": _put,
    "alert.delivered": _deliver,
    "alert.not_delivered": _fail,
    "alert.silenced": _silence,
    "alert.unsilenced": _lift,
}
