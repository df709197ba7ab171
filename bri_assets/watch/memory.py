"""What ``bri watch`` remembers between two runs: what it told to whom, and what it needs to judge by; one small file.

The rules are those of the outbox: a problem is told once to each channel, and once more when it is over. What does not
belong here: looking (``look``) and sending (``report``).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, Field, JsonValue, ValidationError

from bri_assets.errors import StorageFailed
from bri_assets.files import storing, write_atomically
from bri_assets.findings import Finding
from bri_assets.store.outbox import Due

__all__ = ["Heard", "Memory", "Told"]

#: The file is never smaller, so that on a full disk it can still be written over where it lies.
_BYTES = 16 * 1024


class Heard(BaseModel):
    """What a channel heard of a problem, and when; None where it did not yet."""

    fired: AwareDatetime | None = None
    resolved: AwareDatetime | None = None
    attempts: int = 0
    next_attempt_at: AwareDatetime | None = None


class Told(BaseModel):
    """A problem, as a finding and an alert have it."""

    alert_id: str
    episode: int
    rule: str
    subject: str
    version: str
    severity: str
    summary: str
    remedy: str
    facts: dict[str, JsonValue]
    fired_at: AwareDatetime
    resolved_at: AwareDatetime | None = None
    heard: dict[str, Heard] = Field(default_factory=dict)

    def due(self, channel: str, now: datetime) -> Due | None:
        """What has to be said of it to a channel now, if anything."""
        heard = self.heard.get(channel)
        if heard is None or (heard.next_attempt_at is not None and heard.next_attempt_at > now):
            return None
        if heard.fired is None:
            notice = "fired"
        elif self.resolved_at is not None and heard.resolved is None:
            notice = "resolved"
        else:
            return None
        return Due(channel=channel, notice=notice, attempts=heard.attempts, **self.model_dump(exclude=_NOT_DUE))

    @property
    def over(self) -> bool:
        """It is resolved, and everybody who is to hear so has."""
        return self.resolved_at is not None and all(heard.resolved for heard in self.heard.values())


_NOT_DUE = {"episode", "heard"}


class Memory(BaseModel):
    """What is remembered.

    Args:
        told: the problems that are open, or of which somebody has still to hear.
        episodes: how often each problem was there, by rule, subject and version.
        daemon_id: Dagster's name of the daemon that reported last.
        daemon_since: when that one was first seen.
        excused_at: when something was last wrong that keeps the sensor `alerts` from its work.
        busy_since: since when the store is busy.
    """

    told: list[Told] = Field(default_factory=list)
    episodes: dict[str, int] = Field(default_factory=dict)
    daemon_id: str | None = None
    daemon_since: AwareDatetime | None = None
    excused_at: AwareDatetime | None = None
    busy_since: AwareDatetime | None = None

    @classmethod
    def load(cls, path: Path) -> tuple[Memory, str | None]:
        """The memory in a file, and what is wrong with the file if it cannot be used; then nothing is remembered."""
        try:
            return cls.model_validate_json(path.read_bytes()), None
        except FileNotFoundError:
            return cls(), None
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not what was written"
            return cls(), f"{path}: the memory of `bri watch` cannot be read ({reason}); what is wrong is told anew."

    def save(self, path: Path) -> None:
        """Write it; on a full disk over what is there, for then there is no room for another file.

        Raises:
            StorageFailed: the disk refused that too, or the folder is not there.
        """
        if not path.parent.is_dir():
            # Where a disk is not mounted, no folder must be made in its place.
            raise StorageFailed(path, "cannot be written: its folder is not there.", "Mount its disk.")
        data = self.model_dump_json(indent=1).encode().ljust(_BYTES - 1) + b"\n"
        try:
            write_atomically(path, data)
        except StorageFailed:
            if not path.exists() or path.stat().st_size < len(data):
                raise
            with storing(path, len(data)):
                descriptor = os.open(path, os.O_WRONLY)
                try:
                    os.pwrite(descriptor, data, 0)
                    os.ftruncate(descriptor, len(data))
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def meet(
        self, findings: Iterable[Finding], unjudged: Collection[str], channels: Collection[str], now: datetime
    ) -> None:
        """Bring what is remembered in line with what was found.

        Args:
            findings: what is wrong now.
            unjudged: rules of which nobody can tell now whether they hold: nothing of them fires or is resolved.
            channels: who is there to be told.
            now: the time.
        """
        found = {_key(one.rule, one.subject, one.version): one for one in findings if one.rule not in unjudged}
        known = {_key(one.rule, one.subject, one.version): one for one in self.told if one.resolved_at is None}
        for key, finding in found.items():
            if key not in known:
                known[key] = self._fire(key, finding, now)
            told = known[key]
            told.summary, told.remedy, told.facts = finding.summary, finding.remedy, finding.facts
            for channel in channels:
                told.heard.setdefault(channel, Heard())
        for key, told in known.items():
            if key not in found and told.rule not in unjudged:
                told.resolved_at = now
        for told in self.told:
            if told.resolved_at is not None:
                # A channel that is there no more keeps nothing waiting.
                told.heard = {channel: heard for channel, heard in told.heard.items() if channel in channels}
        self.forget()

    def forget(self) -> None:
        """Keep no problem that is over, and of which everybody has heard."""
        self.told = [told for told in self.told if not told.over]

    def said(self, due: Due, now: datetime) -> None:
        """A channel took a notice."""
        heard = self._heard(due)
        setattr(heard, due.notice, now)
        heard.attempts, heard.next_attempt_at = 0, None

    def unsaid(self, due: Due, again_in: timedelta, now: datetime) -> None:
        """A channel did not take a notice."""
        heard = self._heard(due)
        heard.attempts, heard.next_attempt_at = heard.attempts + 1, now + again_in

    def _heard(self, due: Due) -> Heard:
        return next(told.heard[due.channel] for told in self.told if told.alert_id == due.alert_id)

    def _fire(self, key: str, finding: Finding, now: datetime) -> Told:
        episode = self.episodes[key] = self.episodes.get(key, 0) + 1
        told = Told(
            alert_id=finding.alert_id(episode),
            episode=episode,
            rule=finding.rule,
            subject=finding.subject,
            version=finding.version,
            severity=finding.weight,
            summary=finding.summary,
            remedy=finding.remedy,
            facts=finding.facts,
            fired_at=now,
        )
        self.told.append(told)
        return told


def _key(*parts: str) -> str:
    return " ".join(parts)
