"""Files of ours that nobody names: how they are recognized, and why each is one.

Only files whose names are of the kinds that we write are ever looked at; whatever else lies there is somebody else's.
What does not belong here: what the database names (``named``), when strays are removed, and by whom (``orphans``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bri_assets.errors import ArchiveDamaged, StagedDamaged, StagedMissing
from bri_assets.schemas import FRAMES, STAGED_TABLES
from bri_assets.staging import StagingArea
from bri_assets.store.archives.archived import FOLDER, image_paths
from bri_assets.store.archives.named import NamedArchive, NamedFiles

__all__ = [
    "Findings",
    "LeftAlone",
    "Listing",
    "Orphan",
    "Search",
    "archive_folders",
    "listing_of",
    "names_in",
    "video_ids",
]

_VIDEO_ID = re.compile(r"[a-z0-9-]+")
_STAGED = re.compile(rf"({'|'.join(STAGED_TABLES)})-[0-9a-f]{{12}}\.(parquet|json)")
_IMAGE = re.compile(r"[0-9]+-[0-9a-f]{12}\.jpg")
_ARCHIVED = re.compile(r"[^.].*\.parquet")
#: What ``files.write_atomically`` leaves of a write that was cut off, and ``bri ingest --copy`` among the uploads.
_PART = re.compile(r"\.[^.]+\.part")
_COPY = re.compile(r"\.copy-[^.]+\.part")

_CUT_OFF = "leftover of a write that was cut off"


@dataclass(frozen=True)
class Orphan:
    """A file that no version names.

    Args:
        path: relative to BRI_HOME.
        size_bytes: >= 0.
        changed_at: when it was last changed, UTC.
        why: what it is.
    """

    path: str
    size_bytes: int
    changed_at: datetime
    why: str


@dataclass(frozen=True)
class LeftAlone:
    """A video, some files of which may be orphans, but which is left alone; and why."""

    video_id: str
    why: str


@dataclass
class Findings:
    """What a search found.

    Args:
        orphans: what may be removed.
        awaiting_backups: archived rows that are in the database again, but may be named by a backup that is kept.
        left_alone: videos that may have orphans, but are in the middle of something, or cannot be judged.
    """

    orphans: list[Orphan] = field(default_factory=list)
    awaiting_backups: list[Orphan] = field(default_factory=list)
    left_alone: list[LeftAlone] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """Size of the orphans together."""
        return sum(orphan.size_bytes for orphan in self.orphans)


@dataclass(frozen=True)
class Listing:
    """Names of files in the two folders of a video."""

    staged: frozenset[str]
    images: frozenset[str]


def video_ids(home: Path) -> list[str]:
    """The videos that have a folder of staged files or of images."""
    found = {name for folder in ("staged", "frames") for name in names_in(home / folder, folders=True)}
    return sorted(filter(is_video_id, found))


def is_video_id(name: str) -> bool:
    """Whether a folder of that name may be a video's."""
    return _VIDEO_ID.fullmatch(name) is not None


def listing_of(home: Path, video_id: str) -> Listing:
    """What lies in the folders of a video."""
    return Listing(
        frozenset(names_in(home / "staged" / video_id)),
        frozenset(names_in(home / "frames" / video_id)),
    )


def archive_folders(home: Path) -> list[str]:
    """The folders of the archive that hold files, relative to BRI_HOME, each of one table and month."""
    return [
        f"{FOLDER}/{table}/{month}"
        for table in sorted(names_in(home / FOLDER, folders=True))
        for month in sorted(names_in(home / FOLDER / table, folders=True))
    ]


