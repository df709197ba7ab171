"""The Parquet files of archived versions: their names, how they are written, and that they hold what was committed.

Files lie at ``archive/<table>/month=<YYYY-MM>/<video_id>-v<version>-<hash>.parquet`` under BRI_HOME, by the month of
the commit, so that DuckDB reads a table's as one (``hive_partitioning``). One that exists is never overwritten: a
backup may name it. What does not belong here: when a version moves (``archive``) and which files nobody needs
(``orphans``).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bri_assets.content import content_sha256
from bri_assets.errors import ArchiveDamaged, StoreDamaged, VersionNotFound
from bri_assets.files import sha256_bytes, sha256_file, storing, sync_folder, write_atomically
from bri_assets.schemas import VERSIONED_TABLES, TableSpec

__all__ = [
    "FOLDER",
    "ArchivedFile",
    "StoredVersion",
    "files_of",
    "held",
    "image_paths",
    "load",
    "read_archived",
    "require_committed_rows",
    "version_by_id",
    "version_by_number",
    "write",
]

#: Folder of the archive in BRI_HOME.
FOLDER = "archive"

_DAMAGED = "Put the file back from a copy of BRI_HOME, or restore a backup (docs/runbooks/recovery.md)."


@dataclass(frozen=True)
class ArchivedFile:
    """One table of an archived version.

    Args:
        table: the table whose rows it holds.
        file: path relative to BRI_HOME.
        file_sha256: SHA-256 of its bytes.
        row_count: rows in it, >= 0.
    """

    table: str
    file: str
    file_sha256: str
    row_count: int


@dataclass(frozen=True)
class StoredVersion:
    """A version, and what its lineage says of its rows.

    Args:
        version_id: its number in the whole store.
        video_id: the video.
        version: its number among the video's versions.
        state: ``committed`` or ``archived``.
        committed_at: when it was committed.
        promised: for each of the four tables the rows that were committed: how many, and their content hash.
    """

    version_id: int
    video_id: str
    version: int
    state: str
    committed_at: datetime
    promised: Mapping[str, tuple[int, str]]

    @property
    def name(self) -> str:
        """The version as a person calls it."""
        return f"{self.video_id} version {self.version}"

    def differs(self, spec: TableSpec, rows: pa.Table) -> str | None:
        """What is wrong with rows that should be those of one of its tables; None where nothing is."""
        count, content = self.promised[spec.name]
        if rows.num_rows != count:
            return f"{rows.num_rows} rows instead of {count}"
        found = content_sha256(spec, _tuples(spec, rows))
        return None if found == content else f"content hash {found[:12]} instead of {content[:12]}"


def version_by_id(connection: duckdb.DuckDBPyConnection, version_id: int) -> StoredVersion:
    """A version by its number in the whole store.

    Raises:
        VersionNotFound: there is none.
        StoreDamaged: its lineage is not whole.
    """
    found = _versions(connection, "version_id = ?", [version_id])
    if not found:
        raise VersionNotFound(version_id, "no version of any video has this number.", "See `bri history`.")
    return found[0]


def version_by_number(connection: duckdb.DuckDBPyConnection, video_id: str, version: int) -> StoredVersion:
    """A version by its number among the versions of its video; raises as ``version_by_id``."""
    found = _versions(connection, "video_id = ? AND version = ?", [video_id, version])
    if not found:
        raise VersionNotFound(video_id, f"has no version {version}.", f"See `bri history {video_id}`.")
    return found[0]


def held(connection: duckdb.DuckDBPyConnection, version_id: int) -> dict[str, pa.Table]:
    """The rows that the database holds of a version, by table, in the order of their keys."""
    tables = {}
    for spec in VERSIONED_TABLES:
        names = ", ".join(column.name for column in spec.columns)
        query = f"SELECT {names} FROM {spec.name} WHERE version_id = ? ORDER BY {', '.join(spec.key)}"  # noqa: S608 - our own names
        tables[spec.name] = connection.execute(query, [version_id]).to_arrow_table()
    return tables


def require_committed_rows(version: StoredVersion, tables: Mapping[str, pa.Table]) -> None:
    """See that the rows that the database holds of a version are those that were committed.

    Raises:
        StoreDamaged: they are not; says in which tables, and what differs.
    """
    found = {spec.name: version.differs(spec, tables[spec.name]) for spec in VERSIONED_TABLES}
    wrong = [f"{name} ({what})" for name, what in found.items() if what]
    if wrong:
        what = f"its rows are not those that were committed: {', '.join(wrong)}; somebody changed the database by hand."
        raise StoreDamaged(version.name, what, "Restore a backup, if that version matters (docs/runbooks/recovery.md).")


def write(home: Path, version: StoredVersion, spec: TableSpec, rows: pa.Table) -> ArchivedFile:
    """Write one table of a version, durably, and read it back from disk.

    Raises:
        StorageFailed: the disk refused.
        ArchiveDamaged: what lies on disk afterwards is not what was committed.
    """
    data = _parquet(version, rows)
    digest = sha256_bytes(data)
    path = _put(home, version, spec, data, digest)
    _checked(path, digest, version, spec)
    return ArchivedFile(spec.name, path.relative_to(home).as_posix(), digest, rows.num_rows)


def files_of(connection: duckdb.DuckDBPyConnection, version_id: int) -> list[ArchivedFile]:
    """Where the rows of an archived version lie; nothing for one whose rows are in the database."""
    found = connection.execute(
        "SELECT table_name, file, file_sha256, row_count FROM archived_tables WHERE version_id = ? ORDER BY table_name",
        [version_id],
    ).fetchall()
    return [ArchivedFile(*row) for row in found]


def load(home: Path, version: StoredVersion, files: Sequence[ArchivedFile]) -> dict[str, pa.Table]:
    """Read the rows of an archived version, by table, and prove them; needs no database.

    Raises:
        ArchiveDamaged: a file is missing or is not what was archived; names it and says what differs.
    """
    known = {file.table: file for file in files}
    if set(known) != {spec.name for spec in VERSIONED_TABLES}:
        raise ArchiveDamaged(version.name, f"the store names files of {sorted(known)} only.", _DAMAGED)
    return {
        spec.name: _checked(home / known[spec.name].file, known[spec.name].file_sha256, version, spec)
        for spec in VERSIONED_TABLES
    }


def read_archived(home: Path, connection: duckdb.DuckDBPyConnection, version_id: int) -> dict[str, pa.Table]:
    """The rows of an archived version, by table, with the tables' own columns, proven to be those that were committed.

    Args:
        home: BRI_HOME.
        connection: an open store.
        version_id: an archived version.

    Raises:
        VersionNotFound: there is no such version.
        ArchiveDamaged: its files are not what was archived, or it is not archived.
    """
    return load(home, version_by_id(connection, version_id), files_of(connection, version_id))


def image_paths(home: Path, frames: ArchivedFile) -> list[str]:
    """The images that an archived version's frames name, relative to BRI_HOME.

    Raises:
        ArchiveDamaged: the file is missing or is not what was archived.
    """
    paths: list[str] = _columns(home / frames.file, frames.file_sha256, ["image_path"]).column(0).to_pylist()
    return paths


def _versions(connection: duckdb.DuckDBPyConnection, where: str, values: list[Any]) -> list[StoredVersion]:
    query = f"SELECT version_id, video_id, version, state, committed_at FROM video_versions WHERE {where}"  # noqa: S608 - our own text
    return [
        StoredVersion(number, video_id, version, state, at, _promised(connection, number, video_id))
        for number, video_id, version, state, at in connection.execute(query, values).fetchall()
    ]


def _promised(connection: duckdb.DuckDBPyConnection, version_id: int, video_id: str) -> dict[str, tuple[int, str]]:
    query = "SELECT table_name, row_count, content_sha256 FROM lineage WHERE version_id = ?"
    found = {name: (count, content) for name, count, content in connection.execute(query, [version_id]).fetchall()}
    missing = [spec.name for spec in VERSIONED_TABLES if spec.name not in found]
    if missing:
        what = f"the lineage of its version with the id {version_id} lacks {', '.join(missing)}."
        raise StoreDamaged(video_id, what, "Restore a backup (docs/runbooks/recovery.md).")
    return {spec.name: found[spec.name] for spec in VERSIONED_TABLES}


def _put(home: Path, version: StoredVersion, spec: TableSpec, data: bytes, digest: str) -> Path:
    """Have the bytes on disk under the version's name, or under one more exact where that is taken by other bytes."""
    folder = home / FOLDER / spec.name / f"month={version.committed_at.astimezone(UTC):%Y-%m}"
    stem = f"{version.video_id}-v{version.version}-{version.promised[spec.name][1][:12]}"
    path = folder / f"{stem}.parquet"
    with storing(path, len(data)):
        if path.exists() and sha256_file(path) != digest:
            path = folder / f"{stem}-{digest[:12]}.parquet"
        if path.exists() and sha256_file(path) == digest:
            os.utime(path)  # in use again, so no orphan that is old enough to be removed
        else:
            write_atomically(path, data)
    for parent in _up_to(home, folder):
        sync_folder(parent)
    return path


