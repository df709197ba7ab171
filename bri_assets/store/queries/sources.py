"""Which version of which video is read: the first statement of nearly every read.

What does not belong here: rows of a version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from bri_assets.errors import RangeWrong, VersionNotFound, VideoNotFound
from bri_assets.store.queries.model import Source, State, VisibleVersion
from bri_assets.store.queries.rows import Row, records, source

__all__ = [
    "Shown",
    "of_versions",
    "require_version",
    "require_within",
    "resolve",
    "shown",
    "shown_versions",
    "state",
    "visible",
]

#: A time may be past the end by this much, for whoever rounds the length of a video.
_ROUNDED_S = 1.0

_MOST_NAMED = 5

_NOT_SHOWN = "no video of this id is shown: it is unknown, not committed yet, or deleted."
_SEE = "See the library (`bri status`) for the videos that are there."


@dataclass(frozen=True)
class Shown:
    """A version that may be read.

    Args:
        source: it.
        duration_s: length of the video in seconds.
        row: all that stands in ``videos`` and ``video_versions`` about it.
    """

    source: Source
    duration_s: float
    row: Row

    @property
    def version_id(self) -> int:
        """Number of the version in the whole store."""
        return self.source.version_id


_SHOWN = """
SELECT v.video_id, v.filename, v.sha256, v.size_bytes, v.duration_s, v.fps, v.width, v.height, v.has_audio,
       v.created_at, n.version, n.version_id, n.committed_at, n.frames, n.captions, n.transcript_segments,
       n.detections, n.transcript_outcome, n.sample_interval_s, n.sample_slots, n.empty_slots
FROM videos v JOIN current_versions c USING (video_id) JOIN video_versions n ON n.version_id = c.version_id
WHERE v.deleted_at IS NULL {only} ORDER BY n.version_id DESC
"""

_ONLY = "AND v.video_id IN (SELECT unnest($video_ids::VARCHAR[]))"


def shown(connection: duckdb.DuckDBPyConnection, video_ids: Sequence[str] | None) -> dict[str, Shown]:
    """The version of each video that is shown.

    Args:
        connection: an open store.
        video_ids: which; None for every one that is shown, the newest commit first.

    Raises:
        VideoNotFound: one is unknown or deleted.
    """
    if video_ids is None:
        return _found(connection.execute(_SHOWN.format(only="")))
    asked = list(dict.fromkeys(video_ids))
    found = _found(connection.execute(_SHOWN.format(only=_ONLY), {"video_ids": asked}))
    _require_all(asked, found)
    return {video_id: found[video_id] for video_id in asked}


def _found(result: duckdb.DuckDBPyConnection) -> dict[str, Shown]:
    return {row["video_id"]: Shown(source(row), row["duration_s"], row) for row in records(result)}


def _require_all(asked: Sequence[str], found: dict[str, Shown]) -> None:
    missing = [video_id for video_id in asked if video_id not in found]
    if len(missing) == 1:
        raise VideoNotFound(missing[0], _NOT_SHOWN, _SEE)
    if missing:
        names = ", ".join(missing[:_MOST_NAMED]) + (", …" if len(missing) > _MOST_NAMED else "")
        raise VideoNotFound(
            names, f"{len(missing)} videos are not shown: unknown, not committed yet, or deleted.", _SEE
        )


def require_within(found: Shown, from_s: float, to_s: float | None = None) -> tuple[float, float]:
    """A stretch of a video, from its beginning to its end, both included.

    Args:
        found: the video.
        from_s: beginning in seconds.
        to_s: end in seconds; None for the video's.

    Raises:
        RangeWrong: it ends before it begins, or is beyond the video.
    """
    video_id, length = found.source.video_id, found.duration_s
    end = max(length, from_s) if to_s is None else to_s
    if from_s > end:
        raise RangeWrong(video_id, f"a stretch from {from_s:g} s to {end:g} s ends before it begins.", "Swap the two.")
    beyond = from_s if from_s > length + _ROUNDED_S else end
    if not beyond <= length + _ROUNDED_S:
        raise RangeWrong(video_id, f"is {length:.3f} s long; {beyond:g} s is beyond its end.", "Ask within its length.")
    return from_s, end


def require_version(connection: duckdb.DuckDBPyConnection, found: Shown, version_id: int) -> Shown:
    """Another version of a video that is shown, with its rows in the database.

    Raises:
        VersionNotFound: the video has none of this number, or its rows are in the archive.
    """
    if version_id == found.version_id:
        return found
    other = of_versions(connection, [version_id], any_of_shown_videos=True).get(version_id)
    if other is None or other.video_id != found.source.video_id:
        what = f"has no version with the number {version_id} whose rows are in the database."
        raise VersionNotFound(found.source.video_id, what, "Leave the number out for the version that is shown.")
    return Shown(other, found.duration_s, found.row)


_OF_VERSIONS = """
SELECT v.video_id, v.filename, n.version, n.version_id
FROM video_versions n JOIN videos v USING (video_id) JOIN current_versions c USING (video_id)
WHERE v.deleted_at IS NULL AND n.state = 'committed' AND ($any OR n.version_id = c.version_id)
  AND n.version_id IN (SELECT unnest($version_ids::BIGINT[]))
