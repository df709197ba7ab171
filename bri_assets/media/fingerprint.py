"""Which bytes a file holds, and whether they changed while somebody read them.

Belongs here: looking at a file as a sequence of bytes, before anybody asks what they mean. Does not belong here:
whether the bytes are a video (``probe``), and when a file counts as settled (``intake``).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from bri_assets.errors import UploadChanged, UploadRefused
from bri_assets.files import sha256_file

__all__ = ["Signature", "assert_unchanged", "fingerprint", "require_file"]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Signature:
    """What the file system says of a file; any write, replacement or renaming over it changes at least one part.

    Attributes:
        size: bytes.
        mtime_ns: last change of the content, nanoseconds since 1970. A copying program may set it back.
        ctime_ns: last change of content or metadata, nanoseconds since 1970. Programs cannot set it.
        inode: number of the file in its file system.
        device: number of the file system.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, path: Path) -> Signature:
        """Return the signature of a file, symbolic links followed.

        Raises:
            UploadRefused: as ``require_file``; an empty file has a signature.
        """
        status = require_file(path)
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Return the signature that ``str`` made ``text`` of.

        Raises:
            ValueError: ``text`` is something else.
        """
        parts = text.split("-")
        if len(parts) != 5:
            raise ValueError(f"a signature has five numbers joined by '-', not {text!r}")
        return cls(*(int(part) for part in parts))

    def __str__(self) -> str:
        """Return the five numbers joined by ``-``, to be stored and compared."""
        return f"{self.size}-{self.mtime_ns}-{self.ctime_ns}-{self.inode}-{self.device}"


def require_file(path: Path) -> os.stat_result:
    """Return the status of a regular file, symbolic links followed, without opening it (a pipe would wait for ever).

    Raises:
        UploadRefused: code ``missing``; ``unreadable`` (its folder must not be entered, its name is too long, its
            links go in circles); ``not_a_video`` (a folder, pipe, socket or device).
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UploadRefused(path, "there is no such file.", "Upload it again.", code="missing") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL character
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
        raise UploadRefused(path, f"this is {kind}, not a video file.", "Upload the file itself.", code="not_a_video")
    return status


def fingerprint(path: Path) -> tuple[str, Signature]:
    """Return the SHA-256 of a file (64 hex digits) and the signature under which it holds.

    Raises:
        UploadChanged: the file was written to or replaced while it was read.
        UploadRefused: code ``empty`` for zero bytes, else as ``require_file``.
    """
    before = Signature.of(path)
    if before.size == 0:
        raise UploadRefused(path, "the file is empty (0 bytes).", "Upload it again.", code="empty")
    try:
        sha256 = sha256_file(path)
    except FileNotFoundError as error:
        raise UploadRefused(path, "it vanished while it was read.", "Upload it again.", code="missing") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    assert_unchanged(path, before)
    return sha256, before


def assert_unchanged(path: Path, signature: Signature) -> None:
    """Return if the file still has this signature.

    Raises:
        UploadChanged: it has another one, or the file is gone.
    """
    remedy = "Wait until the copy has finished; the file is looked at again by itself."
    try:
        now = Signature.of(path)
    except UploadRefused as error:
        raise UploadChanged(path, f"the file is gone since it was read: {error.what}", remedy) from error
    if now != signature:
        raise UploadChanged(path, f"the file changed while it was read ({signature.size} to {now.size} bytes).", remedy)


def _unreadable(path: Path, error: Exception) -> UploadRefused:
    reason = getattr(error, "strerror", None) or str(error)
    return UploadRefused(
        path,
        f"the file cannot be read: {reason}.",
        "Give the account that runs the ingest permission to read it, or upload it again.",
        code="unreadable",
    )
