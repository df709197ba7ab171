"""The table ``alerts``: one row a rule, subject and version for as long as it is found, and again when it comes back.

Every function runs in the caller's transaction and takes the author and the time, for a replay after a restore; the
audit log is the caller's. What does not belong here: what a look means (``plan``) and what was said to whom
(``deliveries``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from bri_assets.findings import Finding
from bri_assets.store.outbox import deliveries
from bri_assets.store.outbox.model import Alert
from bri_assets.store.outbox.plan import Open, words
from bri_assets.store.outbox.silences import covered, holding, silences

__all__ = ["Fired", "alerts", "close", "fire", "next_of", "open_alerts", "renew"]


@dataclass(frozen=True)
class Fired:
    """The id and the number of an alert that fires."""

    alert_id: str
    episode: int


def open_alerts(connection: duckdb.DuckDBPyConnection) -> list[Open]:
    """Every alert that is not resolved."""
    found = connection.execute(
        """SELECT alert_id, rule, subject, version, severity, summary, remedy, facts, updated_at,
                  (SELECT list(channel) FROM alert_deliveries d WHERE d.alert_id = a.alert_id AND notice = 'fired')
           FROM alerts a WHERE resolved_at IS NULL ORDER BY fired_at, alert_id"""
    ).fetchall()
    return [Open(row[0], row[1:4], row[4], row[5:8], row[8], frozenset(row[9] or ())) for row in found]


def next_of(connection: duckdb.DuckDBPyConnection, finding: Finding) -> Fired:
    """The alert that a finding becomes: one more than there were of its key, and none that was ever told.

    The audit log remembers those that were purged with their video.
    """
    episode = connection.execute(
        "SELECT coalesce(max(episode), 0) + 1 FROM alerts WHERE (rule, subject, version) = (?, ?, ?)",
        [finding.rule, finding.subject, finding.version],
    ).fetchall()[0][0]
    told = "SELECT 1 FROM audit_log WHERE action = 'alert.fired' AND entity_id = ?"
    while connection.execute(told, [finding.alert_id(episode)]).fetchone():
        episode += 1
    return Fired(finding.alert_id(episode), episode)


def fire(
    connection: duckdb.DuckDBPyConnection,
    finding: Finding,
    fired: Fired,
    channels: Sequence[str],
    *,
    who: str,
    at: datetime,
) -> None:
    """A finding becomes an alert, which is due to every channel."""
    summary, remedy, facts = words(finding)
    connection.execute(
        """INSERT INTO alerts VALUES ($alert_id, $rule, $subject, $version, $episode, $severity, $summary, $remedy,
                                      $facts, $video_id, $at, NULL, $who, $at, $who)""",
        {
            "alert_id": fired.alert_id,
            "rule": finding.rule,
            "subject": finding.subject,
            "version": finding.version,
            "episode": fired.episode,
            "severity": finding.weight,
            "summary": summary,
            "remedy": remedy,
            "facts": facts,
            "video_id": finding.video_id,
            "at": at,
            "who": who,
        },
    )
    for channel in channels:
        deliveries.put(connection, "fired", channel, [fired.alert_id], who=who, at=at)


def close(
    connection: duckdb.DuckDBPyConnection, alert_id: str, *, superseded: bool = False, who: str, at: datetime
) -> None:
    """An alert is over.

    Whoever was to hear that it fired will hear that it is resolved. Where it was silenced all the time nobody hears
    of it at all, and where a more severe one takes its place that one is heard of.

    Args:
        connection: with a transaction open.
        alert_id: the alert; one that is not there, or is over, stays as it is.
        superseded: a more severe one takes its place.
        who: as ``audit.actor`` gives it.
        at: when.
    """
    found = connection.execute(
        """UPDATE alerts SET resolved_at = $at, updated_at = $at, updated_by = $who
           WHERE alert_id = $alert_id AND resolved_at IS NULL RETURNING rule, subject, fired_at""",
        {"alert_id": alert_id, "at": at, "who": who},
    ).fetchone()
    if found is None:
        return
    rule, subject, fired_at = found
    if superseded or covered(silences(connection), rule, subject, fired_at, at):
        deliveries.drop(connection, alert_id)
    if not superseded:
        for channel in deliveries.channels_of(connection, alert_id):
            deliveries.put(connection, "resolved", channel, [alert_id], who=who, at=at)


def renew(connection: duckdb.DuckDBPyConnection, alert_id: str, finding: Finding, *, who: str, at: datetime) -> None:
    """An open alert says something else; nobody is told anew."""
    connection.execute(
        """UPDATE alerts SET summary = ?, remedy = ?, facts = ?, updated_at = ?, updated_by = ? WHERE alert_id = ?""",
        [*words(finding), at, who, alert_id],
    )


def alerts(connection: duckdb.DuckDBPyConnection, *, include_resolved: bool, limit: int, now: datetime) -> list[Alert]:
    """Alerts with what was said of them: open ones first, then the most severe, then the newest."""
    found = deliveries.named(
        connection.execute(
            """SELECT alert_id, rule, subject, version, episode, severity, summary, remedy, facts, video_id, fired_at,
                  resolved_at
           FROM alerts WHERE resolved_at IS NULL OR $all
           ORDER BY resolved_at IS NULL DESC, severity, fired_at DESC, alert_id LIMIT $limit""",
            {"all": include_resolved, "limit": limit},
        )
    )
    said = deliveries.of_alerts(connection, [row["alert_id"] for row in found])
    known = silences(connection)
    return [
        Alert(
            **{**row, "facts": json.loads(row["facts"])},
            silenced_until=None if row["resolved_at"] else holding(known, row["rule"], row["subject"], now),
            deliveries=said.get(row["alert_id"], []),
        )
        for row in found
    ]
