"""A lock on the database file that its owner cannot lose by accident.

DuckDB's own lock belongs to the process, which loses it when it closes *any* descriptor of the file, in whatever code.
A lock of Linux's "open file description" kind belongs to one descriptor, conflicts with DuckDB's in every other
process, and goes only with that descriptor. What does not belong here: the lock between processes of ours
(``connection``).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from pathlib import Path

from bri_assets.errors import StoreBusy, StoreDamaged

__all__ = ["guarded"]

#: ``struct flock``: exclusive, from the beginning of the file, to wherever it ends, of no process.
_WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def guarded(path: Path) -> int | None:
    """Take the lock on a database that this process has open; the descriptor is to be closed after the database.

    Both locks cannot be held at once, not even by one process, so DuckDB's is given away in the moment before.

    Returns:
        The descriptor; None where the system has no such locks. There, and on a file system without them, DuckDB's own
        stays.

    Raises:
        StoreBusy: another process got in between.
    """
    if sys.platform != "linux":
        return None
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _WHOLE_FILE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise StoreDamaged(path, f"cannot be locked: {error}.", "See the file system it lies on.") from error
        return descriptor  # never closed while the database is open: that would drop DuckDB's lock
    os.close(os.open(path, os.O_RDONLY))
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE)
    except OSError as error:
        os.close(descriptor)
        what = "was opened by another process in the moment in which it was to be locked."
        raise StoreBusy(path, what, "Find it with `fuser` on that file.") from error
    return descriptor
