"""How much room there is on the disks that BRI writes to.

What does not belong here: what takes the room.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bri_assets.errors import StorageFailed
from bri_assets.settings import Settings

__all__ = ["free", "has_space", "there"]


def has_space(settings: Settings, folder: Path) -> bool:
    """Whether the disk of a folder has the free space that the settings ask for.

    Raises:
        StorageFailed: the disk cannot be asked.
    """
    share, gigabytes = free(folder)
    return share >= settings.disk_free_min and gigabytes >= settings.disk_free_min_gb


def free(folder: Path) -> tuple[float, float]:
    """The free part of a folder's disk: as a share, 0 to 1, and in gigabytes.

    Raises:
        StorageFailed: the disk cannot be asked.
    """
    try:
        usage = shutil.disk_usage(there(folder))
    except OSError as error:
        raise StorageFailed(
            folder, f"its disk cannot be asked: {error.strerror}.", "Check that it is there."
        ) from error
    return usage.free / max(usage.total, 1), usage.free / 1e9


def there(folder: Path) -> Path:
    """The folder, or the nearest above it that exists: what is to be made lies on that disk."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
