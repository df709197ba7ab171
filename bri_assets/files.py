"""Files that are whole or not there: atomic, durable writes and hashes.

What does not belong here: what the files hold (``staging``, ``media``) and the database's own files (``store``).
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from pathlib import Path

from bri_assets.errors import StorageFailed

__all__ = ["sha256_bytes", "sha256_file", "storage_failed", "sync_folder", "write_atomically"]

_CHUNK = 4 * 1024 * 1024


def sha256_bytes(data: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits, read in chunks of 4 MiB.

    Raises:
        OSError: the file is not there or cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that after a crash there is the old one, the new one or none, never a part of one.

    Raises:
        StorageFailed: the file system refused; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    except OSError as error:
        raise storage_failed(path, len(data), error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_failed(path, len(data), error) from error
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, as fsync of a file does not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_failed(path: Path, size: int, error: OSError) -> StorageFailed:
    """The error for a refused write, saying what a person can do about it."""
    remedies = {
        errno.ENOSPC: "Free space on that disk (or move BRI_HOME), then ingest again.",
        errno.EDQUOT: "The quota is used up: free space or raise it, then ingest again.",
        errno.EROFS: "The file system is read-only: remount it or move BRI_HOME.",
        errno.EACCES: "Give this user write permission for the folder, or move BRI_HOME.",
    }
    remedy = remedies.get(error.errno or 0, "Check the disk, then ingest again.")
    return StorageFailed(path, f"{size} bytes could not be written: {error.strerror or error}.", remedy)
