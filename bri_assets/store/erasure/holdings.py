"""Everything that the store holds about one video, deleted or not, in pieces that may travel: for an export.

Nothing here changes a row. What does not belong here: files (``bri_assets.export``), and what readers are shown
(``reads``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from bri_assets.schemas import VERSIONED_TABLES
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.archives.archived import ArchivedFile, StoredVersion, files_of, version_by_id
from bri_assets.store.deletion import Standing, find_held, standing

__all__ = ["Held", "HeldVersion", "Holdings"]


@dataclass(frozen=True)
class HeldVersion:
    """A version, and the files of the archive that hold its rows; none where the database does."""

    stored: StoredVersion
    archived: list[ArchivedFile]


@dataclass(frozen=True)
class Held:
    """What is held about a video, but for the rows of its versions.

    Args:
        standing: whether it is deleted, being purged, or was purged.
        versions: oldest first.
        records: the rows of the small tables, by table, each with the table's own columns.
    """

    standing: Standing
    versions: list[HeldVersion]
    records: dict[str, list[dict[str, Any]]]


class Holdings(Operations):
    """Reads of everything about one video."""

    @operation()
    def held(self, name: str) -> Held:
        """All that is held about a video but the rows of its versions.

        Args:
            name: its id, the beginning of it, or a file name; it may be deleted, failed or purged.

        Raises:
            VideoNotFound: there is no such video, or more than one.
            StoreDamaged: the lineage of a version is not whole.
        """
        with self.file.reading() as connection:
            video_id = find_held(connection, name)
            numbers = connection.execute(
                "SELECT version_id FROM video_versions WHERE video_id = ? ORDER BY version", [video_id]
            ).fetchall()
            versions = [
                HeldVersion(version_by_id(connection, number), files_of(connection, number)) for (number,) in numbers
            ]
            records = {table: _records(connection, query, video_id) for table, query in _RECORDS.items()}
            return Held(standing(connection, video_id), versions, records)

    @operation()
    def rows(self, version_id: int, table: str) -> bytes:
        """The rows that the database holds of one table of a version, in the order of their keys, with its own columns.

        Returns:
            An Arrow IPC stream; without rows for a version that is gone or archived.
        """
        spec = next(spec for spec in VERSIONED_TABLES if spec.name == table)
        names = ", ".join(column.name for column in spec.columns)
        query = f"SELECT {names} FROM {spec.name} WHERE version_id = ? ORDER BY {', '.join(spec.key)}"  # noqa: S608 - our own names
        with self.file.reading() as connection:
            found = connection.execute(query, [version_id]).to_arrow_table()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, found.schema) as stream:
            stream.write_table(found)
        return bytes(sink.getvalue())


def _records(connection: duckdb.DuckDBPyConnection, query: str, video_id: str) -> list[dict[str, Any]]:
    found = connection.execute(query, {"video_id": video_id})
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


_OF_VERSIONS = "WHERE version_id IN (SELECT version_id FROM video_versions WHERE video_id = $video_id)"

#: Events that name the video, and all others of its versions and uploads; ids stand in the detail as JSON text.
_EVENTS = """
WITH named AS (
    SELECT event_id, entity, entity_id FROM audit_log
    WHERE entity_id = $video_id OR contains(detail::VARCHAR, '"' || $video_id || '"')
), mine AS (
    SELECT entity, entity_id FROM named WHERE entity IN ('uploads', 'video_versions')
    UNION SELECT 'uploads', upload_id FROM uploads WHERE video_id = $video_id
    UNION SELECT 'video_versions', version_id::VARCHAR FROM video_versions WHERE video_id = $video_id
)
"""

_RECORDS = {
    "videos": "SELECT * FROM videos WHERE video_id = $video_id",
    "video_versions": "SELECT * FROM video_versions WHERE video_id = $video_id ORDER BY version",
    "current_versions": "SELECT * FROM current_versions WHERE video_id = $video_id",
    "pointer_history": "SELECT * FROM pointer_history WHERE video_id = $video_id ORDER BY change_id",
    "lineage": f"SELECT * FROM lineage {_OF_VERSIONS} ORDER BY version_id, table_name",  # noqa: S608 - our own text
    "proofs": f"SELECT * FROM proofs {_OF_VERSIONS} ORDER BY version_id, proof",  # noqa: S608 - our own text
    "video_class_stats": f"SELECT * FROM video_class_stats {_OF_VERSIONS} ORDER BY version_id, class_name",  # noqa: S608 - our own text
    "quality": f"SELECT * FROM quality {_OF_VERSIONS} ORDER BY version_id, figure",  # noqa: S608 - our own text
    "archived_tables": f"SELECT * FROM archived_tables {_OF_VERSIONS} ORDER BY version_id, table_name",  # noqa: S608 - our own text
    "uploads": f"""{_EVENTS} SELECT * FROM uploads
        WHERE upload_id IN (SELECT entity_id FROM mine WHERE entity = 'uploads') ORDER BY created_at, upload_id""",  # noqa: S608 - our own text
    "alerts": "SELECT * FROM alerts WHERE video_id = $video_id ORDER BY fired_at, alert_id",
    "alert_deliveries": "SELECT * FROM alert_deliveries WHERE video_id = $video_id ORDER BY alert_id, notice, channel",
    "memory": "SELECT * FROM memory WHERE video_id = $video_id ORDER BY message_id",
    "purges": "SELECT * FROM purges WHERE video_id = $video_id",
    "audit_log": f"""{_EVENTS} SELECT * FROM audit_log
        WHERE event_id IN (SELECT event_id FROM named) OR (entity, entity_id) IN (SELECT (entity, entity_id) FROM mine)
        ORDER BY event_id""",  # noqa: S608 - our own text
}
