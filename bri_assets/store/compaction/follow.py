"""Bringing one database to the rows of another, both open on one connection: what was added, changed and removed since.

An empty store that follows another one becomes its copy, in files without holes. Rows go parents first, and leave
children first, a level in a transaction, because DuckDB refuses to remove children and their parent in one. What does
not belong here: whether both are the same afterwards (``same``), and when this is done (``compact``).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from bri_assets.schemas import STORE_TABLES, VERSIONED_TABLES, Column, TableSpec
from bri_assets.store.access.connection import transaction
from bri_assets.store.compaction.same import quoted

__all__ = ["follow"]

#: Tables that others reference: their rows are changed in place, for to remove one means to remove its children.
_PARENTS = frozenset(parent for spec in STORE_TABLES for _, parent in spec.stored_references)

#: Rows that are inserted in one transaction, about.
_BATCH = 1_000_000


def follow(connection: duckdb.DuckDBPyConnection, leader: str, follower: str) -> int:
    """Bring every table and sequence of the follower to where the leader's are; nobody else may write to either.

    An id that the leader gave out is never given out by the follower. The leader's file is not written to.

    Args:
        connection: on which both databases are open; no transaction is.
        leader: name of a database that is a store.
        follower: name of a database of the same shape.

    Returns:
        Rows that were inserted, changed or removed.
    """
    pair = _Pair(connection, quoted(leader), quoted(follower))
    levels = _levels(STORE_TABLES)
    for spec in STORE_TABLES:
        pair.look(spec)
    rows = 0
    for level in reversed(levels):
        with transaction(connection):
            rows += sum(pair.remove(spec) for spec in level)
    for level in levels:
        with transaction(connection):
            rows += sum(pair.change(spec) for spec in level)
        for spec in level:
            rows += pair.insert(spec)
    pair.set_sequences()
    return rows


def _levels(specs: Sequence[TableSpec]) -> list[list[TableSpec]]:
    """The tables by the length of their chain of parents; they are given parents first."""
    depths: dict[str, int] = {}
    for spec in specs:
        depths[spec.name] = 1 + max((depths[parent] for _, parent in spec.stored_references), default=-1)
    return [[spec for spec in specs if depths[spec.name] == depth] for depth in range(max(depths.values()) + 1)]


@dataclass(frozen=True)
class _Pair:
    connection: duckdb.DuckDBPyConnection
    leader: str
    follower: str

    def look(self, spec: TableSpec) -> None:
        """Note, in a table of the connection's own, what of the follower's table has to go.

        Of a table of versions these are versions: all rows of one go, and its rows come from the leader.
        """
        key = _noted(spec)
        gone = f"SELECT {key} FROM ({self._differing(spec)})"  # noqa: S608 - our own names
        for column, parent in spec.stored_references:
            children = f"SELECT {key} FROM {self.follower}.main.{spec.name}"  # noqa: S608 - our own names
            gone += f" UNION {children} SEMI JOIN {_note(parent)} USING ({column})"
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {_note(spec.name)} AS {gone}")

    def remove(self, spec: TableSpec) -> int:
        matching = " AND ".join(f"t.{name} = gone.{name}" for name in _noted(spec).split(", "))
        table = f"{self.follower}.main.{spec.name}"
        return self._count(f"DELETE FROM {table} t USING {_note(spec.name)} gone WHERE {matching}")  # noqa: S608

    def change(self, spec: TableSpec) -> int:
        """Change rows in place that are in both, where that can be done and anything is to change."""
        names = _changeable(spec)
        if spec.name not in _PARENTS or not names:
            return 0
        key = ", ".join(spec.stored_key)
        source, target = (f"{name}.main.{spec.name}" for name in (self.leader, self.follower))
        columns = f"{key}, {', '.join(names)}"
        changed = f"SELECT {columns} FROM {source} EXCEPT SELECT {columns} FROM {target}"  # noqa: S608 - our own names
        setting = ", ".join(f"{name} = s.{name}" for name in names)
        matching = " AND ".join(f"t.{name} = s.{name}" for name in spec.stored_key)
        return self._count(f"UPDATE {target} t SET {setting} FROM ({changed}) s WHERE {matching}")  # noqa: S608

    def insert(self, spec: TableSpec) -> int:
        columns, key = _names(spec.stored_columns), ", ".join(spec.stored_key)
        source, target = (f"{name}.main.{spec.name}" for name in (self.leader, self.follower))
        into = f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source}"  # noqa: S608 - our own names
        if not spec.versioned:
            with transaction(self.connection):
                return self._count(f"{into} ANTI JOIN {target} USING ({key}) ORDER BY {key}")
        rows = 0
        for first, last in self._batches(spec):
            within = f"version_id BETWEEN {first} AND {last} AND version_id IN (FROM {_note(spec.name)})"
            with transaction(self.connection):
                rows += self._count(f"{into} WHERE {within} ORDER BY {key}")
        return rows

    def set_sequences(self) -> None:
        """Let each sequence of the follower go on where the leader's would.

        DuckDB's catalog does not say where that is: after a reopen it names the next number where it named the last one
        before. So the leader is asked for one, in a transaction that is rolled back: nothing is written, and the
        follower gives out the same number next.
        """
        query = """SELECT sequence_name, increment_by, min_value, max_value, CASE WHEN cycle THEN '' ELSE 'NO' END
                   FROM duckdb_sequences() WHERE '"' || database_name || '"' = ?"""
        for name, step, least, most, no in self.connection.execute(query, [self.leader]).fetchall():
            self.connection.begin()
            try:
                start = self.connection.execute(f"SELECT nextval('{self.leader}.main.{name}')").fetchall()[0][0]
            finally:
                self.connection.rollback()
            limits = f"INCREMENT BY {step} MINVALUE {least} MAXVALUE {most} {no} CYCLE"
            self.connection.execute(f"CREATE OR REPLACE SEQUENCE {self.follower}.main.{name} START {start} {limits}")

    def _differing(self, spec: TableSpec) -> str:
        """What the follower holds and the leader does not, or not so; of tables of versions, whole versions."""
        leader, follower = f"{self.leader}.main.{spec.name}", f"{self.follower}.main.{spec.name}"
        if spec.versioned:
            # Rows of the large tables are never changed; whether these all are the same is seen at the end.
            row = "" if spec in VERSIONED_TABLES else f" + sum(hash({_names(spec.stored_columns)}))"
            sums = f"SELECT version_id, count(*){row} AS sums FROM"
            one, other = (f"({sums} {name} GROUP BY version_id)" for name in (leader, follower))
            return (
                f"SELECT version_id FROM {one} one FULL JOIN {other} other USING (version_id)"  # noqa: S608
                " WHERE one.sums IS DISTINCT FROM other.sums"
            )
        fixed = spec.stored_columns
        if spec.name in _PARENTS:
            fixed = tuple(column for column in fixed if column.name not in _changeable(spec))
        return f"SELECT {_names(fixed)} FROM {follower} EXCEPT SELECT {_names(fixed)} FROM {leader}"  # noqa: S608 - our own names

    def _batches(self, spec: TableSpec) -> list[tuple[int, int]]:
        """First and last version of stretches that have about ``_BATCH`` rows to insert."""
        return self.connection.execute(
            f"""SELECT min(version_id), max(version_id)
                FROM (SELECT version_id, sum(count(*)) OVER (ORDER BY version_id) // {_BATCH} AS batch
                      FROM {self.leader}.main.{spec.name} SEMI JOIN {_note(spec.name)} USING (version_id)
                      GROUP BY version_id)
                GROUP BY batch ORDER BY batch"""  # noqa: S608 - our own names
        ).fetchall()

    def _count(self, statement: str) -> int:
        return int(self.connection.execute(statement).fetchall()[0][0])


def _noted(spec: TableSpec) -> str:
    return "version_id" if spec.versioned else ", ".join(spec.stored_key)


def _note(table: str) -> str:
    return f"temp.gone_{table}"


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns)


def _changeable(spec: TableSpec) -> list[str]:
    """Columns that DuckDB changes in place: neither indexed nor nested."""
    indexed = {*spec.stored_key, *(column for column, _ in spec.stored_references), *itertools.chain(*spec.unique)}
    return [
        column.name
        for column in spec.stored_columns
        if not (column.name in indexed or column.unique or column.sql_type.endswith("[]"))
    ]
