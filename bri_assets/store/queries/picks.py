"""Rows that are picked video by video, in one statement: a small scan for each, one after the other.

A condition that names one version and its bounds lets DuckDB skip every row group that holds nothing of them; a join
with a list of versions and bounds reads them all, and costs five times as much at twenty versions. What does not belong
here: which rows are wanted (``ranges``, ``moments``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from bri_assets.store.queries.rows import EVIDENCE, Row, records

__all__ = ["FIRST", "FRAME", "Pick", "pick", "timed", "with_captions", "with_objects"]

#: A limit for who wants the first row only: up to 50, DuckDB looks rows up one by one, and takes five times as long as
#: with a few more.
FIRST = 51

#: The columns of ``frames`` that a ``Frame`` is made of.
FRAME = f"version_id, {EVIDENCE}, width, height"

_Key = tuple[int, int]


@dataclass(frozen=True)
class Pick:
    """Rows of one version.

    Args:
        version_id: the version.
        where: further conditions, with a ``?`` for each value; what follows the conditions too, as ``ORDER BY``.
        values: of them.
    """

    version_id: int
    where: str
    values: Sequence[Any] = ()


def pick(
    connection: duckdb.DuckDBPyConnection, columns: str, table: str, picks: Sequence[Pick], *, by: tuple[str, ...] = ()
) -> list[list[Row]]:
    """The rows of each pick, in one statement.

    Args:
        connection: an open store.
        columns: that are wanted.
        table: of them.
        picks: what is wanted of it.
        by: columns by which the rows of each are put in order, for DuckDB promises none where scans are put together.
    """
    found: list[list[Row]] = [[] for _ in picks]
    if not picks:
        return found
    scans = [
        f"(SELECT {number} AS pick, {columns} FROM {table} WHERE version_id = {int(one.version_id)} AND {one.where})"  # noqa: S608 - our own text, values apart
        for number, one in enumerate(picks)
    ]
    values = [value for one in picks for value in one.values]
    for row in records(connection.execute(" UNION ALL ".join(scans), values)):
        found[row["pick"]].append(row)
    for rows in found if by else ():
        rows.sort(key=lambda row: [row[name] for name in by])
    return found


def with_captions(connection: duckdb.DuckDBPyConnection, frames: Iterable[Sequence[Row]]) -> None:
    """Give each frame its caption; a frame without one gets None.

    Args:
        connection: an open store.
        frames: some for each question, each of one version and with its ``frame_index``.
    """
    columns = "version_id, frame_index, text AS caption, confidence AS caption_confidence"
    groups = list(frames)
    found = {_key(row): row for rows in pick(connection, columns, "captions", _spans(groups)) for row in rows}
    nothing = {"caption": None, "caption_confidence": None}
    for row in (row for group in groups for row in group):
        caption = found.get(_key(row), nothing)
        row |= {"caption": caption["caption"], "caption_confidence": caption["caption_confidence"]}


def with_objects(connection: duckdb.DuckDBPyConnection, frames: Iterable[Sequence[Row]]) -> None:
    """Give each frame how many objects of each class are seen in it; arguments as for ``with_captions``."""
    groups = list(frames)
    counted = [
        Pick(one.version_id, f"{one.where} GROUP BY version_id, frame_index, class_name", one.values)
        for one in _spans(groups)
    ]
    columns = "version_id, frame_index, class_name, count(*) AS objects"
    found: dict[_Key, dict[str, int]] = {}
    for row in (row for rows in pick(connection, columns, "detections", counted) for row in rows):
        found.setdefault(_key(row), {})[row["class_name"]] = row["objects"]
    for row in (row for group in groups for row in group):
        row["objects"] = found.get(_key(row), {})


def timed(connection: duckdb.DuckDBPyConnection, detections: Iterable[Sequence[Row]]) -> None:
    """Give each detection the time of its frame; arguments as for ``with_captions``."""
    groups = list(detections)
    columns = "version_id, frame_index, timestamp_s"
    times = {
        _key(row): row["timestamp_s"] for rows in pick(connection, columns, "frames", _spans(groups)) for row in rows
    }
    for row in (row for group in groups for row in group):
        row["timestamp_s"] = times[_key(row)]


def _spans(groups: Sequence[Sequence[Row]]) -> list[Pick]:
    """The stretch of frames that each group covers."""
    spans = []
    for group in groups:
        if group:
            indexes = [row["frame_index"] for row in group]
            spans.append(Pick(group[0]["version_id"], "frame_index BETWEEN ? AND ?", (min(indexes), max(indexes))))
    return spans


def _key(row: Row) -> _Key:
    return row["version_id"], row["frame_index"]
