"""Dead letters: uploads that failed or are quarantined, with what decides on another try.

What does not belong here: whether there is one (``health.retries``), and reserving it (``reconciliation``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from bri_assets.staging import Source
from bri_assets.store.uploads import ATTEMPT_ID

__all__ = ["MACHINES", "STANDS", "DeadLetter", "dead_letters"]

#: Ways in that no person stands behind: of attempts that they asked for, there are only so many.
MACHINES = ("sensor", "reconcile")


@dataclass(frozen=True)
class DeadLetter:
    """An upload that failed or is quarantined, and whose path holds nothing newer.

    Args:
        upload_id: the upload.
        video_id: what it was to become; None where it is quarantined.
        path: absolute path of the file.
        filename: its name.
        signature: of the file when it was looked at.
        sha256: hash of its bytes; None where they could not be read.
        state: ``failed`` or ``quarantined``.
        code: one word for why.
        reason: why, for a person.
        attempts: how often it was tried, by whoever asked.
        tries: how often a machine had its video tried, under any name of the file; not counted is where nothing was
            begun, for a breaker was open.
        priority: higher goes first.
        run_id: the run that failed.
        attempt_id: names the last attempt for ever.
        created_at: when the file arrived, UTC.
        updated_at: when it failed, UTC.
        video: how its video stands: ``ingesting`` (of a copy of the file), ``committed``, ``deleted``, ``purging``, or
            empty.
    """

    upload_id: str
    video_id: str | None
    path: str
    filename: str
    signature: str
    sha256: str | None
    state: str
    code: str | None
    reason: str | None
    attempts: int
    tries: int
    priority: int
    run_id: str | None
    attempt_id: str
    created_at: datetime
    updated_at: datetime
    video: str

    @property
    def source(self) -> Source:
        """The file, for the staging area: what the assets of its video read."""
        return Source(
            video_id=self.video_id or "",
            path=self.path,
            filename=self.filename,
            sha256=self.sha256 or "",
            signature=self.signature,
        )


def dead_letters(connection: duckdb.DuckDBPyConnection) -> list[DeadLetter]:
    """Every dead letter, the most urgent and among equals the oldest first."""
    found = connection.execute(_DEAD_LETTERS, {"machines": list(MACHINES)}).fetchall()
    return [DeadLetter(*row) for row in found]


#: How a video stands, by its id ``u.video_id``, for whoever wants to try its upload again.
STANDS = """
CASE WHEN EXISTS (SELECT 1 FROM purges p WHERE p.video_id = u.video_id AND p.finished_at IS NULL) THEN 'purging'
     WHEN EXISTS (SELECT 1 FROM videos v WHERE v.video_id = u.video_id AND v.deleted_at IS NOT NULL) THEN 'deleted'
     WHEN EXISTS (SELECT 1 FROM current_versions c WHERE c.video_id = u.video_id) THEN 'committed'
     WHEN EXISTS (SELECT 1 FROM uploads o WHERE o.video_id = u.video_id AND o.state = 'ingesting') THEN 'ingesting'
     ELSE '' END
"""

_DEAD_LETTERS = f"""
WITH newest AS (
  SELECT * FROM uploads QUALIFY updated_at = max(updated_at) OVER (PARTITION BY path)
), asked AS (
  SELECT entity_id AS upload_id, count(*) AS tries FROM audit_log
  WHERE action IN ('upload.accepted', 'upload.retried')
    AND list_contains($machines, split_part(actor, ':', 1)) GROUP BY ALL
), spared AS (
  SELECT entity_id AS upload_id, count(DISTINCT detail ->> 'attempt') AS tries FROM audit_log
  WHERE action = 'upload.failed' AND (detail ->> 'code') = 'breaker_open' GROUP BY ALL
), tries AS (
  SELECT u.video_id, sum(greatest(a.tries - coalesce(s.tries, 0), 0))::INTEGER AS tries
  FROM uploads u JOIN asked a USING (upload_id) LEFT JOIN spared s USING (upload_id) GROUP BY ALL
)
SELECT u.upload_id, u.video_id, u.path, u.filename, u.signature, u.sha256, u.state, u.code, u.reason, u.attempts,
       coalesce(t.tries, 0), u.priority, u.run_id, {ATTEMPT_ID}, u.created_at, u.updated_at, {STANDS}
FROM newest u LEFT JOIN tries t USING (video_id)
WHERE u.state IN ('failed', 'quarantined') ORDER BY u.priority DESC, u.created_at, u.upload_id
"""  # noqa: S608 - our own text
