"""The table ``alert_deliveries``: what has to be, or was, said of each alert to each channel.

Every function runs in the caller's transaction; the audit log is the caller's. What does not belong here: saying it
(``bri_assets.alerts``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import duckdb

from bri_assets.store.outbox.model import Delivery, Due, Notice, Undelivered
from bri_assets.store.outbox.silences import holding, silences

__all__ = ["channels_of", "drop", "due", "mark_delivered", "mark_failed", "named", "of_alerts", "put", "undelivered"]

#: A resolved notice is for those who heard of the alert.
_MAY_BE_SAID = """(d.notice = 'fired' OR EXISTS (
    SELECT 1 FROM alert_deliveries f
    WHERE f.alert_id = d.alert_id AND f.channel = d.channel AND f.notice = 'fired' AND f.delivered_at IS NOT NULL))"""


def put(
    connection: duckdb.DuckDBPyConnection,
    notice: str,
    channel: str,
    alert_ids: Sequence[str],
    *,
    who: str,
    at: datetime,
) -> None:
    """Let a notice of alerts be due to a channel; where it is already, nothing changes."""
    connection.execute(
        """INSERT INTO alert_deliveries
           SELECT alert_id, $notice, $channel, 0, $at, NULL, NULL, video_id, $at, $who, $at, $who
           FROM alerts WHERE list_contains($alert_ids, alert_id) ON CONFLICT DO NOTHING""",
        {"notice": notice, "channel": channel, "alert_ids": list(alert_ids), "at": at, "who": who},
    )


def drop(connection: duckdb.DuckDBPyConnection, alert_id: str) -> None:
    """Nobody has to hear any more that an alert fired."""
    connection.execute("DELETE FROM alert_deliveries WHERE alert_id = ? AND delivered_at IS NULL", [alert_id])


def channels_of(connection: duckdb.DuckDBPyConnection, alert_id: str) -> list[str]:
    """The channels that heard, or are to hear, that an alert fired."""
    query = "SELECT channel FROM alert_deliveries WHERE alert_id = ? AND notice = 'fired' ORDER BY channel"
    return [channel for (channel,) in connection.execute(query, [alert_id]).fetchall()]


def due(connection: duckdb.DuckDBPyConnection, channels: Sequence[str], now: datetime) -> list[Due]:
    """What has to be said now: what was tried least first, then the most severe, then the oldest.

    It is the channel that is waited for, not an alert: where one thing is to be tried, so is all that waits there.
    """
    found = named(
        connection.execute(
            f"""SELECT d.next_attempt_at <= $now AS now_due, a.facts, d.alert_id, d.notice, d.channel, d.attempts,
                   a.rule, a.subject, a.version, a.severity, a.summary, a.remedy, a.fired_at, a.resolved_at
            FROM alert_deliveries d JOIN alerts a USING (alert_id)
            WHERE d.delivered_at IS NULL AND list_contains($channels, d.channel) AND {_MAY_BE_SAID}
            ORDER BY d.attempts, d.notice, a.severity, a.fired_at, d.alert_id, d.channel""",  # noqa: S608 - our own text
            {"now": now, "channels": list(channels)},
        )
    )
    known = silences(connection)
    said = [(row.pop("now_due"), Due(**{**row, "facts": json.loads(row["facts"])})) for row in found]
    heard = [(now_due, one) for now_due, one in said if holding(known, one.rule, one.subject, now) is None]
    tried = {one.channel for now_due, one in heard if now_due}
    return [one for _, one in heard if one.channel in tried]


def mark_delivered(
    connection: duckdb.DuckDBPyConnection, to: str, notices: Sequence[Notice], *, who: str, at: datetime
) -> list[Notice]:
    """A channel took notices; returns those of which this was not known."""
    changed = connection.execute(
        """UPDATE alert_deliveries SET delivered_at = $at, attempts = attempts + 1, last_error = NULL,
                                       updated_at = $at, updated_by = $who
           WHERE channel = $to AND delivered_at IS NULL AND list_contains($keys, alert_id || ' ' || notice)
           RETURNING alert_id, notice""",
        {"to": to, "keys": _keys(notices), "at": at, "who": who},
    ).fetchall()
    return sorted((Notice(*row) for row in changed), key=_order)


def mark_failed(
    connection: duckdb.DuckDBPyConnection,
    to: str,
    notices: Sequence[Notice],
    *,
    error: str,
    next_attempt_at: datetime,
    who: str,
    at: datetime,
) -> list[Notice]:
    """A channel did not take notices, which are to be tried again; returns those that were not delivered meanwhile."""
    changed = connection.execute(
        """UPDATE alert_deliveries SET attempts = attempts + 1, last_error = $error, next_attempt_at = $next,
                                       updated_at = $at, updated_by = $who
           WHERE channel = $to AND delivered_at IS NULL AND list_contains($keys, alert_id || ' ' || notice)
           RETURNING alert_id, notice""",
        {"to": to, "keys": _keys(notices), "error": error, "next": next_attempt_at, "at": at, "who": who},
    ).fetchall()
    return sorted((Notice(*row) for row in changed), key=_order)


def of_alerts(connection: duckdb.DuckDBPyConnection, alert_ids: Sequence[str]) -> dict[str, list[Delivery]]:
    """What was said, and is to be said, of alerts, by their ids."""
    found = connection.execute(
        """SELECT alert_id, notice, channel, attempts, next_attempt_at, last_error, delivered_at
           FROM alert_deliveries WHERE list_contains($alert_ids, alert_id) ORDER BY alert_id, notice, channel""",
        {"alert_ids": list(alert_ids)},
    ).fetchall()
    said: dict[str, list[Delivery]] = {}
    for alert_id, *row in found:
        said.setdefault(alert_id, []).append(Delivery(*row))
    return said


def undelivered(connection: duckdb.DuckDBPyConnection, channels: Sequence[str]) -> list[Undelivered]:
    """Channels that something could not be said to, the one that waits longest first."""
    found = connection.execute(
        """SELECT channel, count(*), min(created_at), max(attempts), arg_max(last_error, updated_at)
           FROM alert_deliveries
           WHERE delivered_at IS NULL AND attempts > 0 AND list_contains($channels, channel)
           GROUP BY channel ORDER BY 3, 1""",
        {"channels": list(channels)},
    ).fetchall()
    return [Undelivered(*row) for row in found]


def named(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The rows of a result, each by the names of its columns."""
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _keys(notices: Sequence[Notice]) -> list[str]:
    return [f"{one.alert_id} {one.notice}" for one in notices]


def _order(notice: Notice) -> tuple[str, str]:
    return notice.alert_id, notice.notice
