"""Which frame shows a segment of speech: the last at or before its start, else the first after it.

What does not belong here: which segments are wanted (``ranges``, ``moments``, ``texts``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import duckdb

from bri_assets.store.queries.picks import FIRST, Pick, pick
from bri_assets.store.queries.rows import EVIDENCE, Row, numbers

__all__ = ["SEGMENT", "spoken", "with_frames"]

#: The columns of ``transcripts`` that a ``Segment`` is made of, but for its frame.
SEGMENT = "version_id, segment_index, start_s, end_s, text, confidence, language, no_speech_prob"

_SPOKEN = f"""
SELECT said.*, {EVIDENCE}
FROM (SELECT said.*, greatest(start_s, first_frame_s) AS look_s
      FROM said JOIN (SELECT version_id, min(timestamp_s) AS first_frame_s FROM frames WHERE version_id IN ({{ids}})
                      GROUP BY version_id) USING (version_id)) said
ASOF JOIN (SELECT version_id, {EVIDENCE} FROM frames WHERE version_id IN ({{ids}})) f
     ON said.version_id = f.version_id AND said.look_s >= f.timestamp_s
"""  # noqa: S608 - our own text


def spoken(version_ids: Iterable[int]) -> str:
    """A query of every segment of ``said``, a table that it is put behind, with its frame; for whole versions.

    Args:
        version_ids: of the segments.
    """
    return _SPOKEN.format(ids=numbers(version_ids))


def with_frames(connection: duckdb.DuckDBPyConnection, segments: Iterable[Sequence[Row]]) -> None:
    """Give each segment its frame, in one statement.

    Args:
        connection: an open store.
        segments: some for each question, each of one version, near one another in time.
    """
    groups = [group for group in segments if group]
    frames = pick(connection, EVIDENCE, "frames", [one for group in groups for one in _picks(group)])
    for number, group in enumerate(groups):
        before, within, after = frames[3 * number : 3 * number + 3]
        found = sorted([*before, *within, *after], key=lambda row: float(row["timestamp_s"]))
        times = [row["timestamp_s"] for row in found]
        for row in group:
            shot = found[max(bisect_right(times, row["start_s"]) - 1, 0)]
            row |= {name: value for name, value in shot.items() if name != "pick"}


def _picks(group: Sequence[Row]) -> tuple[Pick, Pick, Pick]:
    """The frames among which theirs are: the last before the first segment, those up to the last, the next one."""
    starts = [row["start_s"] for row in group]
    first, last, version_id = min(starts), max(starts), group[0]["version_id"]
    return (
        Pick(version_id, f"timestamp_s <= ? ORDER BY timestamp_s DESC LIMIT {FIRST}", (first,)),
        Pick(version_id, "timestamp_s > ? AND timestamp_s <= ?", (first, last)),
        Pick(version_id, f"timestamp_s > ? ORDER BY timestamp_s LIMIT {FIRST}", (last,)),
    )
