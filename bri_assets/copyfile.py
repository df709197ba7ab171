"""Copies files as a process of its own: ``python -m bri_assets.copyfile SOURCE TARGET [SOURCE TARGET …]``.

Closing a descriptor of an open DuckDB file drops DuckDB's lock in that process, so the process that has the database
open must not copy it itself. Prints the SHA-256 of each source as it was read, a line each; a source that is not there
is passed over with an empty line. Imports nothing but the standard library, for writers wait while it works.
"""

from __future__ import annotations

import hashlib
import os
import sys

__all__ = ["copy", "main"]

_CHUNK = 8 * 1024 * 1024


def copy(source: str, target: str) -> str:
    """Copy a file, durably; returns the SHA-256 of what was read, 64 hex digits.

    Raises:
        OSError: the source cannot be read, or the target exists or cannot be written.
    """
    digest = hashlib.sha256()
    with open(source, "rb", buffering=0) as read, open(target, "xb", buffering=0) as written:
        while chunk := read.read(_CHUNK):
            digest.update(chunk)
            written.write(chunk)
        os.fsync(written.fileno())
    return digest.hexdigest()


def main(arguments: list[str]) -> None:
    """Copy each pair."""
    for source, target in zip(arguments[::2], arguments[1::2], strict=True):
        sys.stdout.write(copy(source, target) if os.path.exists(source) else "")
        sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
