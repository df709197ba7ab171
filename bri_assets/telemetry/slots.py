"""A slot: a numbered set of metric files that one process at a time writes, under a lock that ends with the process.

Files named by process ids would grow in number with every short-lived process. A slot is taken by the next one, which
counts on from what it finds: what a killed process counted is kept. What does not belong here: what the files hold.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import IO

import portalocker

from bri_assets.errors import TelemetryFailed

__all__ = ["Slot", "is_whole", "written"]

#: One file for each kind of metric that is written.
_KINDS = ("counter", "histogram")

#: Most processes that count at the same time.
_MOST = 64

#: Room that a file has from the beginning, far more than the metrics need. It is reserved on disk: a page of a mapped
#: file that the disk has no room for would kill the process.
_ROOM_BYTES = 512 * 1024


class Slot:
    """This process's slot; a child that was forked takes one of its own.

    Args:
        folder: of the files; made when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = 0
        self._lock: IO[str] | None = None
        self._name = ""

    def name(self) -> str:
        """The slot, two digits, taken when this process asks for the first time.

        Raises:
            TelemetryFailed: all are taken, or the disk refuses.
        """
        if self._process != os.getpid():
            try:
                self._take()
            except OSError as error:
                what = f"metrics cannot be kept there: {error.strerror}."
                remedy = "Make room or give permission, or set BRI_METRICS=off."
                raise TelemetryFailed(self._folder, what, remedy) from error
            self._process = os.getpid()
        return self._name

    def _take(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._lock is not None:
            self._lock.close()  # a copy, after a fork: the parent's lock holds for as long as the parent has it
        for name in (f"{number:02}" for number in range(_MOST)):
            file = self._folder.joinpath(f"slot-{name}.lock").open("a")
            try:
                portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
            except portalocker.LockException:
                file.close()
                continue
            self._lock, self._name = file, name
            for kind in _KINDS:
                _reserve(self._folder / f"{kind}_{name}.db")
            return
        remedy = "Are so many processes meant to run? See docs/runbooks/telemetry.md."
        raise TelemetryFailed(self._folder, f"all {_MOST} slots for metrics are taken.", remedy)


def written(folder: Path) -> list[Path]:
    """The metric files in a folder, by name."""
    return sorted(folder.glob("*.db"))


def is_whole(path: Path) -> bool:
    """Whether a metric file can be read to its end; one in which nothing was written yet can."""
    from prometheus_client.mmap_dict import MmapedDict

    if path.stat().st_size == 0:
        return True
    try:
        entries = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
        return all(len(json.loads(key)) == 4 for key, *_ in entries)
    except (RuntimeError, struct.error, IndexError, ValueError):
        return False


def _reserve(path: Path) -> None:
    """Make room for a file of this process's slot; one that a crash of the machine left broken is put aside."""
    if path.exists() and not is_whole(path):
        path.replace(path.with_suffix(".damaged"))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, _ROOM_BYTES)
    finally:
        os.close(descriptor)
