"""The pointer that says which version of a video is shown, and everything that it ever said.

Its moves are ordered by their own sequence. A clock may jump back; the time from which a move counts is therefore the
latest time that it or any move of that video before it was given. What does not belong here: what is shown (``reads``)
and whether a version may be (``commit``, ``history``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

__all__ = ["PointerMove", "flip", "moves", "shown", "shown_at"]


@dataclass(frozen=True)
class PointerMove:
    """One move of a video's pointer.

    Args:
        change_id: number of the move in the whole store; moves happened in this order.
        from_version: number of the version that was shown before; None at first.
        to_version: number of the version that was shown from then on.
        cause: ``commit`` or ``rollback``.
        changed_at: what the clock said, UTC.
        effective_at: from when it counts, UTC; later than ``changed_at`` where the clock had jumped back.
        changed_by: who.
    """

    change_id: int
    from_version: int | None
    to_version: int
    cause: str
    changed_at: datetime
    effective_at: datetime
    changed_by: str


def shown(connection: duckdb.DuckDBPyConnection, video_id: str) -> int | None:
    """The ``version_id`` that the pointer names, None where there is none."""
    found = connection.execute("SELECT version_id FROM current_versions WHERE video_id = ?", [video_id]).fetchone()
    return int(found[0]) if found else None


def flip(
    connection: duckdb.DuckDBPyConnection,
    video_id: str,
    version_id: int,
    *,
    cause: str,
    who: str,
    at: datetime | None = None,
) -> int | None:
    """Let the pointer name a version, and keep the move.

    Args:
        connection: with a transaction open.
        video_id: the video.
        version_id: one of its versions.
        cause: ``commit`` or ``rollback``.
        who: as ``audit.actor`` gives it.
        at: when; None for now.

    Returns:
        The ``version_id`` that it named before.
    """
    before = shown(connection, video_id)
    connection.execute(
        """INSERT INTO current_versions VALUES ($video_id, $version_id, coalesce($at::TIMESTAMPTZ, now()), $who)
           ON CONFLICT (video_id) DO UPDATE SET version_id = excluded.version_id,
               changed_at = excluded.changed_at, changed_by = excluded.changed_by""",
        {"video_id": video_id, "version_id": version_id, "at": at, "who": who},
    )
    connection.execute(
        """INSERT INTO pointer_history
           VALUES (nextval('change_ids'), $video_id, $before, $version_id, $cause,
                   coalesce($at::TIMESTAMPTZ, now()), $who)""",
        {"video_id": video_id, "before": before, "version_id": version_id, "cause": cause, "at": at, "who": who},
    )
    return before


def shown_at(connection: duckdb.DuckDBPyConnection, video_id: str, as_of: datetime) -> int | None:
    """The ``version_id`` that the pointer named at a time, None where that is before its first move.

    Args:
        connection: an open store.
        video_id: the video.
        as_of: the time; without a zone it is UTC.
    """
    when = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
    found = connection.execute(
        f"SELECT to_version_id FROM ({_MOVES}) WHERE effective_at <= $as_of ORDER BY change_id DESC LIMIT 1",  # noqa: S608 - our own text
        {"video_id": video_id, "as_of": when},
    ).fetchone()
    return int(found[0]) if found else None


def moves(connection: duckdb.DuckDBPyConnection, video_id: str) -> tuple[PointerMove, ...]:
    """Every move of a video's pointer, in the order in which they happened."""
    found = connection.execute(
        f"""SELECT m.change_id, f.version, t.version, m.cause, m.changed_at, m.effective_at, m.changed_by
            FROM ({_MOVES}) m JOIN video_versions t ON t.version_id = m.to_version_id
            LEFT JOIN video_versions f ON f.version_id = m.from_version_id ORDER BY m.change_id""",  # noqa: S608 - our own text
        {"video_id": video_id},
    ).fetchall()
    return tuple(PointerMove(*row) for row in found)


_MOVES = """
SELECT change_id, from_version_id, to_version_id, cause, changed_at, changed_by,
       max(changed_at) OVER (ORDER BY change_id) AS effective_at
FROM pointer_history WHERE video_id = $video_id
"""
