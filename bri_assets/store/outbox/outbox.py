"""The operations of the outbox: what a look found, what is due and what became of it, silences.

What does not belong here: SQL and decisions (its neighbours'), and what a message says (``bri_assets.alerts``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb

from bri_assets.errors import SilenceNotFound
from bri_assets.findings import Finding
from bri_assets.store import audit
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.outbox import alerts, deliveries
from bri_assets.store.outbox import silences as silencing
from bri_assets.store.outbox.model import Alert, Due, Notice, Silence, Synced, Undelivered
from bri_assets.store.outbox.plan import Plan, plan

__all__ = ["Outbox"]


class Outbox(Operations):
    """What a person has to hear of, and has heard of.

    ``channel`` is the way in, for the audit log; the channels that alerts go to are named by labels without secrets.
    ``now`` is the time with a zone, by default the clock's.
    """

    @operation()
    def sync(
        self,
        findings: list[Finding],
        rules: list[str],
        *,
        channels: list[str],
        channel: str,
        hidden: list[Finding] | None = None,
        now: datetime | None = None,
    ) -> Synced:
        """Bring the alerts in line with what a look found; where that changes nothing, nothing is written.

        Args:
            findings: what holds now, as ``storable`` makes it; a rule, subject and version counts once.
            rules: what the look speaks for: an open alert of these that is not found is resolved.
            channels: where alerts go.
            channel: the way in.
            hidden: what holds too, as a consequence of something else: it does not fire, and is not resolved.
            now: the time.
        """
        at = now or datetime.now(UTC)

        def planned(connection: duckdb.DuckDBPyConnection) -> Plan:
            return plan(alerts.open_alerts(connection), findings, hidden or [], rules, channels, at)

        with self.file.reading() as connection:
            if planned(connection).empty:
                return Synced([], [])
        with self.writing() as connection:
            return _apply(connection, planned(connection), channels, who=audit.actor(channel), at=at)

    @operation()
    def due(self, channels: list[str], *, now: datetime | None = None) -> list[Due]:
        """What has to be said to these channels now; see ``deliveries.due``."""
        with self.file.reading() as connection:
            return deliveries.due(connection, channels, now or datetime.now(UTC))

    @operation()
    def delivered(self, to: str, notices: list[Notice], *, channel: str, now: datetime | None = None) -> None:
        """Record that a channel took notices."""
        at, who = now or datetime.now(UTC), audit.actor(channel)
        with self.writing() as connection:
            changed = deliveries.mark_delivered(connection, to, notices, who=who, at=at)
            if changed:
                _record(connection, "alert.delivered", to, who, at, {"notices": _told(changed)}, "alert_deliveries")

    @operation(again=False)
    def failed(
        self,
        to: str,
        notices: list[Notice],
        *,
        error: str,
        next_attempt_at: datetime,
        channel: str,
        now: datetime | None = None,
    ) -> None:
        """Record that a channel did not take notices.

        Args:
            to: the channel.
            notices: what was to be said.
            error: why, without secrets.
            next_attempt_at: when to try again.
            channel: the way in.
            now: the time.
        """
        at, who = now or datetime.now(UTC), audit.actor(channel)
        with self.writing() as connection:
            changed = deliveries.mark_failed(
                connection, to, notices, error=error, next_attempt_at=next_attempt_at, who=who, at=at
            )
            if changed:
                detail = {"notices": _told(changed), "next_attempt_at": next_attempt_at.isoformat()}
                _record(connection, "alert.not_delivered", to, who, at, detail, "alert_deliveries")

    @operation()
    def alerts(self, *, include_resolved: bool = False, limit: int = 1000, now: datetime | None = None) -> list[Alert]:
        """Alerts with what was said of them; see ``alerts.alerts``."""
        with self.file.reading() as connection:
            at = now or datetime.now(UTC)
            return alerts.alerts(connection, include_resolved=include_resolved, limit=limit, now=at)

    @operation()
    def undelivered(self, channels: list[str]) -> list[Undelivered]:
        """Those of the channels that something could not be said to, and why."""
        with self.file.reading() as connection:
            return deliveries.undelivered(connection, channels)

    @operation()
    def prove(self) -> int:
        """See that the store can be read, and be opened for writing, and is not behind its journal.

        Returns:
            How many alerts are open. It raises as every operation does.
        """
        with self.file.open() as connection:
            connection.execute("SELECT max(version_id), max(committed_at) FROM video_versions").fetchall()
            return len(alerts.open_alerts(connection))

    @operation()
    def silence(
        self, rule: str, subject: str, *, until: datetime, reason: str, channel: str, now: datetime | None = None
    ) -> Silence:
        """Let nobody hear of some alerts for a time; what is still open then is told then.

        Args:
            rule: pattern of the rules, in which `*` stands for anything.
            subject: pattern of the subjects.
            until: when it ends, with a time zone.
            reason: why.
            channel: the way in.
            now: the time.
        """
        at, who = now or datetime.now(UTC), audit.actor(channel)
        made = Silence(silencing.name_of(rule, subject, until, reason), rule, subject, reason, until, at, who)
        with self.writing() as connection:
            if silencing.keep(connection, made):
                detail = {"rule": rule, "subject": subject, "reason": reason, "until": until.isoformat()}
                _record(connection, "alert.silenced", made.silence_id, who, at, detail, "alert_silences")
        return made

    @operation()
    def lift(self, silence_id: str, *, channel: str, now: datetime | None = None) -> None:
        """End a silence; one that is over stays as it is.

        Raises:
            SilenceNotFound: there is none of this id.
        """
        at, who = now or datetime.now(UTC), audit.actor(channel)
        with self.writing() as connection:
            if silence_id not in {one.silence_id for one in silencing.silences(connection)}:
                raise SilenceNotFound(silence_id, "there is no such silence.", "See `bri alerts silences`.")
            if silencing.lift(connection, silence_id, who=who, at=at):
                _record(connection, "alert.unsilenced", silence_id, who, at, {}, "alert_silences")

    @operation()
    def silences(self, *, include_over: bool = False, now: datetime | None = None) -> list[Silence]:
        """The silences that hold, or all that there ever were, the newest first."""
        with self.file.reading() as connection:
            found = silencing.silences(connection)
        at = now or datetime.now(UTC)
        return [one for one in found if include_over or one.until > at]


def _apply(connection: duckdb.DuckDBPyConnection, todo: Plan, channels: list[str], *, who: str, at: datetime) -> Synced:
    fired = []
    for finding, milder in todo.fire:
        made = alerts.next_of(connection, finding)
        if milder is not None:
            alerts.close(connection, milder, superseded=True, who=who, at=at)
            _record(connection, "alert.resolved", milder, who, at, {"superseded": True})
        alerts.fire(connection, finding, made, channels, who=who, at=at)
        _record(connection, "alert.fired", made.alert_id, who, at, _identity(finding, made, channels))
        fired.append(made.alert_id)
    for alert_id in todo.resolve:
        alerts.close(connection, alert_id, who=who, at=at)
        _record(connection, "alert.resolved", alert_id, who, at, {"superseded": False})
    for alert_id, finding in todo.renew:
        alerts.renew(connection, alert_id, finding, who=who, at=at)
        _record(connection, "alert.renewed", alert_id, who, at, {})
    for to, alert_ids in todo.tell.items():
        deliveries.put(connection, "fired", to, alert_ids, who=who, at=at)
        _record(connection, "alert.due", to, who, at, {"alerts": alert_ids}, "alert_deliveries")
    return Synced(fired, todo.resolve)


def _identity(finding: Finding, made: alerts.Fired, channels: list[str]) -> dict[str, Any]:
    """What a replay needs of a finding; its words may quote what a video holds, and stay in the table."""
    return {
        "rule": finding.rule,
        "subject": finding.subject,
        "version": finding.version,
        "episode": made.episode,
        "severity": finding.weight,
        "video_id": finding.video_id,
        "channels": channels,
    }


def _told(notices: list[Notice]) -> list[list[str]]:
    return [[one.alert_id, one.notice] for one in notices]


def _record(
    connection: duckdb.DuckDBPyConnection,
    action: str,
    entity_id: str,
    who: str,
    at: datetime,
    detail: dict[str, Any],
    entity: str = "alerts",
) -> None:
    told = detail | {"at": at.isoformat()}
    audit.record(connection, who=who, action=action, entity=entity, entity_id=entity_id, detail=told)
