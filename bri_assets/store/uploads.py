"""The table ``uploads``: which files arrived, what became of them, and who works on them.

Every function runs in the caller's transaction and leaves its row in the audit log. What does not belong here: what a
claim comes to (``claims``) and what becomes of the uploads of a purged video (``purge_rows``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import duckdb

from bri_assets.files import sha256_bytes
from bri_assets.store import audit
from bri_assets.store.claims import ClaimResult, hurry, judge, known_video, outcome

__all__ = [
    "ATTEMPT_ID",
    "Claim",
    "ClaimResult",
    "NewUpload",
    "PendingUpload",
    "claim",
    "keep_committed",
    "mark_committed",
    "mark_failed",
    "pending",
    "quarantine",
    "seen",
    "set_run",
]


#: The time of arrival tells the attempts of a store that was made anew from those that Dagster still remembers.
ATTEMPT_ID = "upload_id || ':' || attempts || ':' || epoch_us(created_at)"

#: A repeated upload whose video another one is being made of: it waits for that one. Its own row stays as it was, for
#: an attempt of its own that ended would be taken for the one that goes on.
_WAITS = "excluded.state = 'ingesting' AND excluded.attempts = 0 AND attempts > 0"

_EVENTS = {ClaimResult.INGEST: "upload.accepted", ClaimResult.PURGED: "upload.quarantined"}


@dataclass(frozen=True)
class NewUpload:
    """A file that was looked at.

    Args:
        path: absolute path.
        filename: its name.
        signature: what tells whether it changed.
        size_bytes: >= 0.
        sha256: hash of its bytes; None where they could not be read.
        video_id: the id that it would get as a new video; None where it is refused.
    """

    path: str
    filename: str
    signature: str
    size_bytes: int
    sha256: str | None
    video_id: str | None

    @property
    def upload_id(self) -> str:
        """The same path with the same content is the same upload; unreadable content goes by its signature."""
        identity = "\0".join((self.path, self.sha256 or self.signature))
        return f"u-{sha256_bytes(identity.encode(errors='surrogateescape'))[:16]}"


@dataclass(frozen=True)
class Claim:
    """Who may run: on ``INGEST`` the caller, who then runs attempt number ``attempt`` of ``video_id``.

    ``attempt_id`` names the attempt for ever: not even in a store that was made anew does it mean another one. On
    ``DELETED`` (the video is deleted or being purged) and ``PURGED`` (it was purged, and nobody asked for it anew),
    ``reason`` says when, and what to do.
    """

    result: ClaimResult
    upload_id: str
    video_id: str
    attempt: int
    attempt_id: str
    reason: str | None = None


@dataclass(frozen=True)
class PendingUpload:
    """An upload that is being ingested.

    Args:
        upload_id: the upload.
        video_id: what it becomes.
        attempt_id: names the attempt for ever.
        priority: higher goes first.
        requested_by: the way in by which this attempt was asked for; `cli` runs it itself.
        run_id: its run; None before one is known.
        age_s: seconds since it was claimed, or since its run became known.
        attempt: its number, from 1.
    """

    upload_id: str
    video_id: str
    attempt_id: str
    priority: int
    requested_by: str
    run_id: str | None
    age_s: float
    attempt: int = 1


def claim(
    connection: duckdb.DuckDBPyConnection, upload: NewUpload, *, requested_by: str, priority: int, who: str
) -> Claim:
    """Say whether the caller shall ingest an accepted upload, and if so reserve it.

    A video that is committed or being ingested already (under any name), or is deleted, is not ingested again; one that
    was purged only when a person asks for it.

    Args:
        connection: with a transaction open.
        upload: with ``sha256`` and ``video_id``.
        requested_by: `cli`, `sensor`, …
        priority: higher goes first.
        who: for the audit log.
    """
    video_id = known_video(connection, upload.sha256) or upload.video_id
    if video_id is None:
        raise ValueError("an upload without a video id cannot be claimed")
    result, reason = judge(connection, upload.sha256, video_id, requested_by)
    if result is ClaimResult.INGESTING:
        hurry(connection, video_id, priority, who)
    attempt, attempt_id = _upsert(
        connection,
        upload,
        {
            "video_id": video_id,
            "code": None,
            "reason": None,
            "requested_by": requested_by,
            "priority": priority,
            "run_id": None,
            "tries": 1 if result is ClaimResult.INGEST else 0,
            **outcome(connection, result, video_id, reason),
        },
        who,
    )
    told = "purged" if result is ClaimResult.PURGED else video_id
    _audit(connection, _EVENTS.get(result, "upload.repeated"), upload, who, told)
    return Claim(result, upload.upload_id, video_id, attempt, attempt_id, reason)


def quarantine(
    connection: duckdb.DuckDBPyConnection, upload: NewUpload, *, code: str, reason: str, requested_by: str, who: str
) -> None:
    """Record that a file is no video that can be ingested, and why."""
    values = {
        "video_id": None,
        "state": "quarantined",
        "code": code,
        "reason": reason,
        "requested_by": requested_by,
        "priority": 0,
        "run_id": None,
        "tries": 1,
    }
    _upsert(connection, upload, values, who)
    _audit(connection, "upload.quarantined", upload, who, code)


def mark_committed(
    connection: duckdb.DuckDBPyConnection, video_id: str, *, run_id: str, who: str, at: datetime | None = None
) -> None:
    """Every upload that became this video is committed."""
    connection.execute(
        """UPDATE uploads SET state = 'committed', code = NULL, reason = NULL, run_id = $run_id,
                  updated_at = coalesce($at, now()), updated_by = $who
           WHERE video_id = $video_id""",
        {"run_id": run_id, "at": at, "who": who, "video_id": video_id},
    )


def keep_committed(
    connection: duckdb.DuckDBPyConnection, upload: NewUpload, *, run_id: str | None, who: str, at: datetime
) -> None:
    """Record an upload whose video is committed, where a restored store does not know it; for a replay."""
    connection.execute(
        """INSERT INTO uploads
           VALUES ($upload_id, $path, $filename, $signature, $size_bytes, $sha256, $video_id, 'committed', NULL, NULL,
                   1, 0, 'restore', $run_id, $at, $who, $at, $who)
           ON CONFLICT DO NOTHING""",
        {
            "upload_id": upload.upload_id,
            **asdict(upload),
            "run_id": run_id,
            "who": who,
            "at": at,
        },
    )


def mark_failed(
    connection: duckdb.DuckDBPyConnection, video_id: str, *, run_id: str | None, who: str, code: str, reason: str
) -> None:
    """The ingest of this video failed; where an earlier version is committed, its uploads stay committed."""
    ended = connection.execute(
        "SELECT upload_id, attempts FROM uploads WHERE video_id = ? AND state = 'ingesting' AND attempts > 0",
        [video_id],
    ).fetchall()
    attempts = dict(ended)
    changed = connection.execute(
        """UPDATE uploads SET state = 'failed', code = ?, reason = ?, run_id = coalesce(?, run_id),
                  updated_at = now(), updated_by = ?
           WHERE video_id = ? AND state IN ('ingesting', 'failed') RETURNING upload_id""",
        [code, reason, run_id, who, video_id],
    ).fetchall()
    for (upload_id,) in changed:
        # Which attempt it was that ended so; of copies of the file, which were not tried, there is none.
        attempt = {"attempt": attempts[upload_id]} if upload_id in attempts else {}
        audit.record(
            connection,
            who=who,
            action="upload.failed",
            entity="uploads",
            entity_id=upload_id,
            run_id=run_id,
            detail={"video_id": video_id, "code": code, **attempt},
        )


def set_run(connection: duckdb.DuckDBPyConnection, upload_id: str, run_id: str, *, who: str) -> None:
    """Record the run that works on an upload; of one that is not there, nothing."""
    changed = connection.execute(
        """UPDATE uploads SET run_id = $run_id, updated_at = now(), updated_by = $who
           WHERE upload_id = $upload_id RETURNING upload_id""",
        {"run_id": run_id, "who": who, "upload_id": upload_id},
    ).fetchall()
    for _ in changed:
        audit.record(connection, who=who, action="upload.started", entity="uploads", entity_id=upload_id, run_id=run_id)


def pending(connection: duckdb.DuckDBPyConnection) -> list[PendingUpload]:
    """Uploads that are being ingested, the most urgent and among equals the oldest first."""
    found = connection.execute(
        f"""SELECT upload_id, video_id, {ATTEMPT_ID}, priority, requested_by, run_id,
                  epoch(now()) - epoch(updated_at), attempts
           FROM uploads WHERE state = 'ingesting' AND attempts > 0 ORDER BY priority DESC, created_at, upload_id"""  # noqa: S608 - our own text
    ).fetchall()
    return [PendingUpload(*row) for row in found]


def seen(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The signature under which each path was last looked at."""
    found = connection.execute("SELECT path, arg_max(signature, updated_at) FROM uploads GROUP BY path").fetchall()
    return dict(found)