class Search:
    """One search: what it finds collects in ``found``.

    Args:
        home: BRI_HOME.
        staging: the staging area.
        older_than_s: least age of an orphan since it was changed, in seconds, >= 0.
        seen: when each path was first reported, by an earlier search.
        now: the time of the search.
    """

    def __init__(
        self, home: Path, staging: StagingArea, older_than_s: float, seen: Mapping[str, datetime], now: datetime
    ) -> None:
        self._home, self._staging, self._seen, self._now = home, staging, seen, now
        self._oldest = now.timestamp() - older_than_s
        self.found = Findings()

    def video(self, listing: Listing, named: NamedFiles) -> None:
        """Judge the files of a video; those that were listed before it was asked what the database names."""
        video_id = named.video_id
        staged, images = f"staged/{video_id}", f"frames/{video_id}"
        strays = self._old(staged, _kind(_STAGED, listing.staged - set(named.staged)), "staged, never committed")
        strays += self._old(images, _kind(_IMAGE, listing.images - set(named.images)), "image that no version shows")
        strays += self._old(staged, _kind(_PART, listing.staged), _CUT_OFF)
        strays += self._old(images, _kind(_PART, listing.images), _CUT_OFF)
        if not strays:
            return
        try:
            why = named.busy or self._under_way(video_id)
            kept = set() if why else self._kept(named, any(_IMAGE.search(orphan.path) for orphan in strays))
        except (ArchiveDamaged, StagedDamaged, StagedMissing) as error:
            why, kept = f"what it needs cannot be told: {error}", set()
        if why:
            self.found.left_alone.append(LeftAlone(video_id, why))
        else:
            self.found.orphans += [orphan for orphan in strays if orphan.path not in kept]

    def archive(self, folder: str, names: Iterable[str], named: NamedArchive) -> None:
        """Judge the files in a folder of the archive."""
        listed, known = set(names), set(named.files)
        unnamed = {name for name in _kind(_ARCHIVED, listed) if f"{folder}/{name}" not in known}
        for orphan in self._old(folder, unnamed, "archive file that no archived version names"):
            # A backup that was made since it is unnamed does not name it either; an earlier one may.
            unnamed_since = self._seen.get(orphan.path, self._now)
            wanted = named.oldest_backup is not None and named.oldest_backup <= unnamed_since
            (self.found.awaiting_backups if wanted else self.found.orphans).append(orphan)
        self.found.orphans += self._old(folder, _kind(_PART, listed), _CUT_OFF)

    def leftovers(self) -> None:
        """Look for leftovers where files of no video are written."""
        for folder, kind in (("staged", _PART), ("uploads", _COPY)):
            self.found.orphans += self._old(folder, _kind(kind, names_in(self._home / folder)), _CUT_OFF)

    def _old(self, folder: str, names: Iterable[str], why: str) -> list[Orphan]:
        return [
            Orphan(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC), why)
            for path, status in self._looked_at(folder, names)
            if status.st_mtime <= self._oldest
        ]

    def _looked_at(self, folder: str, names: Iterable[str]) -> Iterator[tuple[str, os.stat_result]]:
        """What is there of these files, which somebody may remove meanwhile."""
        for name in sorted(names):
            with suppress(FileNotFoundError):
                yield f"{folder}/{name}", os.stat(self._home / folder / name, follow_symlinks=False)

    def _under_way(self, video_id: str) -> str:
        """A table that is made again rewrites its newest manifest, also where its rows stay the same."""
        newest = self._looked_at(f"staged/{video_id}", (f"{table}.json" for table in STAGED_TABLES))
        lately = any(status.st_mtime > self._oldest for _, status in newest)
        return "it was staged again lately" if lately else ""

    def _kept(self, named: NamedFiles, with_images: bool) -> set[str]:
        """Paths that are in use though no row in the database names them.

        Raises:
            ArchiveDamaged, StagedDamaged, StagedMissing: what names them cannot be read.
        """
        kept: set[str] = set()
        folder = self._home / "staged" / named.video_id
        for table in STAGED_TABLES:
            if (folder / f"{table}.json").exists():
                manifest = self._staging.newest(named.video_id, table)
                names = (manifest.file, f"{table}-{manifest.digest[:12]}.json")
                kept.update(f"staged/{named.video_id}/{name}" for name in names)
                if with_images and table == FRAMES.name:
                    kept.update(self._staging.read(manifest)["image_path"].tolist())
        for frames in named.archived_frames if with_images else ():
            kept.update(image_paths(self._home, frames))
        return kept


def _kind(pattern: re.Pattern[str], names: Iterable[str]) -> list[str]:
    return [name for name in names if pattern.fullmatch(name)]


def names_in(folder: Path, *, folders: bool = False) -> list[str]:
    """Names of what is in a folder, which need not exist: files, or folders."""
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in entries
                if (entry.is_dir(follow_symlinks=False) if folders else entry.is_file(follow_symlinks=False))
            ]
    except FileNotFoundError:
        return []
