"""The store as somebody sees it who needs it: whether it is there, can be read, and could be written to.

What does not belong here: what that means (``look``).
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bri_assets.errors import BriError, StorageFailed, StoreBusy, StoreMissing
from bri_assets.files import storing
from bri_assets.settings import Settings
from bri_assets.store.outbox import Outbox, Undelivered
from bri_assets.watch.limited import TooLong, within

__all__ = ["StoreSeen", "see_store"]

#: A block of the database.
_TRIED_BYTES = 256 * 1024

#: Added to the time that an operation may wait and read.
_MORE_S = 5.0


@dataclass(frozen=True)
class StoreSeen:
    """How the store is.

    Args:
        error: why it cannot be used; None where it can.
        full: there is no room for a write.
        open_alerts: how many alerts are open.
        undelivered: channels that were tried in vain.
    """

    error: BriError | None = None
    full: bool = False
    open_alerts: int = 0
    undelivered: list[Undelivered] = field(default_factory=list)


def see_store(settings: Settings, channels: Sequence[str]) -> StoreSeen:
    """Look at the store of a BRI_HOME; no error of ours is raised."""
    try:
        return within(2 * settings.store_wait_s + settings.read_timeout_s + _MORE_S, lambda: _see(settings, channels))
    except TooLong as error:
        what = f"who has the store did not answer within {error}."
        return StoreSeen(StoreBusy(settings.store_path, what, "See whether `bri serve` hangs; kill it if it does."))
    except BriError as error:
        return StoreSeen(error, full=_is_full(error))


def _see(settings: Settings, channels: Sequence[str]) -> StoreSeen:
    _require_there(settings)
    for folder in {settings.store_path.parent, settings.journal_path.parent}:
        if folder.is_dir():
            _try_to_write(folder)
    outbox = Outbox.of(settings)
    return StoreSeen(open_alerts=outbox.prove(), undelivered=outbox.undelivered(list(channels)))


def _require_there(settings: Settings) -> None:
    """Whoever watches a home has one; to make a new store where a disk is not mounted would hide that."""
    if not settings.home.is_dir():
        raise StoreMissing(settings.home, "BRI_HOME is not there.", "Mount its disk, or set BRI_HOME as it was.")
    if not settings.store_path.exists() and not settings.journal_path.exists():
        what = "is not there, nor is its journal: it was never made, or the disk is another one."
        raise StoreMissing(settings.store_path, what, "Mount its disk; or make a store with `bri init`.")


def _try_to_write(folder: Path) -> None:
    with storing(folder, _TRIED_BYTES):
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".watch-", suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(_TRIED_BYTES))
                file.flush()
                os.fsync(file.fileno())
        finally:
            Path(name).unlink()


def _is_full(error: BriError) -> bool:
    cause = error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    return isinstance(error, StorageFailed) and (
        number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
    )
