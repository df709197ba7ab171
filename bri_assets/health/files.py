"""Uploads as they lie on disk now: whether they are still what was looked at, and which nobody has looked at.

What does not belong here: what a file holds (``intake``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from bri_assets.errors import StorageFailed, UploadRefused
from bri_assets.intake import scan, unseen
from bri_assets.media.fingerprint import Signature
from bri_assets.settings import Settings
from bri_assets.store.reconciliation import DeadLetter

__all__ = ["Files", "files_of"]


def files_of(letters: Sequence[DeadLetter]) -> dict[str, str]:
    """What became of the files of uploads, by their ids: ``there`` as they were accepted, ``changed`` or ``gone``."""
    return {letter.upload_id: _file(Path(letter.path), letter.signature) for letter in letters}


class Files:
    """The disk, held against what was looked at.

    Args:
        settings: of the process.
        seen: signature by path, as ``Store.seen`` gives it.
    """

    def __init__(self, settings: Settings, seen: Mapping[str, str]) -> None:
        self._settings, self._seen = settings, seen

    def state(self, path: str, signature: str) -> Literal["there", "changed", "gone"]:
        """Whether a file still is what was looked at.

        Args:
            path: as the store has it; a name that is not UTF-8 is written with backslashes there.
            signature: of the file when it was looked at.
        """
        file = self._named.get(path, Path(path))
        if not file.is_symlink() and not _exists(file):
            return "gone"
        return "changed" if any(unseen([file], {path: signature}, 0.0)) else "there"

    def unseen(self) -> Iterator[datetime]:
        """For each file in ``uploads/`` that is settled and was not looked at: since when it waits, UTC."""
        for file in unseen(self._named.values(), dict(self._seen), self._settings.settle_s):
            try:
                yield datetime.fromtimestamp(file.lstat().st_ctime, UTC)
            except FileNotFoundError:
                # Taken away between the two looks: then it does not wait.
                continue

    @cached_property
    def _named(self) -> dict[str, Path]:
        """The files in ``uploads/``, by their paths as the store has them."""
        folder = self._settings.uploads_dir
        try:
            found = list(scan(folder)) if folder.exists() else []
        except OSError as error:
            raise StorageFailed(folder, f"cannot be listed: {error.strerror}.", "Check its permissions.") from error
        return {str(file).encode(errors="surrogateescape").decode(errors="backslashreplace"): file for file in found}


def _file(path: Path, signature: str) -> str:
    try:
        return "there" if str(Signature.of(path)) == signature else "changed"
    except UploadRefused:
        return "gone"


def _exists(file: Path) -> bool:
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        # A name that is too long, a folder that must not be entered: what was refused for that is still refused.
        return True
    return True
