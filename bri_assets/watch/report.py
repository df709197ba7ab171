"""One run of ``bri watch``: look, remember, tell, and say what came of it.

What does not belong here: how that is printed (``commands.watch``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bri_assets.alerts import Channel, Messenger, backoff
from bri_assets.errors import DeliveryFailed, StorageFailed
from bri_assets.findings import Finding
from bri_assets.settings import Settings
from bri_assets.store.outbox import Due
from bri_assets.watch.look import look
from bri_assets.watch.memory import Memory

__all__ = ["Report", "watch"]


@dataclass(frozen=True)
class Report:
    """What came of a run.

    Args:
        findings: what is wrong.
        notes: what a person may want to know, and is not wrong.
        troubles: what kept the watch itself from its work: its memory, its channels.
        messages: that were sent.
    """

    findings: list[Finding]
    notes: list[str]
    troubles: list[str]
    messages: int

    @property
    def well(self) -> bool:
        """Nothing is wrong."""
        return not (self.findings or self.troubles)


def watch(settings: Settings, dagster_home: Path, messenger: Messenger, now: datetime | None = None) -> Report:
    """Look, and tell each channel once what is wrong, and once that it is over.

    Args:
        settings: of the process. No folder is made.
        dagster_home: DAGSTER_HOME.
        messenger: whom to tell.
        now: the time; tests set it.
    """
    at = now or datetime.now(UTC)
    memory, damage = Memory.load(settings.watch_path)
    troubles = [str(error) for error in messenger.wrong] + ([damage] if damage else [])
    seen = look(settings, dagster_home, messenger.labels, memory, at)
    memory.meet(seen.findings, seen.unjudged, messenger.labels, at)
    unsaved = _save(memory, settings.watch_path)
    messages = 0
    for channel in messenger.channels:
        sent, trouble = _tell(messenger, channel, memory, settings.watch_path, at)
        messages += sent
        troubles += trouble
    memory.forget()
    unsaved = _save(memory, settings.watch_path) or unsaved
    return Report(seen.findings, seen.notes, [*troubles, *([unsaved] if unsaved else [])], messages)


def _tell(messenger: Messenger, channel: Channel, memory: Memory, path: Path, now: datetime) -> tuple[int, list[str]]:
    """Say to a channel what is due; returns how many messages it took, and what kept it from taking more."""
    messages = 0
    while due := [one for told in memory.told if (one := told.due(channel.label, now)) is not None]:
        for part, message in messenger.messages(due):
            try:
                channel.send(message)
            except DeliveryFailed as error:
                _put_off(memory, part, now)
                return messages, [str(error)]
            messages += 1
            for one in part:
                memory.said(one, now)
            # A process that dies before this says it again; that it cannot be written is said at the end.
            _save(memory, path)
    return messages, []


def _put_off(memory: Memory, part: list[Due], now: datetime) -> None:
    for one in part:
        memory.unsaid(one, backoff(one.attempts + 1), now)


def _save(memory: Memory, path: Path) -> str | None:
    try:
        memory.save(path)
    except StorageFailed as error:
        return f"{error} What is wrong is told again at each run."
    return None
