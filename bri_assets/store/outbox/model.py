"""What the outbox is asked for and answers: alerts, what is due of them, silences.

What does not belong here: rows (its neighbours').
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bri_assets.findings import RULES, Finding

__all__ = ["Alert", "Delivery", "Due", "Notice", "Silence", "Synced", "Undelivered", "storable"]


@dataclass(frozen=True)
class Synced:
    """What a look changed: the ids of the alerts that fired and of those that were resolved."""

    fired: list[str]
    resolved: list[str]


@dataclass(frozen=True)
class Notice:
    """Something to be said of an alert, ``fired`` or ``resolved``."""

    alert_id: str
    notice: str


@dataclass(frozen=True)
class Due:
    """What has to be said to a channel now; an alert that was resolved before anybody could be told has both times."""

    alert_id: str
    notice: str
    channel: str
    attempts: int
    rule: str
    subject: str
    version: str
    severity: str
    summary: str
    remedy: str
    fired_at: datetime
    resolved_at: datetime | None
    facts: dict[str, Any]

    @property
    def key(self) -> Notice:
        """What ``delivered`` and ``failed`` want to be told of it."""
        return Notice(self.alert_id, self.notice)


@dataclass(frozen=True)
class Delivery:
    """What has to be, or was, said of an alert to a channel, as the columns of ``alert_deliveries``."""

    notice: str
    channel: str
    attempts: int
    next_attempt_at: datetime
    last_error: str | None
    delivered_at: datetime | None


@dataclass(frozen=True)
class Alert:
    """An alert, as the columns of ``alerts``; ``silenced_until`` is None where no silence holds for it."""

    alert_id: str
    rule: str
    subject: str
    version: str
    episode: int
    severity: str
    summary: str
    remedy: str
    facts: dict[str, Any]
    video_id: str | None
    fired_at: datetime
    resolved_at: datetime | None
    silenced_until: datetime | None
    deliveries: list[Delivery]


@dataclass(frozen=True)
class Silence:
    """What nobody wants to hear of for a time, as the columns of ``alert_silences``."""

    silence_id: str
    rule: str
    subject: str
    reason: str
    until: datetime
    created_at: datetime
    created_by: str


@dataclass(frozen=True)
class Undelivered:
    """A channel that was tried in vain: how many notices wait, since when, how often they were tried, and why not."""

    channel: str
    notices: int
    since: datetime
    attempts: int
    last_error: str | None


def storable(finding: Finding) -> Finding:
    """The finding as it can be stored and sent: text is Unicode, facts are JSON, words are there.

    One finding that cannot be stored would keep all others from being told.
    """
    facts = json.loads(json.dumps(finding.facts, default=str, sort_keys=True), parse_constant=lambda _: None)
    return replace(
        finding,
        subject=_unicode(finding.subject),
        version=_unicode(finding.version),
        summary=_unicode(finding.summary).strip() or RULES[finding.rule].meaning,
        remedy=_unicode(finding.remedy).strip() or "See `bri diagnose`.",
        video_id=None if finding.video_id is None else _unicode(finding.video_id),
        facts=facts,
    )


def _unicode(text: str) -> str:
    """A file's name may hold bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
