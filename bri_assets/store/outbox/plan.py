"""What a look means for the alerts that are open: which fire, which are resolved, which are told to whom.

Decides, and changes nothing. An alert never gets milder while it is open, and one that gets worse is closed for a new
one, with an id of its own: whoever has seen the milder one and gone to bed must be woken, and a receiver that drops
repeats by their ids must not drop this. What does not belong here: rows (``alerts``, ``deliveries``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bri_assets.findings import Finding

__all__ = ["NOT_KEPT", "Open", "Plan", "plan", "words"]

#: What stands in the place of words after a restore: the audit log keeps ids and no words.
NOT_KEPT = "Found before the store was restored; what it said was not kept."

#: Words that change at every look (seconds, megabytes) are not written at every look.
_RENEWED_EVERY = timedelta(minutes=10)

_Key = tuple[str, str, str]
_Words = tuple[str, str, str]


@dataclass(frozen=True)
class Open:
    """An alert that is open: its key, its severity, its words and when they were written, and who is to be told."""

    alert_id: str
    key: _Key
    severity: str
    words: _Words
    updated_at: datetime
    channels: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """What is to be changed.

    Args:
        fire: findings that become alerts, each with the id of the milder alert that it takes the place of, if any.
        resolve: alerts that are found no more.
        renew: alerts that say something else now.
        tell: for each channel that is new, the open alerts that it has to hear of.
    """

    fire: list[tuple[Finding, str | None]] = field(default_factory=list)
    resolve: list[str] = field(default_factory=list)
    renew: list[tuple[str, Finding]] = field(default_factory=list)
    tell: dict[str, list[str]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Nothing is to be changed."""
        return not (self.fire or self.resolve or self.renew or self.tell)


def plan(
    known: Iterable[Open],
    findings: Iterable[Finding],
    hidden: Iterable[Finding],
    rules: Collection[str],
    channels: Collection[str],
    now: datetime,
) -> Plan:
    """What the findings of a look make of the alerts that are open.

    Args:
        known: every open alert.
        findings: what holds now.
        hidden: what holds too, but is no fault of its own: it fires nothing and resolves nothing.
        rules: what the look speaks for.
        channels: who is there to be told.
        now: the time.
    """
    done, found = Plan(), _by_key(findings)
    held = {_key(finding) for finding in hidden} | found.keys()
    by_key = {alert.key: alert for alert in known}
    for key, finding in found.items():
        _meet(done, by_key.get(key), finding, now)
    superseded = {alert_id for _, alert_id in done.fire}
    for alert in by_key.values():
        if alert.key[0] in rules and alert.key not in held:
            done.resolve.append(alert.alert_id)
        elif alert.alert_id not in superseded:
            for channel in sorted(set(channels) - alert.channels):
                done.tell.setdefault(channel, []).append(alert.alert_id)
    return done


def _meet(done: Plan, alert: Open | None, finding: Finding, now: datetime) -> None:
    if alert is None:
        done.fire.append((finding, None))
    elif (alert.severity, finding.weight) == ("WARN", "ERROR"):
        done.fire.append((finding, alert.alert_id))
    elif _stale(alert, finding, now):
        done.renew.append((alert.alert_id, finding))


def words(finding: Finding) -> _Words:
    """What a finding says, as it is stored: summary, remedy, facts."""
    return finding.summary, finding.remedy, json.dumps(finding.facts, sort_keys=True)


def _by_key(findings: Iterable[Finding]) -> dict[_Key, Finding]:
    """One finding for each rule, subject and version: the first of the most severe ones."""
    found: dict[_Key, Finding] = {}
    for finding in findings:
        other = found.setdefault(_key(finding), finding)
        if (other.weight, finding.weight) == ("WARN", "ERROR"):
            found[_key(finding)] = finding
    return found


def _key(finding: Finding) -> _Key:
    return finding.rule, finding.subject, finding.version


def _stale(alert: Open, finding: Finding, now: datetime) -> bool:
    old = alert.words[0] == NOT_KEPT or now - alert.updated_at >= _RENEWED_EVERY
    return old and alert.words != words(finding)
