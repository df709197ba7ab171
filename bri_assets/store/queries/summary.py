"""A video in a few lines, made of facts only: how long it is, what is seen when, and how its speech begins.

What does not belong here: scenes (``scenes``), and anything that is not in a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from bri_assets.store.queries import facts, intervals
from bri_assets.store.queries.model import ClassSeen, ObjectsInVideo
from bri_assets.store.queries.rows import numbers, records
from bri_assets.store.queries.sources import Shown

__all__ = ["summaries"]

#: What a summary names at most: classes, intervals of each, and letters of what is said.
_CLASSES, _INTERVALS, _LETTERS = 6, 3, 200

_WORDS = f"""
SELECT version_id, left(string_agg(trim(text), ' ' ORDER BY segment_index), {_LETTERS} + 1) AS words
FROM transcripts WHERE version_id IN ({{ids}}) AND segment_index < {_LETTERS} GROUP BY version_id
"""  # noqa: S608 - our own number


def summaries(
    connection: duckdb.DuckDBPyConnection, videos: Sequence[Shown], scenes: Mapping[int, int]
) -> dict[int, str]:
    """What each video is, in short, by version.

    Args:
        connection: an open store.
        videos: the versions.
        scenes: how many each has, by version.
    """
    ids = [video.version_id for video in videos]
    classes, languages = facts.classes(connection, ids), facts.languages(connection, ids)
    named = {number: [seen.class_name for seen in classes[number][:_CLASSES]] for number in ids}
    seen = intervals.of_each(connection, videos, named)
    statement = _WORDS.format(ids=numbers(ids))
    words = {row["version_id"]: row["words"] for row in records(connection.execute(statement))}
    return {
        video.version_id: "\n".join(
            (
                _file(video, scenes[video.version_id]),
                _seen(seen[video.version_id], classes[video.version_id]),
                _said(video, languages[video.version_id], words.get(video.version_id, "")),
            )
        )
        for video in videos
    }


def _file(video: Shown, scenes: int) -> str:
    row = video.row
    sound = "with sound" if row["has_audio"] else "without sound"
    return (
        f"{row['filename']} is {video.duration_s:.1f} s long, {row['width']}x{row['height']} pixels, {sound};"
        f" {_count(row['frames'], 'frame')} sampled every {row['sample_interval_s']:g} s, {_count(scenes, 'scene')}."
    )


def _seen(found: Sequence[ObjectsInVideo], classes: Sequence[ClassSeen]) -> str:
    if not classes:
        return "The detector sees no objects in it."
    named = "; ".join(f"{one.class_names[0]} {_times(one)}" for one in found)
    left = len(classes) - len(found)
    return f"Seen: {named}" + (f"; and {_count(left, 'other class', 'other classes')}." if left > 0 else ".")


def _times(one: ObjectsInVideo) -> str:
    told = ", ".join(f"{interval.start_s:.1f}–{interval.end_s:.1f} s" for interval in one.intervals[:_INTERVALS])
    left = len(one.intervals) - _INTERVALS
    if left <= 0:
        return told
    more = "more than " if one.cut else ""
    return f"{told} and {more}{_count(left, 'more time')} up to {one.intervals[-1].end_s:.1f} s"


def _said(video: Shown, languages: Sequence[str], words: str) -> str:
    if not video.row["has_audio"]:
        return "Nothing is said: it has no sound."
    if not words:
        return "Nothing is said in it."
    said = words if len(words) <= _LETTERS else words[:_LETTERS].rsplit(" ", 1)[0] + " …"
    return f"Spoken ({', '.join(languages)}): “{said}”"


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"
