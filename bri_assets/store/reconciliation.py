"""What the store has to say where it is compared with Dagster and the disk, and the repairs that are made in it.

Each read answers for all videos at once, each repair takes all that are due at once and looks again, in its own
transaction, whether they still are. What does not belong here: the comparison (``health.disagreements``), and what is
repaired (``health.repairs``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from bri_assets.store import audit, uploads
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.dead_letters import STANDS, DeadLetter, dead_letters
from bri_assets.store.uploads import ATTEMPT_ID

__all__ = ["DeadLetter", "Ended", "Known", "Reconciliation", "Repaired", "Retry", "Started"]


@dataclass(frozen=True)
class Known:
    """Which videos the store knows.

    Args:
        committed: those that are shown: when their newest version was committed, UTC.
        uploaded: those that an upload is, or was to become, and that were never committed.
        others: those that are or were deleted or purged.
        mislabelled: those that are shown though an upload of theirs is not recorded as committed.
        unfounded: uploads that are recorded as committed though nothing is shown of them: the path by the upload's id.
        restored_at: when the store was restored last, UTC; None where it never was.
    """

    committed: dict[str, datetime]
    uploaded: list[str]
    others: list[str]
    mislabelled: list[str]
    unfounded: dict[str, str]
    restored_at: datetime | None


@dataclass(frozen=True)
class Ended:
    """An attempt that has ended without a commit: which, in which run, and why."""

    upload_id: str
    video_id: str
    attempt_id: str
    run_id: str | None
    code: str
    reason: str


@dataclass(frozen=True)
class Started:
    """An upload and the run that works on it."""

    upload_id: str
    run_id: str


@dataclass(frozen=True)
class Retry:
    """A failed upload that is to be tried again, and how often it was tried when that was decided."""

    upload_id: str
    attempts: int


@dataclass(frozen=True)
class Repaired:
    """A repair, for the audit log: what was done, to what (a table or ``partitions``, ``runs``, and a key of it)."""

    repair: str
    entity: str
    entity_id: str
    detail: dict[str, Any] = field(default_factory=dict)


class Reconciliation(Operations):
    """Comparison and repair of one BRI_HOME's store; see ``Operations``, whose errors every method raises."""

    @operation()
    def dead_letters(self) -> list[DeadLetter]:
        """Failed and quarantined uploads, the most urgent and among equals the oldest first."""
        with self.file.reading() as connection:
            return dead_letters(connection)

    @operation()
    def known(self) -> Known:
        """Which videos the store knows."""
        with self.file.reading() as connection:
            restored = "SELECT max(occurred_at) FROM audit_log WHERE action = 'store.restored'"
            return Known(
                dict(connection.execute(_COMMITTED).fetchall()),
                [video_id for (video_id,) in connection.execute(_UPLOADED).fetchall()],
                [video_id for (video_id,) in connection.execute(_OTHERS).fetchall()],
                [video_id for (video_id,) in connection.execute(_MISLABELLED).fetchall()],
                dict(connection.execute(_UNFOUNDED).fetchall()),
                connection.execute(restored).fetchall()[0][0],
            )

    @operation()
    def judged(self, bundles: list[str]) -> dict[str, str]:
        """Those of some bundles, by their hashes, that were ``committed`` or ``refused`` before, whatever came after.

        A refusal holds only until the bundle is committed after all.
        """
        with self.file.reading() as connection:
            found = connection.execute(
                """WITH asked AS (SELECT unnest($bundles::VARCHAR[]) AS rows_sha256)
                   SELECT rows_sha256, split_part(action, '.', 2) FROM audit_log SEMI JOIN asked USING (rows_sha256)
                   WHERE action IN ('version.refused', 'version.committed')
                   UNION SELECT bundle_sha256, 'committed' FROM video_versions
                   SEMI JOIN asked ON rows_sha256 = bundle_sha256
                   ORDER BY ALL DESC""",
                {"bundles": bundles},
            ).fetchall()
            return dict(found)

    @operation()
    def fail(self, ended: list[Ended], *, channel: str) -> list[str]:
        """Record that attempts ended without a commit; one that was recorded, or begun anew, meanwhile is left alone.

        Returns:
            The uploads that are failed now.
        """
        done, who = [], audit.actor(channel)
        with self.writing() as connection:
            for attempt in ended:
                goes_on = connection.execute(
                    f"SELECT 1 FROM uploads WHERE upload_id = ? AND state = 'ingesting' AND {ATTEMPT_ID} = ?",  # noqa: S608 - our own text
                    [attempt.upload_id, attempt.attempt_id],
                ).fetchone()
                if goes_on:
                    uploads.mark_failed(
                        connection,
                        attempt.video_id,
                        run_id=attempt.run_id,
                        who=who,
                        code=attempt.code,
                        reason=attempt.reason,
                    )
                    done.append(attempt.upload_id)
        return done

    @operation()
    def start(self, started: list[Started], *, channel: str) -> None:
        """Record the runs that work on uploads."""
        with self.writing() as connection:
            for one in started:
                uploads.set_run(connection, one.upload_id, one.run_id, who=audit.actor(channel))

    @operation()
    def retry(self, retries: list[Retry], *, channel: str) -> list[str]:
        """Reserve failed uploads for another attempt, as a claim does: of whoever asks at once, one gets it.

        Args:
            retries: which.
            channel: the way in; the attempt's run is left to the sensor.

        Returns:
            The uploads that are reserved; the others were tried or changed meanwhile, or their video needs no attempt.
        """
        done, who = [], audit.actor(channel)
        with self.writing() as connection:
            for one in retries:
                asked = {"upload_id": one.upload_id, "attempts": one.attempts, "channel": channel, "who": who}
                found = connection.execute(_RETRY, asked).fetchone()
                if found:
                    detail = {"video_id": found[0], "attempt": one.attempts + 1}
                    _record(connection, "upload.retried", "uploads", one.upload_id, who, detail)
                    done.append(one.upload_id)
        return done

    @operation()
    def label(self, video_ids: list[str], *, channel: str) -> list[str]:
        """Record uploads as committed whose videos are; returns the uploads."""
        with self.writing() as connection:
            who = audit.actor(channel)
            found = connection.execute(_LABEL, {"video_ids": video_ids, "who": who}).fetchall()
            for upload_id, video_id in found:
                _record(connection, "upload.committed", "uploads", upload_id, who, {"video_id": video_id})
            return [upload_id for upload_id, _ in found]

    @operation()
    def record(self, repaired: list[Repaired], *, channel: str) -> None:
        """Keep in the audit log what was repaired."""
        with self.writing() as connection:
            for one in repaired:
                detail = {"repair": one.repair, **one.detail}
                _record(connection, "reconcile.repaired", one.entity, one.entity_id, audit.actor(channel), detail)


