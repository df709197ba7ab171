"""What stands about a video as a whole: facts, counts, classes, languages.

What does not belong here: rows of frames, captions, segments and detections.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb

from bri_assets.store.queries.model import ClassSeen, Counts, VideoFacts
from bri_assets.store.queries.rows import Row, numbers, records
from bri_assets.store.queries.sources import shown

__all__ = ["classes", "counts", "facts", "languages"]

_FACTS = tuple(name for name in VideoFacts.model_fields if name not in ("source", "classes", "languages"))
_COUNTS = ("frames", "captions", "transcript_segments", "detections", "transcript_outcome")


def facts(connection: duckdb.DuckDBPyConnection, video_ids: Sequence[str]) -> list[VideoFacts]:
    """The facts of each video; see ``Queries.facts``."""
    videos = shown(connection, video_ids)
    ids = [video.version_id for video in videos.values()]
    seen, spoken = classes(connection, ids), languages(connection, ids)
    found = {
        video_id: VideoFacts(
            source=video.source,
            classes=seen[video.version_id],
            languages=spoken[video.version_id],
            **{name: video.row[name] for name in _FACTS},
        )
        for video_id, video in videos.items()
    }
    return [found[video_id] for video_id in video_ids]


def counts(connection: duckdb.DuckDBPyConnection, video_ids: Sequence[str] | None) -> list[Counts]:
    """Rows by table; see ``Queries.counts``."""
    videos = shown(connection, video_ids)
    found = {
        video_id: Counts(
            source=video.source, complete=_complete(video.row), **{name: video.row[name] for name in _COUNTS}
        )
        for video_id, video in videos.items()
    }
    return list(found.values()) if video_ids is None else [found[video_id] for video_id in video_ids]


def classes(connection: duckdb.DuckDBPyConnection, version_ids: Iterable[int]) -> dict[int, list[ClassSeen]]:
    """What the detector saw, by version; the class in most frames first."""
    ids = list(version_ids)
    found: dict[int, list[ClassSeen]] = {version_id: [] for version_id in ids}
    statement = f"""
        SELECT version_id, class_name, frames, detections, first_s, last_s FROM video_class_stats
        WHERE version_id IN ({numbers(ids)}) ORDER BY version_id, frames DESC, class_name"""  # noqa: S608 - our own numbers
    for row in records(connection.execute(statement)):
        found[row.pop("version_id")].append(ClassSeen(**row))
    return found


def languages(connection: duckdb.DuckDBPyConnection, version_ids: Iterable[int]) -> dict[int, list[str]]:
    """Languages that are spoken, by version; that of most segments first."""
    ids = list(version_ids)
    found: dict[int, list[str]] = {version_id: [] for version_id in ids}
    statement = f"""
        SELECT version_id, language FROM transcripts WHERE version_id IN ({numbers(ids)})
        GROUP BY version_id, language ORDER BY version_id, count(*) DESC, language"""  # noqa: S608 - our own numbers
    for version_id, language in connection.execute(statement).fetchall():
        found[version_id].append(language)
    return found


def _complete(row: Row) -> bool:
    filled = row["frames"] + len(row["empty_slots"]) == row["sample_slots"]
    return bool(filled and row["frames"] == row["captions"])
