"""What every table's schema shares.

How a column states its meaning, how a rule between columns is written once for pandera and for the database, and how
rows are validated.

What does not belong here: the columns of any one table (one module each) and SQL (``ddl``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from bri_assets.errors import RowsInvalid

__all__ = ["Column", "TableModel", "TableSpec", "UtcTime", "column", "rule", "validate"]

UtcTime = Annotated[pd.DatetimeTZDtype, "us", "UTC"]

#: Name of the check that every table shares; the database says it column by column.
FINITE = "every number is finite"

#: Failing values that are kept of one validation; more would not be read by a person.
MOST_FAILURES = 100

_SQL_TYPES = {
    "bool": "BOOLEAN",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "Int64": "BIGINT",
    "float64": "DOUBLE",
    "str": "VARCHAR",
    "string[pyarrow]": "VARCHAR",
    "datetime64[us, UTC]": "TIMESTAMP WITH TIME ZONE",
}


def column(meaning: str, *, sql_type: str | None = None, unique: bool = False, **limits: Any) -> Any:
    """A pandera field with a meaning.

    Args:
        meaning: what the value says, with unit and range, for a person who reads the table.
        sql_type: DuckDB's type where it does not follow from the Python type (lists).
        unique: whether the database holds the column unique.
        **limits: pandera's own limits (``ge``, ``gt``, ``le``, ``lt``, ``isin``, ``str_matches``, ``nullable``).
    """
    return pa.Field(description=meaning, metadata={"sql_type": sql_type, "unique": unique}, **limits)


def rule(expression: str) -> Any:
    """A rule between columns of one row, in the part of SQL that pandas' ``eval`` shares (``start_s < end_s``).

    The expression is the check's name, and becomes a CHECK constraint of the database as it stands.
    """

    def check(_cls: type, rows: pd.DataFrame) -> pd.Series[bool]:
        return pd.Series(rows.eval(expression), index=rows.index, dtype=bool)

    # Pandera forgets a check's name two levels of inheritance down and takes the function's.
    check.__name__ = expression
    return pa.dataframe_check(name=expression)(check)


def _finite(_cls: type, rows: pd.DataFrame) -> pd.Series[bool]:
    return pd.Series(~np.isinf(rows.select_dtypes("float")).any(axis=1), index=rows.index)


_finite.__name__ = FINITE


class TableModel(pa.DataFrameModel):
    """Base of all tables: the columns named and no others, in order, coerced, every number finite."""

    finite = pa.dataframe_check(name=FINITE)(_finite)

    class Config:
        """Pandera's configuration of every table."""

        strict = True
        coerce = True
        ordered = True


@dataclass(frozen=True)
class Column:
    """One column as everything outside of pandera sees it."""

    name: str
    sql_type: str
    nullable: bool
    unique: bool
    meaning: str
    checks: tuple[tuple[str, dict[str, Any]], ...]


#: What the database puts before the columns of a table whose rows belong to one committed version.
VERSION_ID = Column("version_id", "BIGINT", False, False, "The committed version that the row belongs to.", ())


@dataclass(frozen=True)
class TableSpec:
    """A table: its pandera model and what the model does not say.

    Args:
        name: the table's name in the database, and in staging where it is staged.
        model: the pandera model, the single source of columns, types, ranges and meanings.
        key: the columns whose values are unique (within a version, where ``versioned``).
        versioned: rows belong to one committed version: the database adds ``version_id`` and puts it first in the key.
        references: foreign keys as column → table (``version_id`` of a versioned table is implied).
        unique: columns whose values are unique together, besides the key and what a column says of itself.
    """

    name: str
    model: type[TableModel]
    key: tuple[str, ...]
    versioned: bool = False
    references: tuple[tuple[str, str], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()

    @property
    def meaning(self) -> str:
        """The first paragraph of the model's docstring, on one line."""
        return " ".join((self.model.__doc__ or "").split("\n\n")[0].split())

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns in order, without ``version_id``."""
        return tuple(_column(name, field) for name, field in self.model.to_schema().columns.items())

    @property
    def stored_columns(self) -> tuple[Column, ...]:
        """The columns as the database has them."""
        return (VERSION_ID, *self.columns) if self.versioned else self.columns

    @property
    def stored_key(self) -> tuple[str, ...]:
        """The primary key of the database's table."""
        return (VERSION_ID.name, *self.key) if self.versioned else self.key

    @property
    def stored_references(self) -> tuple[tuple[str, str], ...]:
        """The foreign keys of the database's table: column, and the table whose key of the same name it is."""
        return ((VERSION_ID.name, "video_versions"), *self.references) if self.versioned else self.references

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules between columns, as expressions."""
        names = (str(check.name) for check in self.model.to_schema().checks)
        return tuple(name for name in names if name != FINITE)


def _column(name: str, field: Any) -> Column:
    metadata = field.metadata or {}
    return Column(
        name=name,
        sql_type=metadata.get("sql_type") or _SQL_TYPES[str(field.dtype)],
        nullable=bool(field.nullable),
        unique=bool(metadata.get("unique")),
        meaning=str(field.description or ""),
        checks=tuple((str(check.name), dict(check.statistics or {})) for check in field.checks),
    )


def validate(spec: TableSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the schema's types, sorted by the table's key.

    Raises:
        RowsInvalid: with every failing value (at most 100), not only the first.
    """
    try:
        valid = spec.model.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise RowsInvalid(spec.name, _failures(error)) from error
    repeated = valid.duplicated(list(spec.key), keep=False)
    if repeated.any():
        keys = valid.loc[repeated, list(spec.key)]
        raise RowsInvalid(spec.name, [_repeat(spec, index, row) for index, row in keys.head(MOST_FAILURES).iterrows()])
    return valid.sort_values(list(spec.key), kind="stable").reset_index(drop=True)


def _repeat(spec: TableSpec, index: Any, row: pd.Series[Any]) -> dict[str, Any]:
    return {
        "column": ", ".join(spec.key),
        "check": "key is unique",
        "failure_case": str(tuple(row)),
        "index": int(index),
    }


def _failures(error: pa.errors.SchemaErrors) -> list[dict[str, Any]]:
    cases = error.failure_cases.head(MOST_FAILURES)
    wanted = cases[["column", "check", "failure_case", "index"]].astype(object)
    text: Callable[[Any], Any] = lambda value: value if isinstance(value, str | int | float | bool) else str(value)  # noqa: E731
    records = json.loads(wanted.map(text).to_json(orient="records", default_handler=str))
    return list(records)
