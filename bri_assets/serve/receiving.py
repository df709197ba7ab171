"""Taking a file in: its bytes to a hidden file, looked at, and only then under its name, whole or not at all.

What is there already is never overwritten: the same bytes are the same upload, other bytes get a free name. Whatever is
refused, breaks off or is killed leaves nothing but a hidden file, which ``sweep`` removes. What does not belong here:
HTTP (``api.uploads``) and what becomes of the upload then (the sensor ``uploads`` has its run started).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bri_assets.errors import DigestWrong, StorageFailed, UploadRefused, UploadTooLarge
from bri_assets.files import sha256_file, storing, sync_folder
from bri_assets.intake import Examined, Intake, video_id_of
from bri_assets.media.containers import open_container
from bri_assets.media.fingerprint import Signature
from bri_assets.media.probe import probe
from bri_assets.serve.filenames import others
from bri_assets.settings import Settings
from bri_assets.store import Claim, NewUpload, Store

__all__ = ["Arrived", "Incoming", "Receiver"]

#: libav looks at no more than this to tell what a file is (PROBE_BUF_MAX), so what it finds in it stands.
_SNIFFED = 1 << 20

#: A hidden file that nobody wrote to for so long belongs to a server that was killed, in seconds.
_LEFT_S = 86_400.0

#: The sweep of orphans knows this name too (``store.archives.strays``).
_PART = ".copy-api-{}.part"


@dataclass(frozen=True)
class Arrived:
    """A file that was taken in.

    Args:
        upload: what it is.
        claim: what came of asking for its ingest.
        created: it was not there before.
    """

    upload: NewUpload
    claim: Claim
    created: bool


class Receiver:
    """Takes files into ``uploads/``.

    Args:
        settings: of the process.
        store: where uploads are recorded.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self.most_bytes = int(settings.upload_max_gb * 1e9)

    def sweep(self) -> int:
        """Remove what killed servers left behind more than a day ago; returns how many files that were."""
        old = [
            path
            for path in self.settings.uploads_dir.glob(_PART.format("*"))
            if time.time() - path.stat().st_mtime > _LEFT_S
        ]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def require_room(self, filename: str, size: int) -> None:
        """See that so many more bytes may come.

        Raises:
            UploadTooLarge: they may not, for the disk would have less left than BRI_DISK_FREE_MIN and
                BRI_DISK_FREE_MIN_GB say, which is when retries wait and people are told.
        """
        folder, settings = self.settings.uploads_dir, self.settings
        with storing(Path(filename), size):
            disk = shutil.disk_usage(folder)
        left = disk.free - size
        if left < settings.disk_free_min_gb * 1e9 or left < settings.disk_free_min * disk.total:
            raise UploadTooLarge(
                filename,
                f"there is no room for it: {disk.free / 1e9:.1f} GB of the server's disk are free, and"
                f" {settings.disk_free_min_gb:g} GB and {settings.disk_free_min:.0%} of it are kept so.",
                "Have somebody make room there, or lower BRI_DISK_FREE_MIN_GB and BRI_DISK_FREE_MIN.",
            )

    def begin(self, filename: str, *, promised: int | None = None, sha256: str | None = None) -> Incoming:
        """Begin to take a file in.

        Args:
            filename: as ``filenames.checked`` returns it.
            promised: its size in bytes, where the sender says it.
            sha256: of its bytes, where the sender says it.

        Raises:
            UploadTooLarge: it may not be that large, or there is no room for it.
            StorageFailed: the disk refused.
        """
        if promised is not None:
            self.require_size(filename, promised)
        with storing(Path(filename), 0):
            self.settings.uploads_dir.mkdir(parents=True, exist_ok=True)
        self.require_room(filename, promised or 0)
        path = self.settings.uploads_dir / _PART.format(secrets.token_hex(8))
        with storing(Path(filename), 0):
            file = path.open("xb", buffering=0)
        return Incoming(self, filename, path, file, promised, sha256)

    def require_size(self, filename: str, size: int) -> None:
        """See that a file may have so many bytes; raises ``UploadTooLarge``."""
        if size > self.most_bytes:
            what = f"is larger than the {self.settings.upload_max_gb:g} GB that are taken."
            raise UploadTooLarge(filename, what, "Raise BRI_UPLOAD_MAX_GB, or cut the video in parts.")


