"""Files that nobody can read, and an account that may do little: shared by the tests of this folder."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["odd_files", "unprivileged"]

_NOBODY = 65_534


def odd_files(folder: Path) -> dict[str, tuple[Callable[[], Path], str]]:
    """Return, by name, how to make a path that is no readable file, and the code of its refusal."""

    def empty() -> Path:
        (folder / "empty.mp4").touch()
        return folder / "empty.mp4"

    def pipe() -> Path:
        os.mkfifo(folder / "pipe.mp4")
        return folder / "pipe.mp4"

    def circle() -> Path:
        (folder / "circle.mp4").symlink_to(folder / "circle.mp4")
        return folder / "circle.mp4"

    def dangling() -> Path:
        (folder / "dangling.mp4").symlink_to(folder / "nothing.mp4")
        return folder / "dangling.mp4"

    def below_a_file() -> Path:
        return empty() / "a.mp4"

    def unix_socket() -> Path:
        with socket.socket(socket.AF_UNIX) as end:
            at = os.open(folder, os.O_RDONLY)
            end.bind(f"/proc/self/fd/{at}/s.mp4")  # the name of a socket has at most 108 characters
            os.close(at)
        return folder / "s.mp4"

    return {
        "missing": (lambda: folder / "nothing.mp4", "missing"),
        "dangling link": (dangling, "missing"),
        "below a file": (below_a_file, "missing"),
        "empty": (empty, "empty"),
        "folder": (lambda: folder, "not_a_video"),
        "pipe": (pipe, "not_a_video"),
        "socket": (unix_socket, "not_a_video"),
        "device": (lambda: Path("/dev/zero"), "not_a_video"),
        "link to itself": (circle, "unreadable"),
        "name too long": (lambda: folder / ("x" * 300), "unreadable"),
        "name with NUL": (lambda: folder / "a\0.mp4", "unreadable"),
    }


@contextmanager
def unprivileged() -> Iterator[Path]:
    """Give a folder of its own to an account for which permissions hold (they do not for root)."""
    with tempfile.TemporaryDirectory() as folder:
        is_root = os.geteuid() == 0
        if is_root:
            os.chown(folder, _NOBODY, -1)
            os.seteuid(_NOBODY)
        try:
            yield Path(folder)
        finally:
            if is_root:
                os.seteuid(0)
