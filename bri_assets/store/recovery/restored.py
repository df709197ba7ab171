"""What a restore made and did, as it is told.

What does not belong here: restoring (``restore``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bri_assets.store.recovery.replay import Replayed
from bri_assets.store.recovery.whole import Wholeness

__all__ = ["Rebuilt", "Restored"]


@dataclass(frozen=True)
class Rebuilt:
    """A database that was made of a backup and the journal, and proven.

    Args:
        path: its file, closed.
        replayed: what happened again.
        found: what the look at the whole of it found.
        damaged: lines of the journal that could not be read, a sentence each.
    """

    path: Path
    replayed: Replayed
    found: Wholeness
    damaged: list[str]


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Args:
        backup_id: the backup; None where everything came from the journal.
        until: the time up to which events happened again; None for all.
        events: that happened again.
        versions: committed versions among them.
        lost: what could not be brought back, a sentence each.
        unsaid: turns of conversations that were added since the backup, and are gone.
        videos: in the store now.
        total_versions: whose rows are in the store now.
        safety: folder with what was there before; None where there was nothing.
        seconds: that it took.
    """

    backup_id: str | None
    until: datetime | None
    events: int
    versions: int
    lost: list[str]
    unsaid: int
    videos: int
    total_versions: int
    safety: Path | None
    seconds: float