def _up_to(home: Path, folder: Path) -> Iterator[Path]:
    """The folder and its parents as far as BRI_HOME: each may be new, and a name is on disk only when its folder is."""
    yield folder
    while folder != home:
        folder = folder.parent
        yield folder


def _parquet(version: StoredVersion, rows: pa.Table) -> bytes:
    said = {"video_id": version.video_id, "version": version.version, "version_id": version.version_id}
    types = {"video_id": pa.string(), "version": pa.int32(), "version_id": pa.int64()}
    columns = {name: pa.array([value] * rows.num_rows, types[name]) for name, value in said.items()}
    whole = pa.table(columns | dict(zip(rows.column_names, rows.columns, strict=True)))
    buffer = io.BytesIO()
    pq.write_table(whole, buffer, compression="zstd")
    return buffer.getvalue()


def _checked(path: Path, digest: str, version: StoredVersion, spec: TableSpec) -> pa.Table:
    rows = _columns(path, digest, [column.name for column in spec.columns])
    differs = version.differs(spec, rows)
    if differs:
        raise ArchiveDamaged(path, f"{version.name}: its rows are not those that were committed: {differs}.", _DAMAGED)
    return rows


def _columns(path: Path, digest: str, names: list[str]) -> pa.Table:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArchiveDamaged(path, f"the file cannot be read: {error.strerror}.", _DAMAGED) from error
    found = sha256_bytes(data)
    if found != digest:
        what = f"the file's SHA-256 is {found[:12]} instead of {digest[:12]}: its bytes were changed."
        raise ArchiveDamaged(path, what, _DAMAGED)
    try:
        return pq.read_table(io.BytesIO(data)).select(names)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ArchiveDamaged(path, f"the file cannot be read: {error}.", _DAMAGED) from error


def _tuples(spec: TableSpec, rows: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(rows.column(column.name).to_pylist() for column in spec.columns), strict=True))