def _record(
    connection: duckdb.DuckDBPyConnection, action: str, entity: str, entity_id: str, who: str, detail: dict[str, Any]
) -> None:
    audit.record(connection, who=who, action=action, entity=entity, entity_id=entity_id, detail=detail)


_COMMITTED = """
SELECT c.video_id, max(n.committed_at)
FROM current_versions c JOIN videos v USING (video_id) JOIN video_versions n USING (video_id)
WHERE v.deleted_at IS NULL AND NOT EXISTS (
  SELECT 1 FROM purges p WHERE p.video_id = c.video_id AND p.finished_at IS NULL)
GROUP BY ALL
"""

_UPLOADED = """
SELECT DISTINCT video_id FROM uploads WHERE state IN ('failed', 'ingesting') AND video_id IS NOT NULL
EXCEPT SELECT video_id FROM videos
EXCEPT SELECT video_id FROM purges WHERE finished_at IS NULL
ORDER BY ALL
"""

_OTHERS = """
SELECT video_id FROM videos WHERE deleted_at IS NOT NULL
UNION SELECT video_id FROM purges
UNION SELECT video_id FROM uploads WHERE state = 'committed' AND video_id IS NOT NULL
ORDER BY ALL
"""

_MISLABELLED = f"""
SELECT DISTINCT u.video_id FROM uploads u WHERE u.state IN ('failed', 'ingesting') AND {STANDS} = 'committed'
ORDER BY ALL
"""  # noqa: S608 - our own text

_UNFOUNDED = f"""
SELECT u.upload_id, u.path FROM uploads u WHERE u.state = 'committed' AND {STANDS} = '' ORDER BY ALL
"""  # noqa: S608 - our own text

_RETRY = f"""
UPDATE uploads u SET state = 'ingesting', code = NULL, reason = NULL, attempts = attempts + 1, run_id = NULL,
                     requested_by = $channel, updated_at = now(), updated_by = $who
WHERE u.upload_id = $upload_id AND u.attempts = $attempts AND u.state = 'failed' AND {STANDS} = ''
RETURNING u.video_id
"""  # noqa: S608 - our own text

_LABEL = f"""
UPDATE uploads u SET state = 'committed', code = NULL, reason = NULL, updated_at = now(), updated_by = $who
WHERE list_contains($video_ids, u.video_id) AND u.state IN ('failed', 'ingesting') AND {STANDS} = 'committed'
RETURNING u.upload_id, u.video_id
"""  # noqa: S608 - our own text