def _upsert(
    connection: duckdb.DuckDBPyConnection, upload: NewUpload, values: dict[str, str | int | None], who: str
) -> tuple[int, str]:
    attempt = connection.execute(
        f"""INSERT INTO uploads
           VALUES ($upload_id, $path, $filename, $signature, $size_bytes, $sha256, $video_id, $state, $code, $reason,
                   $tries, $priority, $requested_by, $run_id, now(), $who, now(), $who)
           ON CONFLICT (upload_id) DO UPDATE SET
               signature = excluded.signature, size_bytes = excluded.size_bytes, video_id = excluded.video_id,
               state = CASE WHEN {_WAITS} THEN state ELSE excluded.state END,
               code = CASE WHEN {_WAITS} THEN code ELSE excluded.code END,
               reason = CASE WHEN {_WAITS} THEN reason ELSE excluded.reason END,
               requested_by = CASE WHEN {_WAITS} THEN requested_by ELSE excluded.requested_by END,
               priority = CASE WHEN {_WAITS} THEN greatest(priority, excluded.priority) ELSE excluded.priority END,
               run_id = CASE WHEN excluded.attempts > 0 THEN excluded.run_id ELSE run_id END,
               attempts = attempts + excluded.attempts,
               updated_at = excluded.updated_at, updated_by = excluded.updated_by
           RETURNING attempts, {ATTEMPT_ID}""",  # noqa: S608 - our own text
        {
            "upload_id": upload.upload_id,
            **asdict(upload),
            "who": who,
            **values,
        },
    ).fetchone()
    if attempt is None:
        raise AssertionError("INSERT … RETURNING returned no row")
    return int(attempt[0]), str(attempt[1])


def _audit(connection: duckdb.DuckDBPyConnection, action: str, upload: NewUpload, who: str, outcome: str) -> None:
    audit.record(
        connection,
        who=who,
        action=action,
        entity="uploads",
        entity_id=upload.upload_id,
        rows_sha256=upload.sha256,
        detail={"outcome": outcome},
    )
