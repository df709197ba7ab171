"""Opening the DuckDB file while nobody owns it: one process at a time, under a lock beside it, for one piece of work.

DuckDB's own lock is a POSIX record lock, which the process loses when it closes *any* descriptor of the file; so nobody
here opens, copies or hashes the database file while it may be open, and the lock that counts is ``flock`` on a file
beside it. What does not belong here: what is done with the connection, and the process that keeps the file open
(``owned``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import portalocker

from bri_assets.errors import StorageFailed, StoreBusy, StoreMissing
from bri_assets.settings import Settings
from bri_assets.store import migrations
from bri_assets.store.access import swap
from bri_assets.store.access.duck import BROKEN, HELD, broken, connect, damaged, snapshot
from bri_assets.store.access.journal import Journal
from bri_assets.store.access.remote import Remote, address_of

__all__ = ["OwnedElsewhere", "StoreFile", "transaction"]

_POLL_S = 0.02


class OwnedElsewhere(StoreBusy):
    """While this process waited for the file, another one became its owner: ask that one."""


@dataclass(frozen=True)
class StoreFile:
    """The store as a file.

    Args:
        path: the DuckDB file; made, with its tables, when it is first opened.
        wait_s: longest wait for another process, in seconds, > 0.
        read_s: longest time that a read may take, in seconds, > 0.
        journal: what the database must hold at least; None for a database that has none.
        key: of an encrypted database.
        backups: folder of the backups; where there are any, no new database is made.
    """

    path: Path
    wait_s: float = 30.0
    read_s: float = 10.0
    journal: Journal | None = None
    key: str | None = None
    backups: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> StoreFile:
        """The store's file of a process's BRI_HOME; opens nothing yet."""
        key = settings.encryption_key
        return cls(
            settings.store_path,
            settings.store_wait_s,
            settings.read_timeout_s,
            Journal(settings.journal_path),
            key.get_secret_value() if key else None,
            settings.backup_dir,
        )

    def owner(self) -> Remote | None:
        """The process that owns the database, if there is one."""
        remote = Remote(address_of(self.path))
        return remote if remote.there else None

    @contextmanager
    def open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that nobody else has at the same time; closed, and the lock given back, at the end.

        Raises:
            StoreBusy: another process held the store for longer than ``wait_s``.
            StoreDamaged: the file is not a database, or not one of ours.
            StoreMissing: there is no file, but events were journalled.
            StoreBehind: the database ends before its journal.
            StoreOutdated: the store needs a migration.
            StoreTooNew: the store was made by a newer version of the package.
            StorageFailed: the folder cannot be made or written.
        """
        with self.locked(), self.opened() as connection:
            try:
                yield connection
            finally:
                self._mirror(connection)

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for reads, which see one moment and are stopped after ``read_s``; it raises as ``open`` does.

        Raises:
            QueryTooSlow: the block took longer.
        """
        with self.locked(), self.opened() as connection, snapshot(connection, self.path, self.read_s):
            yield connection

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nobody has the file open in the block, and it is whole: it may be copied. It raises as ``open`` does."""
        with self.locked():
            with self.opened():
                pass
            yield

    def replace(self, make: Callable[[duckdb.DuckDBPyConnection], swap.Plan]) -> None:
        """Put another file in the place of the store's while nobody has it open; it raises as ``open`` does.

        Args:
            make: is handed the store as it is, and says what takes its place.
        """
        with self.locked():
            with self.opened() as connection:
                plan = make(connection)
            swap.swap(self.path, plan)

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to a store that is whole and of this revision, for whoever holds the lock; see ``open``."""
        swap.finish(self.path)
        if not self.path.exists():
            self._create()
        connection = self._connect()
        try:
            migrations.require_current(connection, self.path)
            if self.journal is not None:
                self.journal.require_not_ahead(connection)
                self.journal.mirror(connection)
            yield connection
        except BROKEN as error:
            raise broken(self.path, error) from error
        finally:
            connection.close()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock beside the file, so that nobody of ours has the file open.

        Raises:
            OwnedElsewhere: a process of ours owns it.
            StoreBusy: somebody holds it for longer than ``wait_s``.
            StorageFailed: the lock cannot be made.
        """
        lock = self.path.with_suffix(".lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open("a")
        except OSError as error:
            raise StorageFailed(lock, f"cannot be made or opened: {error}.", "Check BRI_HOME's permissions.") from error
        with file:
            self._wait_for_lock(file.fileno())
            yield

    def _wait_for_lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + self.wait_s
        while True:
            try:
                portalocker.lock(descriptor, portalocker.LOCK_EX | portalocker.LOCK_NB)
            except portalocker.LockException as error:
                if self.owner() is not None:
                    raise self._owned() from error
                if time.monotonic() > deadline:
                    raise self._busy() from error
                time.sleep(_POLL_S)
            else:
                return

    def _create(self) -> None:
        journalled = self.journal is not None and self.journal.last_event_id() > 0
        if journalled or (self.backups is not None and any(self.backups.glob("*/backup.json"))):
            told = "its journal tells of events" if journalled else "there are backups of it"
            remedy = "Run `bri restore` (docs/runbooks/recovery.md), or put the file back."
            raise StoreMissing(self.path, f"is not there, but {told}: it was lost or moved away.", remedy)
        # Made beside and moved into place whole: a process that dies meanwhile leaves no store without tables.
        new = self.path.with_suffix(".new")
        for leftover in (new, new.with_suffix(".new.wal")):
            leftover.unlink(missing_ok=True)
        migrations.upgrade(new, key=self.key)
        os.replace(new, self.path)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + self.wait_s
        while True:
            try:
                return connect(self.path, self.key)
            except duckdb.IOException as error:
                # Somebody opened the file without our lock (the DuckDB shell, a notebook): wait for them too.
                if HELD not in str(error):
                    raise damaged(self.path, error) from error
                if time.monotonic() > deadline:
                    raise self._busy() from error
                time.sleep(0.1)
            except duckdb.Error as error:
                raise damaged(self.path, error) from error

    def _mirror(self, connection: duckdb.DuckDBPyConnection) -> None:
        if self.journal is not None:
            self.journal.mirror(connection)

    def _owned(self) -> OwnedElsewhere:
        what = "is owned by another process (`bri serve`, or `make ui`, which starts one)."
        return OwnedElsewhere(self.path, what, "Stop that first: this needs the store for itself.")

    def _busy(self) -> StoreBusy:
        return StoreBusy(
            self.path,
            f"another process has held the store for more than {self.wait_s:g} s.",
            "Find it with `fuser` on that file (a shell or notebook that has it open?), or raise BRI_STORE_WAIT_S.",
        )


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """One transaction: committed at the end, rolled back by any error, which goes on."""
    connection.begin()
    try:
        yield connection
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