class Incoming:
    """A file that is being taken in: write to it, then ``finish`` it or ``discard`` it; made by ``Receiver.begin``."""

    def __init__(
        self,
        receiver: Receiver,
        filename: str,
        path: Path,
        file: BinaryIO,
        promised: int | None,
        sha256: str | None,
    ) -> None:
        self._receiver, self._filename, self._path, self._file = receiver, filename, path, file
        self._promised, self._expected = promised, sha256
        self._digest, self._sniffed = hashlib.sha256(), False
        self.size = 0

    def write(self, data: bytes) -> None:
        """Take some more bytes.

        Raises:
            UploadTooLarge: these are too many, or the room is gone.
            UploadRefused: what came until now is no video.
            StorageFailed: the disk refused.
        """
        self._receiver.require_size(self._filename, self.size + len(data))
        self._receiver.require_room(self._filename, max((self._promised or 0) - self.size, len(data)))
        with storing(Path(self._filename), len(data)):
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        self._digest.update(data)
        self.size += len(data)
        if not self._sniffed and self.size >= _SNIFFED:
            self._sniffed = True
            self._sniff()

    def finish(self, *, channel: str) -> Arrived:
        """See that it is a whole video, give it its name, and ask for its ingest.

        Args:
            channel: the way in, for the audit log.

        Raises:
            DigestWrong: its bytes are not those that the sender says.
            UploadRefused: it is no video that can be ingested.
            StorageFailed, StoreBusy: as the disk and the store do. Where it has its name already by then, the sensor
                finds it there, and sending it again finds the same upload.
        """
        sha256 = self._digest.hexdigest()
        if self._expected is not None and self._expected != sha256:
            what = f"{self.size} bytes arrived whose SHA-256 is {sha256}, not the one that was sent with them."
            raise DigestWrong(self._filename, what, "Send it again.")
        with storing(Path(self._filename), self.size):
            os.fsync(self._file.fileno())
        self._file.close()
        with _named(self._filename):
            probe(self._path)
        target, created = self._place(sha256)
        upload = NewUpload(
            str(target),
            target.name,
            str(Signature.of(target)),
            self.size,
            sha256,
            video_id_of(target.name, sha256),
        )
        admission = Intake(self._receiver.store, self._receiver.store.staging).admit(
            Examined(upload, None), requested_by=channel, priority=1
        )
        if admission.claim is None:
            raise UploadRefused(target.name, "is not taken.", str(admission.refusal), code="refused")
        return Arrived(upload, admission.claim, created)

    def discard(self) -> None:
        """Leave nothing of it but what ``finish`` has put under its name."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _sniff(self) -> None:
        """Look at the beginning, so that nobody sends gigabytes for nothing.

        Raises:
            UploadRefused: it is of no video.
        """
        try:
            with _named(self._filename), open_container(self._path):
                return
        except UploadRefused as error:
            # Of a file whose index comes last, the beginning looks like one that is cut off.
            if error.code != "truncated":
                raise

    def _place(self, sha256: str) -> tuple[Path, bool]:
        """Give it its name, or the next free one; a link is never made over what is there."""
        folder = self._receiver.settings.uploads_dir
        for name in others(self._filename):
            target = folder / name
            with storing(Path(self._filename), self.size):
                if _holds(target, self.size, sha256):
                    return target, False
                try:
                    os.link(self._path, target)
                except FileExistsError:
                    continue
                self._path.unlink()
            sync_folder(folder)
            return target, True
        remedy = "Send it under another name."
        raise StorageFailed(self._filename, "this name and all that are tried beside it are taken.", remedy)


@contextmanager
def _named(filename: str) -> Iterator[None]:
    """Let a refusal in the block name the file as its sender does, and not where it lies meanwhile."""
    try:
        yield
    except UploadRefused as error:
        raise UploadRefused(filename, error.what, error.remedy, code=error.code) from error


def _holds(path: Path, size: int, sha256: str) -> bool:
    """Whether a file is there with these bytes; anything else of that name is not it."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    return sha256_file(path) == sha256
