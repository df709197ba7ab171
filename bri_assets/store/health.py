"""What the store has to say to the looks (``bri_assets.health``): each read answers for all videos at once.

What does not belong here: whether any of it is wrong (the looks), what the comparison with Dagster's runs needs
(``reconciliation``, its dead letters too), and whether a single video is still what was committed (``verify``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from bri_assets.errors import VideoNotFound
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.uploads import ATTEMPT_ID

__all__ = ["Health", "Ingesting", "KeptBackup", "Known", "Named", "Shown", "StageTime", "Times"]


@dataclass(frozen=True)
class Ingesting:
    """An upload that is being ingested, or waits for that.

    Args:
        upload_id: the upload.
        filename: name of the file.
        video_id: what it becomes.
        attempt_id: names its attempt for ever.
        attempts: how often it was tried, this time included; 0 for a copy of a file that is being ingested.
        requested_by: the way in by which the attempt was asked for.
        created_at: when the file arrived, UTC.
        updated_at: when it was claimed, or its run became known, UTC.
    """

    upload_id: str
    filename: str
    video_id: str
    attempt_id: str
    attempts: int
    requested_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Known:
    """Which videos there are.

    Args:
        committed: those that are shown, and when their newest version was committed, UTC.
        uploaded: those that an upload is to become, and that were never committed.
        gone: those that are deleted, are being purged, or were purged and not brought again.
        first_commit_at: when the oldest version that there still is was committed, UTC.
    """

    committed: dict[str, datetime]
    uploaded: list[str]
    gone: list[str]
    first_commit_at: datetime | None


@dataclass(frozen=True)
class Shown:
    """Since when what is shown is as it is.

    Args:
        since: of each video that is shown: since when it shows what it does, UTC.
        less_at: when something was shown for the last time that is shown no more (it was superseded, rolled back from,
            deleted or purged), UTC; None where nothing ever was.
    """

    since: dict[str, datetime]
    less_at: datetime | None


@dataclass(frozen=True)
class StageTime:
    """How long a stage of the version that was committed last took; the video's length in seconds is with it."""

    table: str
    seconds: float
    video_id: str
    version: int
    version_id: int
    duration_s: float


@dataclass(frozen=True)
class KeptBackup:
    """A backup that was not expired: its folder, the size of its database file, and when it was made, UTC."""

    backup_id: str
    path: str
    size_bytes: int
    created_at: datetime


@dataclass(frozen=True)
class Times:
    """The oldest and the newest times that the store holds, UTC, and the backups that it knows.

    Args:
        first_event_at: of the oldest event; None in an empty store.
        newest: the newest time by what it is of: ``audit_log``, ``uploads``, ``video_versions``.
        backups: the backups that were not expired, the newest first.
    """

    first_event_at: datetime | None
    newest: dict[str, datetime]
    backups: list[KeptBackup]


@dataclass(frozen=True)
class Named:
    """What a person means: a video, or an upload that became none."""

    video_id: str | None
    upload_ids: list[str]


class Health(Operations):
    """Reads for the looks on one BRI_HOME; each is one query."""

    @operation()
    def ingesting(self) -> list[Ingesting]:
        """Uploads that are being ingested or wait for that, oldest first; without those of videos that are deleted."""
        with self.file.reading() as connection:
            return [Ingesting(*row) for row in connection.execute(_INGESTING).fetchall()]

    @operation()
    def known(self) -> Known:
        """Which videos there are, and which there are no more."""
        with self.file.reading() as connection:
            ((committed, uploaded, gone, first),) = connection.execute(_KNOWN).fetchall()
        return Known(dict(committed or {}), list(uploaded or []), list(gone or []), first)

    @operation()
    def shown(self) -> Shown:
        """Since when what is shown is as it is."""
        with self.file.reading() as connection:
            ((since, less_at),) = connection.execute(_SHOWN).fetchall()
        return Shown(dict(since or {}), less_at)

    @operation()
    def stage_times(self) -> list[StageTime]:
        """How long the stages of the version took that was committed last."""
        with self.file.reading() as connection:
            return [StageTime(*row) for row in connection.execute(_STAGES).fetchall()]

    @operation()
    def times(self) -> Times:
        """The oldest and newest times, and the backups."""
        with self.file.reading() as connection:
            ((first, newest, backups),) = connection.execute(_TIMES).fetchall()
        known = {name: at for name, at in (newest or {}).items() if at is not None}
        return Times(first, known, [KeptBackup(**backup) for backup in backups or []])

    @operation()
    def told_runs(self) -> list[str]:
        """Runs that open alerts of the rule ``run_failed`` are about."""
        with self.file.reading() as connection:
            return [run_id for (run_id,) in connection.execute(_TOLD_RUNS).fetchall()]

    @operation()
    def named(self, name: str) -> Named:
        """The video or upload that a person means.

        Args:
            name: a video's id or the beginning of it, an upload's id, or a file name.

        Raises:
            VideoNotFound: there is none, or more than one.
        """
        with self.file.reading() as connection:
            return _named(connection, name)


