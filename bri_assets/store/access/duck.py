"""DuckDB itself: connecting to a file, stopping what takes too long, and what its errors mean to a person.

What does not belong here: who may open the file, and when (``connection``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import duckdb

from bri_assets.errors import EncryptionFailed, QueryTooSlow, StorageFailed, StoreDamaged
from bri_assets.schemas.ddl import text

__all__ = ["BROKEN", "HELD", "attach_encrypted", "broken", "connect", "cursor", "damaged", "snapshot"]

#: What DuckDB says when another process has the file open.
HELD = "Could not set lock"

#: A store must never reach for the network or load code that did not come with DuckDB or was put there by a person.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}

#: Name under which an encrypted file is attached; a plain one goes by its own.
_ALIAS = "bri_encrypted"

_UTC = "SET TimeZone = 'UTC'"


def connect(path: Path, key: str | None = None) -> duckdb.DuckDBPyConnection:
    """Open a database file, which is made where there is none; times are in UTC.

    Args:
        path: the file.
        key: of an encrypted database; needs DuckDB's extension ``httpfs``, whose OpenSSL is the only way to write that
            DuckDB itself calls safe.

    Raises:
        EncryptionFailed: there is a key, and the extension cannot be loaded here.
        duckdb.Error: as DuckDB does.
    """
    if key is None:
        connection = duckdb.connect(str(path), config=_CONFIG)
    else:
        connection = duckdb.connect(config=_CONFIG)
        try:
            attach_encrypted(connection, path, key)
        except BaseException:
            connection.close()
            raise
    connection.execute(_UTC)
    return connection


def cursor(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A second connection to the same database, with what DuckDB does not hand on: the time zone, and `USE`."""
    made = connection.cursor()
    made.execute(_UTC)
    if made.execute("SELECT 1 FROM duckdb_databases() WHERE database_name = ?", [_ALIAS]).fetchone():
        made.execute(f"USE {_ALIAS}")
    return made


def attach_encrypted(connection: duckdb.DuckDBPyConnection, path: Path, key: str) -> None:
    """Make an encrypted file the database that a connection to memory works on.

    Raises:
        EncryptionFailed: the extension cannot be loaded here.
    """
    try:
        connection.execute(f"LOAD {text(str(_packaged_httpfs() or 'httpfs'))}")
    except duckdb.Error as error:
        what = f"cannot be encrypted here: DuckDB's extension httpfs cannot be loaded ({error})."
        remedy = (
            "Install it (`pip install duckdb-extension-httpfs` of the version of duckdb), or unset BRI_ENCRYPTION_KEY"
            " and encrypt the file system (docs/runbooks/encryption.md)."
        )
        raise EncryptionFailed(path, what, remedy) from error
    connection.execute(f"ATTACH {text(str(path))} AS {_ALIAS} (ENCRYPTION_KEY {text(key)}, ENCRYPTION_CIPHER 'GCM')")
    connection.execute(f"USE {_ALIAS}")
    # What does not fit into memory would be written in plain, into the working directory.
    connection.execute("SET temp_file_encryption = true")
    connection.execute(f"SET temp_directory = {text(str(path) + '.tmp')}")


def _packaged_httpfs() -> Path | None:
    """The extension as the package ``duckdb-extension-httpfs`` brings it: signed, and for one version of DuckDB."""
    found = find_spec("duckdb_extension_httpfs")
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
    return file if file.exists() else None


@contextmanager
def snapshot(connection: duckdb.DuckDBPyConnection, subject: Path, seconds: float) -> Iterator[None]:
    """Let every read of the block see the same moment, and interrupt what takes the block past ``seconds``.

    Raises:
        QueryTooSlow: it took longer.
    """
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    connection.begin()
    timer.start()
    try:
        yield
    except duckdb.InterruptException as error:
        what = f"a read took longer than {seconds:g} s and was stopped."
        raise QueryTooSlow(subject, what, "Ask for less, or raise BRI_READ_TIMEOUT_S.") from error
    finally:
        timer.cancel()
        connection.rollback()


#: What DuckDB raises when it can no longer read or write; of a COMMIT that finds no room, a ``TransactionException``.
BROKEN = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.TransactionException)


def broken(path: Path, error: Exception) -> StorageFailed | StoreDamaged | EncryptionFailed:
    """What one of ``BROKEN`` means: a full disk, or a damaged file."""
    if "No space left" in str(error):
        remedy = "Make room on that disk; the transaction was rolled back, so ingest again."
        return StorageFailed(path, f"cannot be written: {error}.", remedy)
    return damaged(path, error)


def damaged(path: Path, error: Exception) -> StoreDamaged | EncryptionFailed:
    """A file that cannot be used as a database, or not with this key."""
    if "encrypt" in str(error):
        remedy = "Set BRI_ENCRYPTION_KEY to the key that the store was made with, or unset it where it has none."
        return EncryptionFailed(path, f"cannot be opened: {error}.", remedy)
    return StoreDamaged(
        path,
        f"cannot be used as a database: {error}.",
        "Keep the file for a look, and run `bri restore` (docs/runbooks/recovery.md).",
    )
