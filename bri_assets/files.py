"""Files that are whole or not there: atomic, durable writes and hashes.

What does not belong here: what the files hold (``staging``, ``media``) and the database's own files (``store``).
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bri_assets.errors import StorageFailed

__all__ = ["sha256_bytes", "sha256_file", "storing", "sync_folder", "write_atomically"]

_CHUNK = 4 * 1024 * 1024

_REMEDIES = {
    errno.ENOSPC: "Make room on that disk (or move BRI_HOME), then ingest again.",
    errno.EDQUOT: "Make room in that quota, then ingest again.",
    errno.EROFS: "Mount that file system for writing, or point BRI_HOME at another one.",
    errno.EACCES: "Give the account that runs the ingest permission to write there.",
    errno.EPERM: "Give the account that runs the ingest permission to write there.",
}
_REMEDY = "See that the folder is there and can be written to, then ingest again."


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


@contextmanager
def storing(path: Path, size: int) -> Iterator[None]:
    """Turn a refusal of the file system into our error, which says what a person can do about it.

    Args:
        path: what is being written.
        size: bytes that were to be written.

    Raises:
        StorageFailed: the block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "no number")
        what = f"{size} bytes could not be stored: {error.strerror} ({code})."
        raise StorageFailed(path, what, _REMEDIES.get(error.errno or 0, _REMEDY)) from error


def write_atomically(path: Path, data: bytes, *, sync_name: bool = True) -> None:
    """Write a file so that after a crash there is the old one, the new one or none, never a part of one.

    Args:
        path: where; its folder is made if it is missing.
        data: the whole content.
        sync_name: whether the name is on disk too when this returns; where many files go into one folder, a single
            ``sync_folder`` at the end is cheaper.

    Raises:
        StorageFailed: the file system refused; nothing is left behind.
    """
    with storing(path, len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)  # mkstemp lets only the owner read
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    if sync_name:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are on disk, which fsync of a file does not see to.

    Raises:
        StorageFailed: the file system refused.
    """
    with storing(folder, 0):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
