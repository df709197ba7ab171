"""Whether two sets of rows of a video are the same: text, classes, counts and keys exactly, numbers within a tolerance.

Not compared, because they follow from the name and the folder of a home: ``video_id``, ``filename`` and ``image_path``.
Of images the perceptual hash has to be the same; bytes that differ (``image_sha256``) are counted and told, but judged
no failure: another build of the same JPEG encoder may write other bytes for the same picture. Hashes over whole tables
(``content_sha256``) say ``identical`` and are no verdict either, for they change with the last bit of any number.

What does not belong here: getting the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bri_assets.schemas import STAGED_TABLES, TableSpec

__all__ = ["TOLERANCES", "Deviation", "TableComparison", "compare"]

Row = dict[str, Any]
#: Rows that belong together, and those of either side that are alone.
_Pairing = tuple[list[tuple[Row, Row]], list[Row], list[Row]]

#: Seconds. Runs gave the same times to the last bit; Whisper's steps are 0.02 s, so a moved word is never passed over.
_SECONDS = 1e-3
#: Pixels of the frame. One thread against two, and batches of 1, 8 and 24, moved the edges of YOLO's boxes by up to
#: 4.3e-4 pixels (124 boxes of the sample clip); two runs alike by nothing.
_PIXELS = 0.05
#: Probabilities, 0 to 1. The same runs moved YOLO's by up to 1.4e-6, Whisper's by 1.3e-7 and a (tiny) BLIP's by 6e-8.
_PROBABILITY = 1e-4
#: Frames a second; a quotient of whole numbers.
_RATE = 1e-6

#: The largest difference of two numbers that count as the same, by column. About a hundred times what was measured on
#: one machine, to leave room for other processors, and far below what anybody would see. Numbers of columns that are
#: not named here (whole numbers) have to be equal.
TOLERANCES: dict[str, float] = {
    "duration_s": _SECONDS,
    "first_frame_s": _SECONDS,
    "last_frame_s": _SECONDS,
    "timestamp_s": _SECONDS,
    "start_s": _SECONDS,
    "end_s": _SECONDS,
    "fps": _RATE,
    "confidence": _PROBABILITY,
    "no_speech_prob": _PROBABILITY,
    "x1": _PIXELS,
    "y1": _PIXELS,
    "x2": _PIXELS,
    "y2": _PIXELS,
}

#: Columns that follow from a home's names.
_NAMES = frozenset({"video_id", "filename", "image_path"})
#: Columns of which differences are told, but not judged.
_TOLD = frozenset({"image_sha256"})


@dataclass(frozen=True)
class Deviation:
    """One value that did not come out the same.

    Attributes:
        table: the table.
        key: the row, as column to value.
        column: the column; `row` where one side lacks the whole row, `outcome` where the lineage names another.
        committed: the committed value (of a row: all of it); None where there is none.
        rerun: the value of the run.
        tolerance: what would have counted as the same; None where only the same does.
    """

    table: str
    key: dict[str, Any]
    column: str
    committed: Any
    rerun: Any
    tolerance: float | None = None


@dataclass(frozen=True)
class TableComparison:
    """One table of a version held against the same table of another run.

    Attributes:
        table: the table.
        committed_rows: rows that are committed.
        rerun_rows: rows of the run.
        deviations: what is not the same; empty where the table was reproduced.
        largest: by column of numbers, the largest difference of two rows that belong together.
        images_differing: frames whose image has other bytes; told, not judged.
    """

    table: str
    committed_rows: int
    rerun_rows: int
    deviations: tuple[Deviation, ...] = ()
    largest: dict[str, float] = field(default_factory=dict)
    images_differing: int = 0

    @property
    def reproduced(self) -> bool:
        """Whether the rows count as the same."""
        return not self.deviations

    @property
    def identical(self) -> bool:
        """Whether they are the same to the last bit, images too."""
        return self.reproduced and not self.images_differing and not any(self.largest.values())


def compare(committed: dict[str, Any], again: dict[str, Any]) -> tuple[TableComparison, ...]:
    """Hold what a run made against what is committed.

    Args:
        committed: as ``reads.video`` returns it.
        again: the same of the run's store.

    Returns:
        One comparison a table, in the order of the tables.
    """
    sides = [_tables(found) for found in (committed, again)]
    outcomes = [{row["table_name"]: row["outcome"] for row in found["lineage"]} for found in (committed, again)]
    made = []
    for name, spec in STAGED_TABLES.items():
        ended, ended_again = (outcome.get(name) for outcome in outcomes)
        other = [] if ended == ended_again else [Deviation(name, {}, "outcome", ended, ended_again)]
        made.append(_compare_table(spec, sides[0][name], sides[1][name], other))
    return tuple(made)


def _tables(found: dict[str, Any]) -> dict[str, list[Row]]:
    return {name: [found["video"]] if name == "source_video" else found[name] for name in STAGED_TABLES}


def _compare_table(spec: TableSpec, before: list[Row], after: list[Row], other: list[Deviation]) -> TableComparison:
    key = [name for name in spec.key if name not in _NAMES]
    judged = [column.name for column in spec.columns if column.name not in {*_NAMES, *_TOLD, *key}]
    pairs, gone, new = _paired(key, before, after)
    if key[-1:] == ["detection_index"]:
        pairs, gone, new = _ranked_anew(key, judged, pairs, gone, new)

    def keyed(row: Row) -> dict[str, Any]:
        return {name: row[name] for name in key}

    def whole(row: Row) -> dict[str, Any]:
        return {name: row[name] for name in judged}

    deviations = [
        *other,
        *(
            Deviation(spec.name, keyed(old), name, old[name], now[name], TOLERANCES.get(name))
            for old, now in pairs
            for name in judged
            if not _same(name, old[name], now[name])
        ),
        *(Deviation(spec.name, keyed(row), "row", whole(row), None) for row in gone),
        *(Deviation(spec.name, keyed(row), "row", None, whole(row)) for row in new),
    ]
    return TableComparison(
        table=spec.name,
        committed_rows=len(before),
        rerun_rows=len(after),
        deviations=tuple(deviations),
        largest={
            name: max((abs(old[name] - now[name]) for old, now in pairs), default=0.0)
            for name in judged
            if name in TOLERANCES
        },
        images_differing=sum(old[name] != now[name] for old, now in pairs for name in _TOLD if name in old),
    )


def _paired(key: list[str], before: Iterable[Row], after: Iterable[Row]) -> _Pairing:
    """Rows that have the same key, rows of the first that are alone, and rows of the second that are."""
    there = {tuple(row[name] for name in key): row for row in after}
    pairs, gone = list[tuple[Row, Row]](), list[Row]()
    for row in before:
        other = there.pop(tuple(row[name] for name in key), None)
        if other is None:
            gone.append(row)
        else:
            pairs.append((row, other))
    return pairs, gone, list(there.values())


def _ranked_anew(
    key: list[str], judged: list[str], pairs: list[tuple[Row, Row]], gone: list[Row], new: list[Row]
) -> _Pairing:
    """Pair detections of one frame that are the same but for their rank.

    Two objects whose confidence is equal but for the last bits may change places. And where one object is missing, the
    ones after it shall not count as other objects.
    """
    settled, before, after = list[tuple[Row, Row]](), list(gone), list(new)
    for old, now in pairs:
        if _agree(judged, old, now):
            settled.append((old, now))
        else:
            before.append(old)
            after.append(now)
    left = []
    for old in before:
        match = next((now for now in after if now[key[0]] == old[key[0]] and _agree(judged, old, now)), None)
        if match is None:
            left.append(old)
        else:
            after.remove(match)
            settled.append((old, match))
    others, gone, new = _paired(key, left, after)
    return [*settled, *others], gone, new


def _agree(columns: Iterable[str], old: Row, now: Row) -> bool:
    return all(_same(name, old[name], now[name]) for name in columns)


def _same(column: str, old: Any, now: Any) -> bool:
    tolerance = TOLERANCES.get(column)
    return bool(old == now if tolerance is None else abs(old - now) <= tolerance)
