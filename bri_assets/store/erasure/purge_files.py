"""The files of a purge: staged files, frame images and archived rows of one video, and none of any other.

What does not belong here: when they go (``purge``); the upload itself, which is not the store's.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bri_assets.errors import StorageFailed, StoreDamaged
from bri_assets.files import sync_folder
from bri_assets.store.archives import archived

__all__ = ["PurgeBegun", "RemovedFiles", "has_files", "remove_files"]

_VIDEO_ID = re.compile(r"[a-z0-9-]+-[0-9a-f]{12}")


@dataclass(frozen=True)
class RemovedFiles:
    """Files that were removed: how many, and their size in bytes."""

    count: int
    size_bytes: int


@dataclass(frozen=True)
class PurgeBegun:
    """A purge that has begun: of which video, and which files of the archive its versions name, under BRI_HOME."""

    video_id: str
    archived: tuple[str, ...]


def remove_files(home: Path, staged: Path, begun: PurgeBegun) -> RemovedFiles:
    """Second step: remove the staged files, the frame images and the archived rows of a video; needs no database.

    Args:
        home: BRI_HOME.
        staged: folder of the staging area.
        begun: the purge.

    Raises:
        StoreDamaged: the video's id or a name in the archive is none of ours; nothing was removed.
        StorageFailed: a file cannot be removed.
    """
    if not _VIDEO_ID.fullmatch(begun.video_id):
        raise StoreDamaged(begun.video_id, "is no id of a video, so no file is removed by it.", "Look at the store.")
    files = {home / file for file in begun.archived}
    for file in files:
        if ".." in file.parts or not file.is_relative_to(home / archived.FOLDER):
            raise StoreDamaged(file, "is named as a file of the archive, but is none.", "Look at archived_tables.")
    files.update(_archived_files(home, begun.video_id))
    removed = [_remove(file, begun.video_id) for file in sorted(files)]
    removed += [_remove(folder, begun.video_id) for folder in _folders(home, staged, begun.video_id)]
    return RemovedFiles(sum(part.count for part in removed), sum(part.size_bytes for part in removed))


def has_files(home: Path, staged: Path, video_id: str) -> bool:
    """Whether anything of a video lies where ``remove_files`` removes it."""
    return any(folder.exists() for folder in _folders(home, staged, video_id)) or any(_archived_files(home, video_id))


def _folders(home: Path, staged: Path, video_id: str) -> tuple[Path, ...]:
    # The last holds what runs that were killed left of their notes (``progress``).
    return staged / video_id, home / "frames" / video_id, home / "progress" / video_id


def _archived_files(home: Path, video_id: str) -> Iterator[Path]:
    """Files of the archive by their names: those of a version that was brought back are named by no row any more."""
    name = re.compile(rf"{video_id}-v[0-9]+-[0-9a-f]{{12}}(-[0-9a-f]{{12}})?\.parquet")
    for file in (home / archived.FOLDER).glob(f"*/*/{video_id}-v*.parquet"):
        if name.fullmatch(file.name):
            yield file


def _remove(path: Path, video_id: str) -> RemovedFiles:
    """Remove a file or folder; of what is gone already, nothing."""
    if not os.path.lexists(path):
        return RemovedFiles(0, 0)
    try:
        sizes = [file.lstat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if not file.is_dir()]
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        what = f"cannot be removed: {error.strerror or error}."
        remedy = f"See to its permissions and that no run works on the video, then `bri purge {video_id}` goes on."
        raise StorageFailed(path, what, remedy) from error
    # Not before its name is gone from the disk may anybody say that the file is.
    sync_folder(path.parent)
    return RemovedFiles(len(sizes), sum(sizes))