def _named(connection: duckdb.DuckDBPyConnection, name: str) -> Named:
    found = [Named(video_id, uploads) for video_id, uploads in connection.execute(_NAMED, {"name": name}).fetchall()]
    exact = [one for one in found if name in (one.video_id, *one.upload_ids)]
    meant = exact or [one for one in found if one.video_id] or found
    if not meant:
        raise VideoNotFound(name, "neither a video nor an upload has this id or file name.", "See `bri status`.")
    if len({one.video_id for one in meant}) > 1:
        names = ", ".join(one.video_id or one.upload_ids[0] for one in meant[:5])
        raise VideoNotFound(name, f"means more than one video: {names}.", "Name one by its id.")
    return Named(meant[0].video_id, [upload for one in found for upload in one.upload_ids])


_INGESTING = f"""
SELECT upload_id, filename, video_id, {ATTEMPT_ID}, attempts, requested_by, created_at, updated_at FROM uploads
WHERE state = 'ingesting' AND video_id NOT IN (SELECT video_id FROM videos WHERE deleted_at IS NOT NULL)
ORDER BY created_at, upload_id
"""  # noqa: S608 - our own text

_KNOWN = """
WITH shown AS (SELECT c.video_id, max(n.committed_at) AS committed_at
               FROM current_versions c JOIN videos v USING (video_id) JOIN video_versions n USING (video_id)
               WHERE v.deleted_at IS NULL GROUP BY ALL),
     uploaded AS (SELECT DISTINCT video_id FROM uploads WHERE state IN ('ingesting', 'failed') AND video_id IS NOT NULL
                  EXCEPT SELECT video_id FROM videos),
     gone AS (SELECT video_id FROM videos WHERE deleted_at IS NOT NULL
              UNION SELECT video_id FROM purges WHERE finished_at IS NULL
              UNION (SELECT video_id FROM purges EXCEPT SELECT video_id FROM videos
                     EXCEPT SELECT video_id FROM uploads WHERE video_id IS NOT NULL))
SELECT (SELECT map_from_entries(list((video_id, committed_at))) FROM shown),
       (SELECT list(video_id ORDER BY video_id) FROM uploaded), (SELECT list(video_id ORDER BY video_id) FROM gone),
       (SELECT min(committed_at) FROM video_versions)
"""

#: The row of a video is touched by what brings it back, and by little else.
_SHOWN = """
SELECT (SELECT map_from_entries(list((c.video_id, greatest(c.changed_at, v.updated_at))))
        FROM current_versions c JOIN videos v USING (video_id) WHERE v.deleted_at IS NULL),
       greatest((SELECT max(changed_at) FROM pointer_history WHERE from_version_id IS NOT NULL),
                (SELECT max(deleted_at) FROM videos), (SELECT max(finished_at) FROM purges))
"""

_STAGES = """
SELECT l.table_name, l.seconds, v.video_id, n.version, n.version_id, v.duration_s
FROM lineage l JOIN video_versions n USING (version_id) JOIN videos v USING (video_id)
WHERE l.version_id = (SELECT arg_max(n.version_id, n.committed_at) FROM video_versions n JOIN videos v USING (video_id)
                      WHERE v.deleted_at IS NULL)
ORDER BY l.table_name
"""

_TIMES = """
SELECT (SELECT min(occurred_at) FROM audit_log),
       {'audit_log': (SELECT max(occurred_at) FROM audit_log), 'uploads': (SELECT max(updated_at) FROM uploads),
        'video_versions': (SELECT max(committed_at) FROM video_versions)},
       (SELECT list({'backup_id': backup_id, 'path': path, 'size_bytes': size_bytes,
                     'created_at': created_at} ORDER BY created_at DESC)
        FROM backups WHERE expired_at IS NULL)
"""

_TOLD_RUNS = """
SELECT DISTINCT facts ->> 'run_id' FROM alerts
WHERE rule = 'run_failed' AND resolved_at IS NULL AND (facts ->> 'run_id') IS NOT NULL ORDER BY ALL
"""

_NAMED = """
SELECT video_id, coalesce(list(DISTINCT upload_id) FILTER (upload_id IS NOT NULL), [])
FROM (SELECT video_id, filename, NULL AS upload_id FROM videos
      UNION ALL SELECT video_id, filename, upload_id FROM uploads)
WHERE $name <> '' AND (starts_with(video_id, $name) OR filename = $name OR upload_id = $name)
GROUP BY video_id ORDER BY video_id
"""
