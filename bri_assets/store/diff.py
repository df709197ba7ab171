"""What changed between two versions of a video, table by table.

Rows belong together by the key of their table, and are the same where every value is, to the last bit. Of the lineage
only what decides how rows come out is compared, parameter by parameter: when and in which run a table was made differs
always. What does not belong here: getting the rows (``reads``), and what counts as reproduced (``reproduce``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bri_assets.schemas import SOURCE_VIDEO, VERSIONED_TABLES

__all__ = ["ChangedRow", "TableDiff", "VersionDiff", "compare"]

Row = dict[str, Any]

#: Columns of ``lineage`` that decide what rows come out; its parameters are compared one by one.
_MAKING = ("tool", "tool_version", "model", "weights_sha256", "outcome", "source_sha256")


@dataclass(frozen=True)
class ChangedRow:
    """A row that is in both versions, with other values.

    Args:
        key: the row, as column to value.
        before: the columns that differ, and their values in the first version.
        after: the same columns in the second version; a parameter that is not there is None.
    """

    key: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True)
class TableDiff:
    """One table of two versions.

    Args:
        table: its name; ``source_video`` stands for the facts of the file, ``lineage`` for how the tables were made.
        rows_before: rows in the first version.
        rows_after: rows in the second version.
        only_before: rows that only the first version has, whole.
        only_after: rows that only the second version has, whole.
        changed: rows that both have, with other values.
    """

    table: str
    rows_before: int
    rows_after: int
    only_before: tuple[dict[str, Any], ...]
    only_after: tuple[dict[str, Any], ...]
    changed: tuple[ChangedRow, ...]

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return bool(self.only_before or self.only_after or self.changed)

    @property
    def same(self) -> int:
        """Rows that are the same in both."""
        return self.rows_before - len(self.only_before) - len(self.changed)


@dataclass(frozen=True)
class VersionDiff:
    """Two versions of a video.

    Args:
        video_id: the video.
        before: number of the first version.
        after: number of the second version.
        tables: every table, in the order in which they are made, and the lineage at the end.
    """

    video_id: str
    before: int
    after: int
    tables: tuple[TableDiff, ...]

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return any(table.differs for table in self.tables)


def compare(before: dict[str, Any], after: dict[str, Any]) -> VersionDiff:
    """Hold two versions of a video against each other, each as ``reads.video`` and ``with_facts`` return it."""
    tables = [_compare(SOURCE_VIDEO.name, SOURCE_VIDEO.key, [_facts(before)], [_facts(after)])]
    tables += [_compare(spec.name, spec.key, before[spec.name], after[spec.name]) for spec in VERSIONED_TABLES]
    tables.append(_compare("lineage", ("table_name",), _making(before), _making(after)))
    return VersionDiff(
        before["video"]["video_id"], before["video"]["version"], after["video"]["version"], tuple(tables)
    )


def _compare(table: str, key: tuple[str, ...], before: Iterable[Row], after: Iterable[Row]) -> TableDiff:
    old, new = ({tuple(row[name] for name in key): row for row in rows} for rows in (before, after))
    changed = (_changed(key, old[which], new[which]) for which in old if which in new)
    return TableDiff(
        table,
        len(old),
        len(new),
        tuple(row for which, row in old.items() if which not in new),
        tuple(row for which, row in new.items() if which not in old),
        tuple(row for row in changed if row.before),
    )


def _changed(key: tuple[str, ...], old: Row, new: Row) -> ChangedRow:
    # In the order of the columns, those that only the newer one has at the end.
    names = [name for name in old | new if old.get(name) != new.get(name)]
    return ChangedRow(
        {name: old[name] for name in key},
        {name: old.get(name) for name in names},
        {name: new.get(name) for name in names},
    )


def _facts(found: dict[str, Any]) -> Row:
    return {column.name: found["video"][column.name] for column in SOURCE_VIDEO.columns}


def _making(found: dict[str, Any]) -> list[Row]:
    made = []
    for row in found["lineage"]:
        parameters = {f"parameters.{name}": value for name, value in json.loads(row["parameters"]).items()}
        made.append({"table_name": row["table_name"], **{name: row[name] for name in _MAKING}, **parameters})
    return made
