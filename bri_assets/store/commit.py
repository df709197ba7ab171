"""The commit: all tables of a video or none, proven before it and read back after it.

One transaction inserts a new version of the four tables, runs every proof over what it inserted, compares what the
database gives back with the staged manifests and flips the pointer. A refusal rolls all of it back and is recorded in a
transaction of its own. What does not belong here: reading staged files or images (``Store.commit`` does, before the
transaction begins) and opening the database (``connection``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
import pandas as pd

from bri_assets.errors import CommitRefused, CommitUnverified, StoreDamaged
from bri_assets.schemas import SOURCE_VIDEO, VERSIONED_TABLES
from bri_assets.staging import Bundle
from bri_assets.store import audit, pointer, quality, rows, uploads
from bri_assets.store.access.connection import transaction
from bri_assets.store.access.duck import cursor
from bri_assets.store.deletion import require_not_deleted
from bri_assets.store.proofs import ProofResult, kept_proofs, prove

__all__ = ["CommitRequest", "CommittedVersion", "commit", "insert_and_prove", "require_committed"]


@dataclass(frozen=True)
class CommitRequest:
    """Everything that one commit needs, read and hashed beforehand.

    Args:
        bundle: the staged manifests.
        rows: the rows of each staged table, by its name.
        images: hash of each frame's image as it lies on disk now, by frame index; a missing image has none.
        run_id: the Dagster run that commits.
        who: as ``audit.actor`` gives it.
        at: when; None for now. A replay gives the time of the first commit.
        numbers: of the version in the whole store and of its video, as they were, for a replay; None for the next.
    """

    bundle: Bundle
    rows: Mapping[str, pd.DataFrame]
    images: Mapping[int, str]
    run_id: str
    who: str
    at: datetime | None = None
    numbers: tuple[int, int] | None = None


@dataclass(frozen=True)
class CommittedVersion:
    """A version that is committed and was read back.

    Args:
        video_id: the video.
        version_id: its number in the whole store.
        version: its number among the video's versions, from 1.
        counts: rows by table.
        proofs: how each proof came out.
        quality: its figures, as ``quality.FIGURES`` names them; None where there is nothing to measure.
    """

    video_id: str
    version_id: int
    version: int
    counts: dict[str, int]
    proofs: tuple[ProofResult, ...]
    quality: dict[str, float | None] = field(default_factory=dict)


def commit(connection: duckdb.DuckDBPyConnection, request: CommitRequest) -> CommittedVersion:
    """Commit a bundle; the same bundle a second time is the same version.

    Args:
        connection: an open store without a transaction.
        request: what to commit.

    Returns:
        The version, after it was read through a new cursor.

    Raises:
        VideoDeleted: the video is deleted, or being purged; nothing changed.
        CommitRefused: a proof or a constraint failed; nothing changed but the record of the refusal.
        CommitUnverified: the database acknowledged the commit but gives back something else.
    """
    try:
        with transaction(connection):
            require_not_deleted(connection, request.bundle.video_id)
            known = _committed_before(connection, request)
            committed = known or insert_and_prove(connection, request)
            if known is None:
                _record_commit(connection, request, committed)
    except CommitRefused as refusal:
        _record_refusal(connection, request, refusal)
        raise
    if known is None:
        _verify(cursor(connection), request, committed)
    return committed


def require_committed(connection: duckdb.DuckDBPyConnection, video_id: str, version_id: int | None = None) -> None:
    """See that the rows of a version are those that were committed; of no version, nothing is asked.

    The facts of the file are not asked about: they are those of the version that is shown (``facts``).

    Args:
        connection: an open store.
        video_id: the video.
        version_id: the version, whose rows are not in the archive; default: the one that is shown.

    Raises:
        StoreDamaged: rows were changed, added or removed behind the store's back.
    """
    shown = pointer.shown(connection, video_id)
    asked = shown if version_id is None else version_id
    lineage = connection.execute(
        """SELECT n.version, l.table_name, l.row_count, l.content_sha256
           FROM video_versions n LEFT JOIN lineage l USING (version_id) WHERE n.version_id = ?""",
        [asked],
    ).fetchall()
    if asked is None or not lineage:
        return
    said = {name: (count, content) for _, name, count, content in lineage}
    back = rows.read_back(connection, video_id, asked).to_pylist()
    held = {row["table_name"]: (row["row_count"], row["content_sha256"]) for row in back}
    wrong = [name for name in held if name not in said or (name != SOURCE_VIDEO.name and held[name] != said[name])]
    if wrong:
        remedy = "Materialize those assets and committed_video of this partition again, or restore a backup."
        raise StoreDamaged(
            video_id,
            f"the rows in {', '.join(wrong)} of version {lineage[0][0]} are not those that were committed:"
            " somebody changed the database by hand.",
            remedy if asked == shown else "Take another version (`bri history`), or restore a backup.",
        )


def _committed_before(connection: duckdb.DuckDBPyConnection, request: CommitRequest) -> CommittedVersion | None:
    """The version that this bundle already is: proven again where it is shown, else as it was proven then.

    A version that is not shown may lie in the archive, and the facts of the file are those of the one that is. It is
    not shown again: that a person rolled back is not undone by a retry.
    """
    found = connection.execute(
        """SELECT version_id, version, frames, captions, transcript_segments, detections
           FROM video_versions WHERE bundle_sha256 = ?""",
        [request.bundle.sha256],
    ).fetchone()
    if found is None:
        return None
    counts = dict(zip(("frames", "captions", "transcripts", "detections"), found[2:], strict=True))
    shown = pointer.shown(connection, request.bundle.video_id) == found[0]
    results = _prove(connection, found[0], request) if shown else kept_proofs(connection, found[0])
    figures = quality.kept(connection, found[0])
    return CommittedVersion(request.bundle.video_id, found[0], found[1], counts, tuple(results), figures)


def insert_and_prove(connection: duckdb.DuckDBPyConnection, request: CommitRequest) -> CommittedVersion:
    """Insert a version, prove it and show it, in the caller's transaction; the audit row is the caller's.

    Raises:
        CommitRefused: a proof or a constraint failed; the caller has to roll back.
    """
    video_id = request.bundle.video_id
    who, at = request.who, request.at
    try:
        rows.upsert_video(connection, request.rows["source_video"], who=who, at=at)
        version_id, version = rows.insert_version(
            connection, request.bundle, run_id=request.run_id, numbers=request.numbers, who=who, at=at
        )
        for spec in VERSIONED_TABLES:
            rows.insert(connection, spec, version_id, request.rows[spec.name])
        rows.insert_lineage(connection, version_id, request.bundle)
        rows.insert_class_stats(connection, version_id)
    except duckdb.ConstraintException as error:
        raise CommitRefused(video_id, {"database_constraint": [{"message": str(error)}]}) from error
    results = _prove(connection, version_id, request)
    rows.insert_proofs(connection, version_id, results)
    figures = quality.record(connection, version_id)
    pointer.flip(connection, video_id, version_id, cause="commit", who=who, at=at)
    uploads.mark_committed(connection, video_id, run_id=request.run_id, who=who, at=at)
    counts = {spec.name: len(request.rows[spec.name]) for spec in VERSIONED_TABLES}
    return CommittedVersion(video_id, version_id, version, counts, tuple(results), figures)


def _record_commit(connection: duckdb.DuckDBPyConnection, request: CommitRequest, committed: CommittedVersion) -> None:
    manifests = {name: manifest.digest for name, manifest in request.bundle.manifests.items()}
    told = {"video_id": committed.video_id, "version": committed.version, "manifests": manifests, **committed.counts}
    audit.record(
        connection,
        who=request.who,
        action="version.committed",
        entity="video_versions",
        entity_id=str(committed.version_id),
        rows_sha256=request.bundle.sha256,
        run_id=request.run_id,
        detail=told,
    )


def _prove(connection: duckdb.DuckDBPyConnection, version_id: int, request: CommitRequest) -> list[ProofResult]:
    evidence = {
        "manifests": rows.manifest_table(request.bundle),
        "read_back": rows.read_back(connection, request.bundle.video_id, version_id),
        "image_hashes": rows.image_table(request.images),
    }
    with rows.registered(connection, evidence):
        results = prove(connection, version_id)
    failed = {result.proof.name: result.rows for result in results if not result.passed}
    if failed:
        raise CommitRefused(request.bundle.video_id, failed)
    return results


def _record_refusal(connection: duckdb.DuckDBPyConnection, request: CommitRequest, refusal: CommitRefused) -> None:
    video_id = request.bundle.video_id
    with transaction(connection):
        audit.record(
            connection,
            who=request.who,
            action="version.refused",
            entity="videos",
            entity_id=video_id,
            rows_sha256=request.bundle.sha256,
            run_id=request.run_id,
            detail={"failed": {name: len(offending) for name, offending in refusal.failed.items()}},
        )
        uploads.mark_failed(
            connection, video_id, run_id=request.run_id, who=request.who, code="commit_refused", reason=str(refusal)
        )


def _verify(cursor: duckdb.DuckDBPyConnection, request: CommitRequest, committed: CommittedVersion) -> None:
    """Read what was committed through a cursor of its own, which sees only what the database really holds."""
    video_id, manifests = request.bundle.video_id, request.bundle.manifests
    pointer = cursor.execute("SELECT version_id FROM current_versions WHERE video_id = ?", [video_id]).fetchone()
    back = rows.read_back(cursor, video_id, committed.version_id).to_pylist()
    found = {row["table_name"]: (row["row_count"], row["content_sha256"]) for row in back}
    wanted = {name: (manifest.row_count, manifest.content_sha256) for name, manifest in manifests.items()}
    if pointer != (committed.version_id,) or found != wanted:
        raise CommitUnverified(
            video_id,
            f"version {committed.version} was acknowledged, but reads back as {found} under pointer {pointer}.",
            "Stop the pipeline and restore the newest backup: the database or its disk lost rows.",
        )
