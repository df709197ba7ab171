"""Orphans: files that no version names, reported first and removed later.

A report says what could be removed; what is removed was reported before and is judged again, while nobody else writes
to the store, right before it is. What does not belong here: what makes a file an orphan (``strays``), and rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import duckdb
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from bri_assets.errors import StorageFailed
from bri_assets.files import sha256_bytes, write_atomically
from bri_assets.store import audit
from bri_assets.store.access.connection import transaction
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.archives.archived import FOLDER
from bri_assets.store.archives.named import NamedArchive, NamedFiles, archive_files, named
from bri_assets.store.archives.strays import (
    Findings,
    Listing,
    Orphan,
    Search,
    archive_folders,
    is_video_id,
    listing_of,
    names_in,
    video_ids,
)

__all__ = ["Orphans", "OrphansRemoved", "Sweep"]

#: Videos that one question to the database is about.
_VIDEOS = 500

#: Files that are removed while the database is held once.
_FILES = 1000

#: When each path was first reported.
_MEMORY = TypeAdapter(dict[str, AwareDatetime])


@dataclass(frozen=True)
class OrphansRemoved:
    """What was removed.

    Args:
        paths: the files, relative to BRI_HOME.
        size_bytes: their size together.
        kept: what was to be removed, but is gone already or is no orphan any more.
    """

    paths: list[str]
    size_bytes: int
    kept: list[str]


@dataclass(frozen=True)
class Sweep:
    """What a scheduled sweep did: what it removed, and what it reports, of which the next ones may remove."""

    removed: OrphansRemoved
    remaining: Findings


class Orphans(Operations):
    """The search for orphans of one BRI_HOME; see ``Operations``, whose errors its methods raise."""

    def report(self, older_than_hours: float) -> Findings:
        """Look for orphans; changes nothing.

        Args:
            older_than_hours: least time since a file was changed, in hours, >= 0.

        Raises:
            OSError: a folder cannot be listed.
        """
        search = self._search(older_than_hours)
        ids = video_ids(self.home)
        for start in range(0, len(ids), _VIDEOS):
            # Listed before the database is asked: what is committed in between was not listed.
            listings = {video_id: listing_of(self.home, video_id) for video_id in ids[start : start + _VIDEOS]}
            for video_id, of_video in self.named(list(listings)).items():
                search.video(listings[video_id], of_video)
        for folder in archive_folders(self.home):
            search.archive(folder, names_in(self.home / folder), self.named_archive(folder))
        search.leftovers()
        return search.found

    def remove(self, paths: Iterable[str], older_than_hours: float, *, channel: str) -> OrphansRemoved:
        """Remove files that a report named, as far as they are orphans still.

        Args:
            paths: relative to BRI_HOME, as reported.
            older_than_hours: as for the report.
            channel: the way in, for the audit log.

        Raises:
            StorageFailed: the file system refused.
        """
        asked = sorted(set(paths))
        done = [
            self.remove_some(asked[start : start + _FILES], older_than_hours, channel=channel)
            for start in range(0, len(asked), _FILES)
        ]
        return OrphansRemoved(
            [path for part in done for path in part.paths],
            sum(part.size_bytes for part in done),
            [path for part in done for path in part.kept],
        )

    def sweep(self, older_than_hours: float, *, channel: str) -> Sweep:
        """Remove what an earlier sweep reported at least so many hours ago, then report and remember the rest.

        Args:
            older_than_hours: least time since a file was changed, and since it was first reported, in hours, >= 0.
            channel: the way in, for the audit log.

        Raises:
            StorageFailed: the file system refused.
        """
        found, seen, now = self.report(older_than_hours), self._seen(), datetime.now(UTC)
        long_ago = now - timedelta(hours=older_than_hours)
        due = {orphan.path for orphan in found.orphans if orphan.path in seen and seen[orphan.path] <= long_ago}
        removed = self.remove(due, older_than_hours, channel=channel)
        remaining = replace(found, orphans=[orphan for orphan in found.orphans if orphan.path not in due])
        reported = [orphan.path for orphan in (*remaining.orphans, *remaining.awaiting_backups)]
        write_atomically(self._memory, _MEMORY.dump_json({path: seen.get(path, now) for path in reported}, indent=1))
        return Sweep(removed, remaining)

    @operation()
    def named(self, ids: list[str]) -> dict[str, NamedFiles]:
        """What the database names of these videos."""
        with self.file.reading() as connection:
            return named(connection, ids)

    @operation()
    def named_archive(self, folder: str) -> NamedArchive:
        """What the database names of a folder of the archive, given relative to BRI_HOME."""
        with self.file.reading() as connection:
            return archive_files(connection, folder)

    @operation()
    def remove_some(self, paths: list[str], older_than_hours: float, *, channel: str) -> OrphansRemoved:
        """Remove so few files that others can wait for it; see ``remove``.

        It is recorded before it is done: nothing is ever removed without a record.
        """
        with self.file.open() as connection:
            orphans = self._still(connection, paths, older_than_hours)
            if orphans:
                with transaction(connection):
                    _record(connection, orphans, audit.actor(channel))
            for orphan in orphans:
                _unlink(self.home / orphan.path)
        removed = [orphan.path for orphan in orphans]
        size_bytes = sum(orphan.size_bytes for orphan in orphans)
        return OrphansRemoved(removed, size_bytes, sorted(set(paths) - set(removed)))

    def _still(self, connection: duckdb.DuckDBPyConnection, paths: list[str], older_than_hours: float) -> list[Orphan]:
        """Which of these are orphans now."""
        search, asked = self._search(older_than_hours), set(paths)
        of_videos, of_archive = set[str](), set[str]()
        for path in map(PurePosixPath, paths):
            match path.parts:
                case ("staged" | "frames", video_id, _) if is_video_id(video_id):
                    of_videos.add(video_id)
                case (folder, _, _, _) if folder == FOLDER:
                    of_archive.add(str(path.parent))
        listings = {video_id: self._asked(video_id, asked) for video_id in of_videos}
        for video_id, of_video in named(connection, list(listings)).items():
            search.video(listings[video_id], of_video)
        for folder in of_archive & set(archive_folders(self.home)):
            names = [name for name in names_in(self.home / folder) if f"{folder}/{name}" in asked]
            search.archive(folder, names, archive_files(connection, folder))
        search.leftovers()
        found = (orphan for orphan in search.found.orphans if orphan.path in asked)
        return sorted(found, key=lambda orphan: orphan.path)

    def _asked(self, video_id: str, asked: set[str]) -> Listing:
        listing = listing_of(self.home, video_id)
        return Listing(
            frozenset(name for name in listing.staged if f"staged/{video_id}/{name}" in asked),
            frozenset(name for name in listing.images if f"frames/{video_id}/{name}" in asked),
        )

    def _search(self, older_than_hours: float) -> Search:
        return Search(self.home, self.staging, older_than_hours * 3600, self._seen(), datetime.now(UTC))

    @property
    def _memory(self) -> Path:
        return self.staging.root / "orphans.json"

    def _seen(self) -> dict[str, datetime]:
        """When each path was first reported by a sweep.

        A memory that cannot be read is none: then everything is reported anew before anything of it is removed.
        """
        if not self._memory.exists():
            return {}
        try:
            return _MEMORY.validate_json(self._memory.read_bytes())
        except ValidationError:
            return {}


def _record(connection: duckdb.DuckDBPyConnection, orphans: Sequence[Orphan], who: str) -> None:
    paths = "\n".join(sorted(orphan.path for orphan in orphans))
    digest = sha256_bytes(paths.encode())
    audit.record(
        connection,
        who=who,
        action="orphans.removed",
        entity="files",
        entity_id=digest[:16],
        rows_sha256=digest,
        detail={
            "files": len(orphans),
            "size_bytes": sum(orphan.size_bytes for orphan in orphans),
            "kinds": dict(Counter(orphan.why for orphan in orphans)),
        },
    )


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        what = f"is an orphan, but cannot be removed: {error.strerror}."
        raise StorageFailed(path, what, "Give the account that runs BRI permission to write in that folder.") from error
