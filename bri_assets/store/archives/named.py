"""Which files the database names, by video: the staged files and images of its versions, and what is to be left alone.

What does not belong here: what lies on disk, and which of it nobody needs (``orphans``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

import duckdb

from bri_assets.store.archives.archived import ArchivedFile

__all__ = ["NamedArchive", "NamedFiles", "archive_files", "named"]


@dataclass(frozen=True)
class NamedFiles:
    """What the database names of one video; of a video that it does not know, nothing.

    Args:
        video_id: the video.
        busy: why everything of it is to be left alone; empty where nothing is under way.
        staged: names in its folder of the staging area.
        images: names in its folder of frame images, of all versions with rows in the database.
        archived_frames: where the frames of its archived versions lie.
    """

    video_id: str
    busy: str
    staged: list[str]
    images: list[str]
    archived_frames: list[ArchivedFile]


@dataclass(frozen=True)
class NamedArchive:
    """What the database names of one folder of the archive.

    Args:
        files: the files in it that hold rows of archived versions, relative to BRI_HOME.
        oldest_backup: when the oldest backup was made that is still kept, None where there is none.
    """

    files: list[str]
    oldest_backup: datetime | None


def named(connection: duckdb.DuckDBPyConnection, video_ids: Sequence[str]) -> dict[str, NamedFiles]:
    """What is named of each of these videos: four queries, however many they are."""
    found = {video_id: NamedFiles(video_id, "", [], [], []) for video_id in video_ids}
    values = {"ids": list(video_ids)}
    for video_id, staged_file, table, digest in connection.execute(_STAGED, values).fetchall():
        found[video_id].staged.extend((PurePosixPath(staged_file).name, f"{table}-{digest[:12]}.json"))
    for video_id, image_path in connection.execute(_IMAGES, values).fetchall():
        found[video_id].images.append(PurePosixPath(image_path).name)
    for video_id, *file in connection.execute(_ARCHIVED_FRAMES, values).fetchall():
        found[video_id].archived_frames.append(ArchivedFile(*file))
    for video_id, why in connection.execute(_BUSY, values).fetchall():
        of_video = found[video_id]
        found[video_id] = NamedFiles(video_id, why, of_video.staged, of_video.images, of_video.archived_frames)
    return found


def archive_files(connection: duckdb.DuckDBPyConnection, folder: str) -> NamedArchive:
    """What is named of a folder of the archive, which is given relative to BRI_HOME."""
    query = "SELECT file FROM archived_tables WHERE starts_with(file, ?)"
    files = [file for (file,) in connection.execute(query, [f"{folder}/"]).fetchall()]
    backup = connection.execute("SELECT min(created_at) FROM backups WHERE expired_at IS NULL").fetchone()
    return NamedArchive(files, backup[0] if backup else None)


_STAGED = """
SELECT n.video_id, l.staged_file, l.table_name, l.manifest_sha256
FROM lineage l JOIN video_versions n USING (version_id) WHERE n.video_id IN (SELECT unnest($ids::VARCHAR[]))
"""

_IMAGES = """
SELECT DISTINCT n.video_id, f.image_path
FROM frames f JOIN video_versions n USING (version_id) WHERE n.video_id IN (SELECT unnest($ids::VARCHAR[]))
"""

_ARCHIVED_FRAMES = """
SELECT n.video_id, a.table_name, a.file, a.file_sha256, a.row_count
FROM archived_tables a JOIN video_versions n USING (version_id)
WHERE a.table_name = 'frames' AND n.video_id IN (SELECT unnest($ids::VARCHAR[]))
"""

_BUSY = """
SELECT video_id, min(why) FROM (
    SELECT video_id, 'its upload is ' || state AS why FROM uploads WHERE state IN ('ingesting', 'failed')
    UNION ALL SELECT video_id, 'it is being purged' FROM purges WHERE finished_at IS NULL
) WHERE video_id IN (SELECT unnest($ids::VARCHAR[])) GROUP BY video_id
"""
