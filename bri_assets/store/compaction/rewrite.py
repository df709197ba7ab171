"""A database written anew: the same rows, constraints and views in a file without holes, proven row by row.

DuckDB's own ``COPY FROM DATABASE`` does not do here: it inserts children before their parents and is refused by their
foreign keys. The new file is made by the migrations instead, and then follows the old one. What does not belong here:
a store that is in use (``compact``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from bri_assets.errors import StorageFailed, StoreDamaged
from bri_assets.files import storing, sync_folder
from bri_assets.schemas.ddl import text
from bri_assets.store import migrations
from bri_assets.store.access import swap
from bri_assets.store.access.duck import connect
from bri_assets.store.compaction.follow import follow
from bri_assets.store.compaction.same import different_rows, different_shape
from bri_assets.store.recovery.whole import examine

__all__ = ["FRESH", "attached", "catch_up", "rewrite", "size_of"]

#: The new database's name on the connection to the old one.
FRESH = "fresh"

_AS_IT_WAS = "The store is as it was. Run `bri compact` again; if it fails again, see docs/runbooks/recovery.md."


def rewrite(source: Path, target: Path, key: str | None = None) -> int:
    """Write a copy of a store that nobody has open into a new file, and prove the file after it was opened again.

    Takes about 4 s for each million rows to write, and as long again to prove.

    Args:
        source: the copy; its WAL may lie beside it.
        target: the new file; closed, synced and without a WAL afterwards.
        key: of an encrypted store; of both files.

    Returns:
        Rows that were written.

    Raises:
        StoreDamaged: the source cannot be read to its end, has tables that no migration makes, or does not hold what
            was committed.
        StorageFailed: the disk refused.
    """
    migrations.upgrade(target, key=key)
    with _telling("the store", "cannot be written anew"):
        with connect(source, key) as connection, attached(connection, target, key):
            rows = catch_up(connection, target)
        with connect(target, key) as connection:
            wrong = examine(connection).wrong
    if wrong:
        remedy = "It was left as it is: see docs/runbooks/recovery.md."
        raise StoreDamaged("the store", f"does not hold what was committed: {wrong[0]}.", remedy)
    with storing(target, 0), target.open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(target.parent)
    return rows


def catch_up(connection: duckdb.DuckDBPyConnection, target: Path) -> int:
    """Bring the attached database to all that the connection's own holds, and see that nothing is missing.

    Args:
        connection: to a store, with another one attached as ``FRESH``; without a transaction. Nobody writes meanwhile.
        target: the attached file, for messages.

    Returns:
        Rows that were inserted, changed or removed.

    Raises:
        StoreDamaged: they do not have the same shape, or not the same rows afterwards.
        duckdb.Error: as DuckDB does.
    """
    store = str(connection.execute("SELECT current_database()").fetchall()[0][0])
    _require_same_shape(connection, store, target)
    rows = follow(connection, store, FRESH)
    _require_same_shape(connection, store, target)
    if tables := different_rows(connection, store, FRESH):
        raise StoreDamaged(target, f"does not hold the rows of the store in {', '.join(tables)}.", _AS_IT_WAS)
    return rows


def _require_same_shape(connection: duckdb.DuckDBPyConnection, store: str, target: Path) -> None:
    if different := different_shape(connection, store, FRESH):
        what = f"and the store differ in what migrations make: {', '.join(different)}."
        raise StoreDamaged(target, what, f"Was the store changed by hand? {_AS_IT_WAS}")


@contextmanager
def attached(connection: duckdb.DuckDBPyConnection, target: Path, key: str | None) -> Iterator[None]:
    """Have another database open as ``FRESH`` in the block; when that ends well, its file is whole and has no WAL.

    Raises:
        StorageFailed: the disk refused.
        StoreDamaged: DuckDB refused.
    """
    with _telling(target, "cannot be written"):
        encryption = "" if key is None else f" (ENCRYPTION_KEY {text(key)}, ENCRYPTION_CIPHER 'GCM')"
        connection.execute(f"ATTACH {text(str(target))} AS {FRESH}{encryption}")
        try:
            yield
            connection.execute(f"CHECKPOINT {FRESH}")
        finally:
            connection.execute(f"DETACH {FRESH}")
    if swap.wal_of(target).exists():
        raise StoreDamaged(target, "was closed, but its write-ahead log is still there.", _AS_IT_WAS)


def size_of(path: Path) -> int:
    """Bytes of a database file and its WAL."""
    return sum(file.stat().st_size for file in (path, swap.wal_of(path)) if file.exists())


@contextmanager
def _telling(subject: object, what: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        kind = StorageFailed if "No space left" in str(error) else StoreDamaged
        raise kind(subject, f"{what}: {error}.", _AS_IT_WAS) from error
