"""What was acknowledged, written down outside of the store, and what the store has to hold after it.

An entry is appended by the process that was told, before it does anything else; it survives that process. What does not
belong here: looking into the store (``invariants``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bri_assets.staging import Bundle, StagingArea

__all__ = ["Entry", "Held", "entries", "fold", "note"]


@dataclass(frozen=True)
class Entry:
    """Something that was done, or was to be done.

    Args:
        work: ``commit``, ``rollback``, ``delete``, ``undelete``, ``archive``, ``unarchive``, ``purge``, ``remember``,
            ``backup``, or another that changes nothing that readers see.
        video_id: the video; empty where it is about none.
        bundle: hash of the bundle of the version.
        version: its number among the video's versions, 0 where it is not known.
        version_id: its number in the whole store, 0 where it is not known.
        backup_id: the backup.
        turn_id: the turn of a conversation.
    """

    work: str
    video_id: str = ""
    bundle: str = ""
    version: int = 0
    version_id: int = 0
    backup_id: str = ""
    turn_id: str = ""

    def bundle_in(self, home: Path) -> Bundle:
        """What is staged of its video."""
        bundle = StagingArea(home / "staged").bundle(self.video_id)
        assert bundle.sha256 == self.bundle
        return bundle


@dataclass
class Held:
    """What a store has to hold of a video.

    Args:
        bundles: of its versions, in their order.
        shown: bundle of the version that readers get.
        deleted: whether they get nothing.
        archived: bundles of versions whose rows are in the archive.
    """

    bundles: list[str] = field(default_factory=list)
    shown: str = ""
    deleted: bool = False
    archived: set[str] = field(default_factory=set)


def note(home: Path, entry: Entry) -> None:
    """Write down that something was acknowledged."""
    line = json.dumps(asdict(entry)).encode() + b"\n"
    descriptor = os.open(_path(home), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def entries(home: Path) -> list[Entry]:
    """Everything that was acknowledged, in its order."""
    if not _path(home).exists():
        return []
    return [Entry(**json.loads(line)) for line in _path(home).read_text().splitlines()]


def fold(done: Iterable[Entry]) -> dict[str, Held]:
    """What a store holds after all of it, by video."""
    held: dict[str, Held] = {}
    for entry in done:
        video = held.setdefault(entry.video_id, Held()) if entry.video_id else Held()
        if entry.work == "commit" and entry.bundle not in video.bundles:
            # The same bundle again is the same version, and moves no pointer.
            video.bundles.append(entry.bundle)
            video.shown = entry.bundle
        elif entry.work == "rollback":
            video.shown = entry.bundle
        elif entry.work in ("delete", "undelete"):
            video.deleted = entry.work == "delete"
        elif entry.work == "archive":
            video.archived.add(entry.bundle)
        elif entry.work == "unarchive":
            video.archived.discard(entry.bundle)
        elif entry.work == "purge":
            del held[entry.video_id]
    return held


def _path(home: Path) -> Path:
    return home.with_name(home.name + ".ledger")