"""


def of_versions(
    connection: duckdb.DuckDBPyConnection, version_ids: Sequence[int], *, any_of_shown_videos: bool = False
) -> dict[int, Source]:
    """What each of some versions is; those that may not be read are left out.

    Args:
        connection: an open store.
        version_ids: which.
        any_of_shown_videos: superseded ones too, where their rows are in the database.
    """
    if not version_ids:
        return {}
    asked = {"version_ids": list(set(version_ids)), "any": any_of_shown_videos}
    rows = records(connection.execute(_OF_VERSIONS, asked))
    return {row["version_id"]: source(row) for row in rows}


def shown_versions(connection: duckdb.DuckDBPyConnection, video_ids: Sequence[str]) -> dict[str, int]:
    """The ``version_id`` of each of some videos; unknown and deleted ones are left out. The cheapest of all reads."""
    found = connection.execute(
        """SELECT video_id, c.version_id FROM current_versions c JOIN videos v USING (video_id)
           WHERE v.deleted_at IS NULL AND video_id IN (SELECT unnest($video_ids::VARCHAR[]))""",
        {"video_ids": list(set(video_ids))},
    )
    return dict(found.fetchall())


_VISIBLE = """
SELECT video_id, n.version_id, n.version, filename, n.committed_at
FROM videos v JOIN current_versions c USING (video_id) JOIN video_versions n ON n.version_id = c.version_id
WHERE v.deleted_at IS NULL ORDER BY n.version_id
"""


def visible(connection: duckdb.DuckDBPyConnection) -> list[VisibleVersion]:
    """Every version that is shown, the oldest commit first."""
    return [VisibleVersion(**row) for row in records(connection.execute(_VISIBLE))]


_RESOLVE = f"""
WITH asked AS (SELECT DISTINCT unnest($names::VARCHAR[]) AS name),
     held AS (SELECT video_id, filename FROM videos v SEMI JOIN current_versions USING (video_id)
              WHERE v.deleted_at IS NULL)
SELECT name, video_id, max(video_id = name) AS exact
FROM (SELECT name, video_id FROM asked JOIN held ON starts_with(video_id, name) OR filename = name
      UNION ALL
      SELECT name, video_id FROM asked JOIN uploads u ON u.filename = name SEMI JOIN held USING (video_id))
WHERE name <> '' GROUP BY name, video_id
QUALIFY row_number() OVER (PARTITION BY name ORDER BY exact DESC, video_id) <= {_MOST_NAMED}
ORDER BY name, exact DESC, video_id
"""  # noqa: S608 - our own number


def resolve(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> dict[str, str]:
    """The video that a person means by each name: its id, the beginning of it, or a file name.

    Raises:
        VideoNotFound: there is none, or more than one.
    """
    meant: dict[str, list[tuple[str, bool]]] = {}
    for name, video_id, exact in connection.execute(_RESOLVE, {"names": list(names)}).fetchall():
        meant.setdefault(name, []).append((video_id, exact))
    return {name: _the_one(name, meant.get(name, [])) for name in dict.fromkeys(names)}


def _the_one(name: str, found: list[tuple[str, bool]]) -> str:
    if found and (found[0][1] or len(found) == 1):
        return found[0][0]
    if found:
        names = ", ".join(video_id for video_id, _ in found)
        raise VideoNotFound(name, f"means more than one video: {names}.", "Name one by its id.")
    raise VideoNotFound(name, "no committed video has this id or file name.", _SEE)


_STATE = """
WITH shown AS (SELECT video_id, c.version_id FROM videos v JOIN current_versions c USING (video_id)
               WHERE v.deleted_at IS NULL)
SELECT (SELECT map(list(video_id), list(version_id)) FROM shown
        WHERE video_id IN (SELECT unnest($video_ids::VARCHAR[]))),
       (SELECT concat_ws('-', count(*), bit_xor(hash(video_id, version_id))) FROM shown),
       (SELECT coalesce(max(event_id), 0) FROM audit_log),
       md5(concat_ws('|', $home, (SELECT string_agg(version || epoch_us(applied_at), ',' ORDER BY version)
                                  FROM schema_migrations),
                     (SELECT min(epoch_us(occurred_at)) FROM audit_log),
                     (SELECT max_by(event_id || ':' || epoch_us(occurred_at), event_id) FROM audit_log
                      WHERE action = 'store.restored')))
"""


def state(connection: duckdb.DuckDBPyConnection, video_ids: Sequence[str], home: str) -> State:
    """What is shown at this moment, as one statement.

    Args:
        connection: an open store.
        video_ids: whose versions are told; unknown and deleted ones are left out.
        home: BRI_HOME, which tells stores that were copied from one another apart.
    """
    asked = {"video_ids": list(set(video_ids)), "home": home}
    row = connection.execute(_STATE, asked).fetchall()[0]
    return State(versions=row[0] or {}, library=row[1], event_id=row[2], store=row[3])
