"""What the store tells of itself at one moment, for metrics: counts and times, of all videos together.

What does not belong here: how metrics are named and shown (``serve.metrics``), and what of it is wrong (``health``).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from bri_assets.store.access.operations import Operations, operation

__all__ = ["StoreFigures", "Telemetry"]

_BACKLOG = "SELECT epoch(now()) - epoch(min(updated_at)) FROM uploads WHERE state = 'ingesting' AND attempts > 0"

_BACKUP = "SELECT epoch(now()) - epoch(max(created_at)) FROM backups WHERE expired_at IS NULL"

_COMPLETENESS = """
SELECT min(value) FROM quality
SEMI JOIN (SELECT version_id FROM current_versions SEMI JOIN (FROM videos WHERE deleted_at IS NULL) USING (video_id))
USING (version_id)
WHERE figure = 'completeness'
"""


@dataclass(frozen=True)
class StoreFigures:
    """The store at one moment.

    Args:
        uploads: how many, by state.
        events: how many the audit log has ever had, by action; they only grow.
        alerts: how many are not resolved, by severity.
        videos: how many are shown.
        versions: how many are committed, archived ones too.
        backlog_age_s: how long the upload that is ingested for the longest time has been; 0 where none is.
        backup_age_s: age of the newest backup; None without one.
        completeness_min: the least completeness of a video that is shown, 0 to 1; None where none was measured.
    """

    uploads: dict[str, int]
    events: dict[str, int]
    alerts: dict[str, int]
    videos: int
    versions: int
    backlog_age_s: float
    backup_age_s: float | None
    completeness_min: float | None


class Telemetry(Operations):
    """Figures for metrics; see ``Operations`` for what it is made of and what every method raises."""

    @operation()
    def figures(self) -> StoreFigures:
        """The store now."""
        with self.file.reading() as connection:
            return StoreFigures(
                uploads=_counts(connection, "SELECT state, count(*) FROM uploads GROUP BY ALL"),
                events=_counts(connection, "SELECT action, count(*) FROM audit_log GROUP BY ALL"),
                alerts=_counts(
                    connection, "SELECT severity, count(*) FROM alerts WHERE resolved_at IS NULL GROUP BY ALL"
                ),
                videos=int(_one(connection, "SELECT count(*) FROM v_videos") or 0),
                versions=int(_one(connection, "SELECT count(*) FROM video_versions") or 0),
                # A clock that was set back makes ages of less than nothing.
                backlog_age_s=max(_one(connection, _BACKLOG) or 0.0, 0.0),
                backup_age_s=_one(connection, _BACKUP),
                completeness_min=_one(connection, _COMPLETENESS),
            )


def _counts(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    return {str(name): int(count) for name, count in connection.execute(query).fetchall()}


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> float | None:
    found = connection.execute(query).fetchone()
    return None if found is None or found[0] is None else float(found[0])
