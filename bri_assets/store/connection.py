"""Opening the DuckDB file: one process at a time, under a lock beside it, for one short piece of work.

DuckDB's own lock is a POSIX record lock, which the process loses when it closes *any* descriptor of the file; so nobody
here opens, copies or hashes the database file while it may be open, and the lock that counts is ``flock`` on a file
beside it. What does not belong here: what is done with the connection.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import portalocker

from bri_assets.errors import StorageFailed, StoreBusy, StoreDamaged
from bri_assets.store import migrations

__all__ = ["StoreFile", "transaction"]

#: A store must never reach for the network or load code that did not come with DuckDB.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


@dataclass(frozen=True)
class StoreFile:
    """The store as a file.

    Args:
        path: the DuckDB file; made, with its tables, when it is first opened.
        wait_s: longest wait for another process, in seconds, > 0.
    """

    path: Path
    wait_s: float = 30.0

    @contextmanager
    def open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that nobody else has at the same time; closed, and the lock given back, at the end.

        Raises:
            StoreBusy: another process held the store for longer than ``wait_s``.
            StoreDamaged: the file is not a database, or not one of ours.
            StoreOutdated: the store needs a migration.
            StoreTooNew: the store was made by a newer version of the package.
            StorageFailed: the folder cannot be made or written.
        """
        with self._locked():
            if not self.path.exists():
                self._create()
            connection = self._connect()
            try:
                migrations.require_current(connection, self.path)
                connection.execute("SET TimeZone = 'UTC'")
                yield connection
            except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException) as error:
                raise self._broken(error) from error
            finally:
                connection.close()

    @contextmanager
    def exclusively(self) -> Iterator[Path]:
        """The file's path while nobody has it open, for what must not meet a connection (migrations, copies)."""
        with self._locked():
            yield self.path

    def _create(self) -> None:
        # Made beside and moved into place whole: a process that dies meanwhile leaves no store without tables.
        new = self.path.with_suffix(".new")
        for leftover in (new, new.with_suffix(".new.wal")):
            leftover.unlink(missing_ok=True)
        migrations.upgrade(new)
        os.replace(new, self.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.path.with_suffix(".lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            guard = portalocker.Lock(
                lock, "a", timeout=self.wait_s, check_interval=0.02, flags=portalocker.LOCK_EX | portalocker.LOCK_NB
            )
            guard.acquire()
        except portalocker.LockException as error:
            raise self._busy() from error
        except OSError as error:
            raise StorageFailed(lock, f"cannot be made or opened: {error}.", "Check BRI_HOME's permissions.") from error
        try:
            yield
        finally:
            guard.release()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + self.wait_s
        while True:
            try:
                return duckdb.connect(str(self.path), config=_CONFIG)
            except duckdb.IOException as error:
                # Somebody opened the file without our lock (the DuckDB shell, a notebook): wait for them too.
                if "Could not set lock" not in str(error):
                    raise self._damaged(error) from error
                if time.monotonic() > deadline:
                    raise self._busy() from error
                time.sleep(0.1)
            except duckdb.Error as error:
                raise self._damaged(error) from error

    def _busy(self) -> StoreBusy:
        return StoreBusy(
            self.path,
            f"another process has held the store for more than {self.wait_s:g} s.",
            "Find it with `fuser` on that file (a shell or notebook that has it open?), or raise BRI_STORE_WAIT_S.",
        )

    def _broken(self, error: Exception) -> StorageFailed | StoreDamaged:
        """What DuckDB says when it can no longer read or write: of a full disk, or of a damaged file."""
        if "No space left" in str(error):
            remedy = "Make room on that disk; the transaction was rolled back, so ingest again."
            return StorageFailed(self.path, f"cannot be written: {error}.", remedy)
        return self._damaged(error)

    def _damaged(self, error: Exception) -> StoreDamaged:
        return StoreDamaged(
            self.path,
            f"cannot be used as a database: {error}.",
            "Keep the file for a look, and restore a backup (docs/runbooks/store-refuses.md).",
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
