"""DuckDB's DDL made from the pandera models.

A migration holds its DDL as frozen text; this module is what a new migration is drafted with, and what a test compares
the migrated store with. It opens no database.
"""

from __future__ import annotations

from typing import Any

from bri_assets.schemas.base import Column, TableSpec

__all__ = ["comments", "create_table", "text"]


def create_table(spec: TableSpec) -> str:
    """CREATE TABLE with every constraint that the model states: types, NOT NULL, UNIQUE, CHECK, keys."""
    lines = [_column_line(column) for column in spec.stored_columns]
    lines += [f"CHECK ({expression})" for expression in _checks(spec)]
    lines += [f"UNIQUE ({', '.join(names)})" for names in spec.unique]
    lines.append(f"PRIMARY KEY ({', '.join(spec.stored_key)})")
    lines += [f"FOREIGN KEY ({name}) REFERENCES {parent} ({name})" for name, parent in spec.stored_references]
    return f"CREATE TABLE {spec.name} (\n  " + ",\n  ".join(lines) + "\n)"


def comments(spec: TableSpec) -> list[str]:
    """COMMENT ON statements that put the meanings into the database."""
    statements = [f"COMMENT ON TABLE {spec.name} IS {text(spec.meaning)}"]
    return statements + [
        f"COMMENT ON COLUMN {spec.name}.{column.name} IS {text(column.meaning)}" for column in spec.stored_columns
    ]


def _column_line(column: Column) -> str:
    parts = [column.name, column.sql_type]
    if not column.nullable:
        parts.append("NOT NULL")
    if column.unique:
        parts.append("UNIQUE")
    return " ".join(parts)


def _checks(spec: TableSpec) -> list[str]:
    expressions = [f"isfinite({column.name})" for column in spec.columns if column.sql_type == "DOUBLE"]
    for column in spec.columns:
        expressions += [_check(column.name, name, statistics) for name, statistics in column.checks]
    return expressions + list(spec.rules)


def _check(column: str, name: str, statistics: dict[str, Any]) -> str:
    match name:
        case "greater_than_or_equal_to":
            return f"{column} >= {statistics['min_value']}"
        case "greater_than":
            return f"{column} > {statistics['min_value']}"
        case "less_than_or_equal_to":
            return f"{column} <= {statistics['max_value']}"
        case "str_matches" | "str_contains":
            return f"regexp_matches({column}, {text(statistics['pattern'])})"
        case "str_length":
            least, most = statistics["min_value"], statistics.get("max_value")
            return f"length({column}) >= {least}" if most is None else f"length({column}) BETWEEN {least} AND {most}"
        case "isin":
            return f"{column} IN ({', '.join(_literal(value) for value in sorted(statistics['allowed_values']))})"
        case _:
            raise ValueError(f"{column}: no SQL is known for the check {name}; add it to bri_assets.schemas.ddl")


def _literal(value: object) -> str:
    return str(value) if isinstance(value, int) else text(str(value))


def text(value: str) -> str:
    """A text as a literal of SQL, where DuckDB takes no parameters."""
    return "'" + value.replace("'", "''") + "'"
