"""The library: every upload and what became of it, newest first.

It has an entry for each upload that `bri status` shows, and one for each committed video that no upload is known of. Of
deleted videos it tells only to who asks for them, and only their names. What does not belong here: one video.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from bri_assets.store.queries.cursors import AtVideo, decode, encode
from bri_assets.store.queries.model import Library, LibraryEntry, LibraryFilter
from bri_assets.store.queries.rows import Row, numbers, records

__all__ = ["LOOKED_THROUGH", "library"]

#: Entries whose captions and speech one page looks through for a text. Where there are more, the page may have fewer
#: entries than asked for, or none, and its cursor goes on: what a page costs does not grow with the library.
LOOKED_THROUGH = 1000

_ENTRIES = """
WITH refused AS (
    SELECT * FROM uploads WHERE state NOT IN ('committed', 'ingesting')
), uploaded AS (
    SELECT * FROM uploads WHERE state IN ('committed', 'ingesting')
    UNION ALL
    SELECT r.* FROM refused r
    WHERE updated_at >= (SELECT max(updated_at) FROM uploads u WHERE u.path = r.path)
), known AS (
    SELECT upload_id, video_id, filename, state, code, reason, created_at AS arrived_at, upload_id AS identity
    FROM uploaded
    UNION ALL
    SELECT NULL, video_id, filename, 'committed', NULL, NULL, created_at, video_id
    FROM videos SEMI JOIN current_versions USING (video_id) ANTI JOIN uploads USING (video_id)
), live AS (
    SELECT video_id, version_id, duration_s, has_audio FROM videos JOIN current_versions USING (video_id)
    WHERE deleted_at IS NULL
), gone AS (
    SELECT video_id, true AS is_deleted FROM videos WHERE deleted_at IS NOT NULL
), entry AS (
    SELECT upload_id, k.video_id, filename, arrived_at, identity, epoch_us(arrived_at) AS arrived_us,
           CASE WHEN is_deleted THEN 'deleted' ELSE state END AS state,
           CASE WHEN is_deleted THEN NULL ELSE code END AS code,
           CASE WHEN is_deleted THEN NULL ELSE reason END AS reason, version_id, duration_s, has_audio
    FROM known k LEFT JOIN live ON live.video_id = k.video_id LEFT JOIN gone ON gone.video_id = k.video_id
), wanted AS (
    SELECT * FROM entry
    WHERE coalesce(state = $state, state <> 'deleted')
      AND ($arrived_after IS NULL OR arrived_at >= $arrived_after::TIMESTAMPTZ)
      AND ($arrived_before IS NULL OR arrived_at < $arrived_before::TIMESTAMPTZ)
      AND ($arrived_us IS NULL OR (arrived_us, identity) < ($arrived_us::BIGINT, $identity::VARCHAR))
      AND ($class_name IS NULL OR version_id IN (SELECT version_id FROM video_class_stats
                                                 WHERE class_name = $class_name))
    ORDER BY arrived_us DESC, identity DESC LIMIT $most
)
SELECT w.*, n.version, n.committed_at, n.frames, n.captions, n.transcript_segments, n.detections,
       coalesce(contains(lower(w.filename), lower($text::VARCHAR)), true) AS named
FROM wanted w LEFT JOIN video_versions n ON n.version_id = w.version_id
ORDER BY arrived_us DESC, identity DESC
"""

_SAY = """
SELECT version_id FROM captions
WHERE version_id BETWEEN $first AND $last AND version_id IN ({ids}) AND contains(lower(text), lower($text))
UNION
SELECT version_id FROM transcripts
WHERE version_id BETWEEN $first AND $last AND version_id IN ({ids}) AND contains(lower(text), lower($text))
"""

_NOT_TOLD = {"identity", "arrived_us", "named"}


def library(connection: duckdb.DuckDBPyConnection, wanted: LibraryFilter) -> Library:
    """A page of the library; see ``Queries.library``."""
    question = {"kind": "library", **wanted.model_dump(mode="json", exclude={"limit", "cursor"})}
    place = None if wanted.cursor is None else decode(wanted.cursor, question, AtVideo)
    most = wanted.limit if wanted.text is None else max(wanted.limit, LOOKED_THROUGH)
    found = records(connection.execute(_ENTRIES, _parameters(wanted, place, most + 1)))
    looked = found[:most]
    if wanted.text is not None:
        say = _that_say(connection, [row for row in looked if not row["named"]], wanted.text)
        matching = [row for row in looked if row["named"] or row["version_id"] in say]
    else:
        matching = looked
    end = _end(matching, looked, wanted.limit, more=len(found) > most)
    return Library(
        items=[_entry(row) for row in matching[: wanted.limit]],
        next_cursor=None if end is None else encode(question, end),
    )


def _parameters(wanted: LibraryFilter, place: AtVideo | None, most: int) -> dict[str, Any]:
    return {
        **wanted.model_dump(include={"state", "arrived_after", "arrived_before", "class_name", "text"}),
        "arrived_us": place and place.arrived_us,
        "identity": place and place.identity,
        "most": most,
    }


def _that_say(connection: duckdb.DuckDBPyConnection, found: Sequence[Row], text: str) -> set[int]:
    """Versions in which a caption or a segment has a text."""
    ids = [row["version_id"] for row in found if row["version_id"] is not None]
    asked = {"text": text, "first": min(ids, default=0), "last": max(ids, default=0)}
    return {version_id for (version_id,) in connection.execute(_SAY.format(ids=numbers(ids)), asked).fetchall()}


def _end(matching: Sequence[Row], looked: Sequence[Row], limit: int, *, more: bool) -> AtVideo | None:
    """Where the page ends: at its last entry if more match, else at the last that was looked at."""
    if len(matching) > limit:
        last = matching[limit - 1]
    elif more:
        last = looked[-1]
    else:
        return None
    return AtVideo(arrived_us=last["arrived_us"], identity=last["identity"])


def _entry(row: Row) -> LibraryEntry:
    return LibraryEntry(**{name: value for name, value in row.items() if name not in _NOT_TOLD})
