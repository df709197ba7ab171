"""Two databases that are open on one connection: whether they have the same shape and hold the same rows.

What does not belong here: making them so (``follow``).
"""

from __future__ import annotations

import duckdb

from bri_assets.schemas import STORE_TABLES, TableSpec

__all__ = ["different_rows", "different_shape", "digest", "quoted"]

#: What makes a database's shape, as DuckDB's own catalog tells it. What a sequence starts with is where it stands.
_SHAPE = {
    "table": "SELECT table_name, sql, comment FROM duckdb_tables()",
    "column": """SELECT table_name, column_index, column_name, data_type, is_nullable, column_default, comment
                 FROM duckdb_columns()""",
    "constraint": "SELECT table_name, constraint_type, constraint_text FROM duckdb_constraints()",
    "view": "SELECT view_name, sql, comment FROM duckdb_views()",
    "sequence": "SELECT sequence_name, min_value, max_value, increment_by, cycle, comment FROM duckdb_sequences()",
    "index": "SELECT table_name, index_name, sql FROM duckdb_indexes()",
    "function": "SELECT function_name, macro_definition FROM duckdb_functions()",
    "type": "SELECT type_name, logical_type FROM duckdb_types()",
}

#: Catalogs that list what is DuckDB's own too.
_WITH_INTERNAL = ("table", "column", "view", "function", "type")


def quoted(name: str) -> str:
    """A name as SQL wants it."""
    return '"' + name.replace('"', '""') + '"'


def different_shape(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> list[str]:
    """What only one database has, or has otherwise: tables, columns, constraints, comments, views, sequences.

    Args:
        connection: on which both are open.
        one: name of a database.
        other: name of another one.

    Returns:
        A line for each thing, at most 20 of a kind; empty where both have the same shape and revision.
    """
    found = []
    for kind, sql in _SHAPE.items():
        mine = f"{sql} WHERE database_name = ?" + (" AND NOT internal" if kind in _WITH_INTERNAL else "")
        query = f"({mine} EXCEPT ALL {mine}) UNION ALL ({mine} EXCEPT ALL {mine}) ORDER BY ALL LIMIT 20"
        found += [f"{kind} {row[:2]}" for row in connection.execute(query, [one, other, other, one]).fetchall()]
    if not found:
        name = "main.alembic_version"
        query = _either_way(f"FROM {quoted(one)}.{name}", f"FROM {quoted(other)}.{name}")
        found += [f"revision {row[0]}" for row in connection.execute(query).fetchall()]
    return found


def different_rows(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> list[str]:
    """The tables of the store that do not hold the same rows in both databases, with arguments as ``different_shape``.

    Every value of every row counts, through DuckDB's 64-bit hash of each row.
    """
    return [spec.name for spec in STORE_TABLES if digest(connection, one, spec) != digest(connection, other, spec)]


def digest(connection: duckdb.DuckDBPyConnection, database: str, spec: TableSpec) -> tuple[int, ...]:
    """Number of rows, and two sums over their hashes, which do not depend on the order of rows."""
    row = f"hash({', '.join(quoted(column.name) for column in spec.stored_columns)})"
    query = f"SELECT count(*), bit_xor({row}), sum({row}) FROM {quoted(database)}.main.{spec.name}"  # noqa: S608 - our own names
    found: tuple[int, ...] = connection.execute(query).fetchall()[0]
    return found


def _either_way(one: str, other: str) -> str:
    return f"({one} EXCEPT ALL {other}) UNION ALL ({other} EXCEPT ALL {one})"
