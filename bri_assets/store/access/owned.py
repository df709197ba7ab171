"""The database as its owner has it: one connection that stays open, a bounded number of cursors, one writer at a time.

The lock beside the file is held for as long as the process lives, and so is one on the file itself that closing
another descriptor of it does not drop (``guard``). That somebody wrote to the file all the same is looked for before
each write, by its size, times and inode. What does not belong here: how requests arrive (``serve.owner``).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from bri_assets.errors import StoreBusy, StoreDamaged
from bri_assets.store import migrations
from bri_assets.store.access import duck, swap
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.duck import BROKEN, broken, connect, snapshot
from bri_assets.store.access.guard import guarded
from bri_assets.store.access.remote import Remote

__all__ = ["OwnedFile", "StoreIntruded"]

_Traces = tuple[tuple[int, int, int] | None, ...]


class StoreIntruded(StoreDamaged):
    """The owner's view of the file is worthless: somebody wrote past it, or a swap is half done. It starts anew."""


class OwnedFile:
    """The database of an owner; made by ``OwnedFile.owning``.

    Args:
        file: the store as a file, whose lock is held.
        cursors: most reads at once, > 0.
    """

    def __init__(self, file: StoreFile, cursors: int) -> None:
        self._file = file
        self._cursors = cursors
        self._free = threading.BoundedSemaphore(cursors)
        self._writing = threading.Lock()
        self._guard: int | None = None
        self._generation = self._begun = 0
        self._open()

    @classmethod
    @contextmanager
    def owning(cls, file: StoreFile, cursors: int) -> Iterator[OwnedFile]:
        """Own the store for the time of the block; raises as ``StoreFile.open``."""
        with file.locked():
            with file.opened():
                pass
            owned = cls(file, cursors)
            try:
                yield owned
            finally:
                owned.close()

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def key(self) -> str | None:
        """Of an encrypted database."""
        return self._file.key

    @property
    def wait_s(self) -> float:
        """Longest wait for a turn, in seconds."""
        return self._file.wait_s

    @property
    def generation(self) -> int:
        """Grows with every block of writes, whatever came of it, and with every swap of the file.

        It grows before what was written is acknowledged: whoever finds it unchanged has missed nothing that anybody was
        told of.
        """
        return self._generation

    @property
    def moment(self) -> int | None:
        """The generation, while no write is under way; None while one is.

        Whatever was read between two looks at the same moment is of one state of the database.
        """
        # In this order: of a write that ends in between, the begin was seen, and its end was not.
        ended, begun = self._generation, self._begun
        return ended if begun == ended else None

    def owner(self) -> Remote | None:
        """Nobody else."""
        return None

    @contextmanager
    def open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The one connection for writing; what it did is in the journal when the block ends.

        Raises:
            StoreBusy: others wrote for longer than ``wait_s``.
            StoreIntruded: somebody wrote to the file past this process.
        """
        with self._writer(), duck.cursor(self._connection) as cursor:
            self._require_own()
            self._begun += 1
            try:
                yield cursor
            except BROKEN as error:
                raise broken(self.path, error) from error
            finally:
                self._generation += 1
                self._require_in_place()
                if self._file.journal is not None:
                    self._file.journal.mirror(cursor)
                self._traces = self._look()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for reads, which all see the same moment.

        Raises:
            StoreBusy: all cursors were taken for longer than ``wait_s``.
            QueryTooSlow: the block took longer than a read may.
        """
        with self._turn(), duck.cursor(self._connection) as cursor, snapshot(cursor, self.path, self._file.read_s):
            yield cursor

    @contextmanager
    def still(self) -> Iterator[None]:
        """No write begins in the block, so that the file and its WAL may be copied, by another process."""
        with self._writer():
            self._require_own()
            yield

    def replace(self, make: Callable[[duckdb.DuckDBPyConnection], swap.Plan]) -> None:
        """Put another file in the place of the store's while nobody writes, and go on with that one.

        Args:
            make: is handed the store as it is, and says what takes its place.

        Raises:
            StoreBusy: reads or writes went on for longer than ``wait_s``.
        """
        with self._writer(), ExitStack() as turns:
            self._require_own()
            with duck.cursor(self._connection) as cursor:
                plan = make(cursor)
            deadline = time.monotonic() + self.wait_s
            for _ in range(self._cursors):
                turns.enter_context(self._turn(deadline - time.monotonic()))
            self._begun += 1
            try:
                self._swap(plan)
            finally:
                self._generation += 1

    def _swap(self, plan: swap.Plan) -> None:
        self.close()
        try:
            swap.swap(self.path, plan)
        except BaseException as error:
            if swap.pending(self.path):
                raise StoreIntruded(self.path, "a swap is half done.", "The owner starts anew.") from error
            self._open()
            raise
        self._open()

    def close(self) -> None:
        """Close the database; DuckDB writes its WAL into the file."""
        self._connection.close()
        if self._guard is not None:
            os.close(self._guard)
            self._guard = None

    def _open(self) -> None:
        self._connection = connect(self.path, self._file.key)
        # DuckDB takes a commit of ours for 16 MiB of log, which is its default, and would checkpoint at each: a second
        # where ten million rows are. The log has 64 kB a commit; replaying this much of it takes seconds.
        self._connection.execute("SET checkpoint_threshold = '32MiB'")
        # Reads are many and small: threads that share one of them are kept from the next, and cost more than they give.
        self._connection.execute(f"SET threads = {max(1, (os.cpu_count() or 1) // 2)}")
        self._guard = guarded(self.path)
        migrations.require_current(self._connection, self.path)
        self._traces = self._look()

    @contextmanager
    def _writer(self) -> Iterator[None]:
        if not self._writing.acquire(timeout=self.wait_s):
            raise self._busy("other writes")
        try:
            yield
        finally:
            self._writing.release()

    @contextmanager
    def _turn(self, wait_s: float | None = None) -> Iterator[None]:
        if not self._free.acquire(timeout=self.wait_s if wait_s is None else max(wait_s, 0)):
            raise self._busy(f"{self._cursors} other reads")
        try:
            yield
        finally:
            self._free.release()

    def _look(self) -> _Traces:
        return tuple(map(_trace, (self.path, swap.wal_of(self.path))))

    def _require_own(self) -> None:
        if self._look() != self._traces:
            raise self._intruded()

    def _require_in_place(self) -> None:
        """The file is still the one that is open, not merely another of its name."""
        before, now = self._traces[0], _trace(self.path)
        if before is None or now is None or before[0] != now[0]:
            raise self._intruded()

    def _intruded(self) -> StoreIntruded:
        what = "was written to by somebody else while this process owned it; what was acknowledged is in the journal."
        return StoreIntruded(self.path, what, "Find out who opens the file past BRI; the owner starts anew.")

    def _busy(self, what: str) -> StoreBusy:
        remedy = "Try again; raise BRI_READ_CURSORS or BRI_STORE_WAIT_S where that happens often."
        return StoreBusy(self.path, f"{what} went on for more than {self.wait_s:g} s.", remedy)


def _trace(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
