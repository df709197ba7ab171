"""What a file must show before it becomes a video.

Whoever brings a file (the sensor, the command line) has it looked at and admitted here. What does not belong here:
running anything on it (``runs``) and Dagster's view of it (``sensors``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from slugify import slugify

from bri_assets.errors import StagedMissing, UploadRefused
from bri_assets.media.fingerprint import Signature, fingerprint
from bri_assets.media.probe import probe
from bri_assets.staging import Source, StagingArea
from bri_assets.store import Claim, ClaimResult, NewUpload, Store

__all__ = [
    "Admission",
    "Examined",
    "Intake",
    "examine",
    "is_passed_over",
    "is_settled",
    "scan",
    "unseen",
    "video_id_of",
]

#: Names that programs give to files which they are still writing.
_UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".tmp")

_MOST_SLUG = 60


@dataclass(frozen=True)
class Examined:
    """A file that was looked at: what is known of it, and why it is refused if it is."""

    upload: NewUpload
    refusal: UploadRefused | None


@dataclass(frozen=True)
class Admission:
    """What became of a file: a claim on its video, or the refusal that quarantined it."""

    upload: NewUpload
    claim: Claim | None
    refusal: UploadRefused | None


def scan(folder: Path) -> Iterator[Path]:
    """The files below a folder that may be uploads, by name; hidden and unfinished ones (``.part`` …) are passed over.

    A folder below it that cannot be listed is yielded itself, to be refused by ``examine``: it stops no other.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    closed: list[Path] = []

    def note(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise error
        closed.append(Path(error.filename))

    for root, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not is_passed_over(name) and path.is_file():
                yield path
    yield from closed


def is_passed_over(name: str) -> bool:
    """Whether no file of that name is an upload: it is hidden, or still being written by whoever names files so."""
    return name.startswith(".") or name.lower().endswith(_UNFINISHED)


def is_settled(path: Path, settle_s: float) -> bool:
    """Whether a file was left alone for ``settle_s`` seconds.

    Judged by the inode's change time, which no program can set: a copy that keeps the original's date does not look
    old. A change time in the future means that the clock was set back, not that somebody writes.

    Raises:
        FileNotFoundError: it is gone.
    """
    age_s = time.time() - path.stat().st_ctime
    return age_s >= settle_s or age_s < -max(settle_s, 1.0)


def video_id_of(filename: str, sha256: str) -> str:
    """A video's id: a slug of the name, at most 60 characters, and 12 hex digits of the content's hash."""
    slug = slugify(Path(filename).stem, max_length=_MOST_SLUG, word_boundary=True)
    return f"{slug or 'video'}-{sha256[:12]}"


def examine(path: Path) -> Examined:
    """Look at a file: hash it, and see whether it is a video.

    Args:
        path: absolute.

    Returns:
        What is known of it; a file that is no video has a refusal.

    Raises:
        UploadChanged: it changed meanwhile, so somebody is still writing it.
        FileNotFoundError: it is gone.
    """
    size, sha256, video_id, refusal = path.lstat().st_size, None, None, None
    signature = _looked_at(path)
    try:
        _require_name_and_kind(path)
        sha256, found = fingerprint(path)
        size, signature = found.size, str(found)
        probe(path)
        video_id = video_id_of(path.name, sha256)
    except UploadRefused as error:
        refusal = error
    return Examined(NewUpload(_text(str(path)), _text(path.name), signature, size, sha256, video_id), refusal)


@dataclass(frozen=True)
class Intake:
    """Admits files: quarantines what is no video, and claims what is.

    Args:
        store: where uploads are recorded.
        staging: where an accepted video's assets find their file.
    """

    store: Store
    staging: StagingArea

    def admit(self, examined: Examined, *, requested_by: str, priority: int = 0) -> Admission:
        """Record a file that was looked at, and claim its video unless that is ingested, committed or deleted already.

        Of a video that was purged, only a person's wish makes a new one; otherwise the file is refused (code
        ``purged``).

        Raises:
            StoreBusy: the store is held by another process.
            StorageFailed: the disk refused.
        """
        upload, refusal = examined.upload, examined.refusal
        if refusal is not None:
            reason = f"{refusal.what} {refusal.remedy}".strip()
            self.store.quarantine(upload, code=refusal.code, reason=reason, requested_by=requested_by)
            return Admission(upload, None, refusal)
        claim = self.store.claim(upload, requested_by=requested_by, priority=priority)
        if claim.result is ClaimResult.PURGED:
            return Admission(upload, None, UploadRefused(upload.path, claim.reason or "was purged.", code="purged"))
        if claim.result is ClaimResult.DELETED:
            return Admission(upload, claim, None)
        if claim.result is ClaimResult.INGEST or self._lost_its_file(claim.video_id):
            self._accept(upload, claim.video_id)
        return Admission(upload, claim, None)

    def _accept(self, upload: NewUpload, video_id: str) -> None:
        self.staging.accept(
            Source(
                video_id=video_id,
                path=upload.path,
                filename=upload.filename,
                sha256=upload.sha256 or "",
                signature=upload.signature,
            )
        )

    def _lost_its_file(self, video_id: str) -> bool:
        try:
            return not Path(self.staging.source(video_id).path).exists()
        except StagedMissing:
            return True


def unseen(paths: Iterable[Path], seen: dict[str, str], settle_s: float) -> Iterator[Path]:
    """Those files that are settled and were not looked at as they are now.

    Args:
        paths: absolute.
        seen: signature by path, as ``Store.seen`` gives it.
        settle_s: see ``is_settled``.
    """
    for path in paths:
        try:
            if seen.get(_text(str(path))) != _looked_at(path) and is_settled(path, settle_s):
                yield path
        except FileNotFoundError:
            # Taken away between the listing and the look: then it is no upload.
            continue


def _looked_at(path: Path) -> str:
    """What tells whether something changed since it was looked at; of what is no file, only that it is none."""
    try:
        return str(Signature.of(path))
    except UploadRefused as error:
        if error.code == "missing":
            raise FileNotFoundError(str(path)) from error
        return error.code


def _require_name_and_kind(path: Path) -> None:
    if path.is_dir():
        remedy = "Give the account that runs the ingest permission to list it, or move its files."
        raise UploadRefused(_text(str(path)), "the folder cannot be listed.", remedy, code="unreadable")
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        what = "its name or a folder's is not UTF-8, so neither the database nor a web page can hold it."
        raise UploadRefused(_text(str(path)), what, "Rename it and bring it again.", code="bad_name") from error


def _text(name: str) -> str:
    # File names are bytes; those that are not UTF-8 are kept readable, for neither JSON nor DuckDB takes surrogates.
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
