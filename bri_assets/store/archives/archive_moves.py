"""The rows of a version out of the database and back in, within a caller's transaction: for the first time or again.

What does not belong here: whether a version may move, and the audit log (``archive``); the files (``archived``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from bri_assets.errors import ArchiveDamaged, StoreDamaged
from bri_assets.schemas import VERSIONED_TABLES
from bri_assets.store import rows
from bri_assets.store.archives.archived import (
    ArchivedFile,
    StoredVersion,
    files_of,
    held,
    load,
    require_committed_rows,
    version_by_number,
)

__all__ = ["move_in", "move_out", "replay_archived", "replay_unarchived"]


def move_out(
    connection: duckdb.DuckDBPyConnection,
    home: Path,
    version: StoredVersion,
    files: Sequence[ArchivedFile],
    *,
    who: str,
    at: datetime | None = None,
) -> None:
    """Take the rows of a version out of the database and name the files that hold them.

    Args:
        connection: with a transaction open, on whose rollback nothing has changed.
        home: BRI_HOME.
        version: not the one that is shown; its state is ``committed``.
        files: what ``archived.write`` returned for each of the four tables, or ``archived.load`` has proven.
        who: as ``audit.actor`` gives it.
        at: when it happened, where it is not now.

    Raises:
        StoreDamaged: the rows are not those that were committed.
        ArchiveDamaged: a file is gone.
    """
    require_committed_rows(version, held(connection, version.version_id))
    for file in files:
        if not (home / file.file).is_file():
            raise ArchiveDamaged(home / file.file, "the file is gone again.", "Run `bri archive` again.")
    for name in ("video_class_stats", *(spec.name for spec in reversed(VERSIONED_TABLES))):
        connection.execute(f"DELETE FROM {name} WHERE version_id = ?", [version.version_id])  # noqa: S608 - our own names
    for file in files:
        connection.execute(
            "INSERT INTO archived_tables VALUES (?, ?, ?, ?, ?, coalesce(?::TIMESTAMPTZ, now()), ?)",
            [version.version_id, file.table, file.file, file.file_sha256, file.row_count, at, who],
        )
    _mark(connection, version, "archived")


def move_in(connection: duckdb.DuckDBPyConnection, version: StoredVersion, tables: Mapping[str, pa.Table]) -> None:
    """Put the rows of an archived version into the database and forget its files.

    Args:
        connection: with a transaction open.
        version: its state is ``archived``.
        tables: as ``archived.load`` returns them.

    Raises:
        StoreDamaged: a constraint of the database does not take them.
    """
    try:
        for spec in VERSIONED_TABLES:
            rows.insert(connection, spec, version.version_id, tables[spec.name].to_pandas())
        rows.insert_class_stats(connection, version.version_id)
    except duckdb.ConstraintException as error:
        what = f"is archived, but the database does not take its rows back: {error}."
        raise StoreDamaged(version.name, what, "Restore a backup (docs/runbooks/recovery.md).") from error
    connection.execute("DELETE FROM archived_tables WHERE version_id = ?", [version.version_id])
    _mark(connection, version, "committed")


def replay_archived(
    connection: duckdb.DuckDBPyConnection, home: Path, detail: Mapping[str, Any], *, who: str, at: datetime
) -> bool:
    """Do again what an event ``version.archived`` says, with its author and time; writes no event.

    Args:
        connection: with a transaction open.
        home: BRI_HOME.
        detail: the event's.
        who: the event's actor.
        at: the event's time.

    Returns:
        False where the version is archived already.

    Raises:
        VersionNotFound: there is no such version.
        ArchiveDamaged, StoreDamaged: its files or its rows are not those that were archived; nothing changed.
    """
    version = version_by_number(connection, detail["video_id"], detail["version"])
    if version.state == "archived":
        return False
    files = _files_in(detail)
    load(home, version, files)
    move_out(connection, home, version, files, who=who, at=at)
    return True


def replay_unarchived(connection: duckdb.DuckDBPyConnection, home: Path, detail: Mapping[str, Any]) -> bool:
    """Do again what an event ``version.unarchived`` says; see ``replay_archived``.

    No row keeps its author or time.
    """
    version = version_by_number(connection, detail["video_id"], detail["version"])
    if version.state == "committed":
        return False
    move_in(connection, version, load(home, version, files_of(connection, version.version_id)))
    return True


def _mark(connection: duckdb.DuckDBPyConnection, version: StoredVersion, state: str) -> None:
    connection.execute("UPDATE video_versions SET state = ? WHERE version_id = ?", [state, version.version_id])


def _files_in(detail: Mapping[str, Any]) -> list[ArchivedFile]:
    return [ArchivedFile(table, *said) for table, said in detail["files"].items()]
