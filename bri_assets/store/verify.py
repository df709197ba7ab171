"""Whether a video is still what was committed, as far as the database can tell: what it shows, and the proofs anew.

Reads only. What does not belong here: staged files and images, which are read where it is asked from, and the verdicts
(``checks.verified``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from bri_assets.schemas import STAGED_TABLES
from bri_assets.store import pointer, rows
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.proofs import prove

__all__ = ["Promise", "Proven", "SourceFile", "Verification"]

#: Proofs of files, which are looked at elsewhere.
_NOT_OURS = {"every_image_is_the_staged_one"}
#: Proofs that only mean something where the manifest of every table is known.
_OF_ALL_MANIFESTS = {"all_tables_come_from_the_same_source", "inputs_are_the_staged_tables"}


@dataclass(frozen=True)
class SourceFile:
    """A file that the video was made of.

    Args:
        path: where it lay.
        signature: what it looked like then.
        replaced: intake has since looked at other content under this path.
    """

    path: str
    signature: str
    replaced: bool


@dataclass(frozen=True)
class Promise:
    """What was committed of the version that is shown, as the store keeps it in several places.

    Args:
        video_id: the video.
        version_id: number of the version in the whole store.
        version: its number among the video's versions.
        bundle_sha256: hash over the manifests' digests.
        source_sha256: hash of the upload's bytes.
        digests: the manifests' digests by table, as the audit log has them; empty where it has none.
        lineage: the rows of ``lineage``.
        files: the files that the video was made of.
    """

    video_id: str
    version_id: int
    version: int
    bundle_sha256: str
    source_sha256: str
    digests: dict[str, str]
    lineage: list[dict[str, Any]]
    files: list[SourceFile]


@dataclass(frozen=True)
class Proven:
    """What proving a version anew came to.

    Args:
        failed: for each failed proof what it says and the offending rows, at most 100.
        held: for each table how many rows the database holds and their content hash.
    """

    failed: dict[str, tuple[str, list[dict[str, Any]]]]
    held: dict[str, tuple[int, str]]


class Verification(Operations):
    """Reads for the verification of one BRI_HOME."""

    @operation()
    def videos(self) -> list[str]:
        """Every video that is shown, by id."""
        with self.file.reading() as connection:
            found = connection.execute(
                """SELECT video_id FROM current_versions JOIN videos USING (video_id)
                   WHERE deleted_at IS NULL ORDER BY video_id"""
            ).fetchall()
        return [video_id for (video_id,) in found]

    @operation()
    def promise(self, video_id: str) -> Promise | None:
        """What was committed of a video; None where nothing of it is shown."""
        with self.file.reading() as connection:
            found = _records(connection.execute(_PROMISE, [video_id]))
            if not found:
                return None
            (version,) = found
            detail = json.loads(version.pop("detail") or "{}")
            lineage = connection.execute(
                "SELECT * EXCLUDE (version_id) FROM lineage WHERE version_id = ? ORDER BY table_name",
                [version["version_id"]],
            )
            return Promise(
                **version,
                digests=detail.get("manifests", {}),
                lineage=_records(lineage),
                files=[SourceFile(*row) for row in connection.execute(_FILES, {"video_id": video_id}).fetchall()],
            )

    @operation()
    def prove(self, video_id: str, version_id: int, manifests: list[dict[str, Any]]) -> Proven | None:
        """Run the proofs over a version once more, but for that of the images.

        Args:
            video_id: the video.
            version_id: the version.
            manifests: what was committed of each table, in the shape of ``lineage``; those that cannot be had are left
                out, and nothing is said of their tables.

        Returns:
            None where another version is shown by now.
        """
        known = {manifest["table_name"] for manifest in manifests}
        skipped = _NOT_OURS | (set() if known == set(STAGED_TABLES) else _OF_ALL_MANIFESTS)
        with self.file.reading() as connection:
            if pointer.shown(connection, video_id) != version_id:
                return None
            back = rows.read_back(connection, video_id, version_id)
            evidence = {"manifests": _table(manifests), "read_back": back, "image_hashes": rows.image_table({})}
            with rows.registered(connection, evidence):
                results = prove(connection, version_id)
        failed = {
            result.proof.name: (result.proof.meaning, result.rows)
            for result in results
            if not result.passed and result.proof.name not in skipped
        }
        held = {row["table_name"]: (row["row_count"], row["content_sha256"]) for row in back.to_pylist()}
        return Proven(failed, held)

    @operation()
    def held(self, video_id: str, version_id: int, table: str) -> list[list[Any]]:
        """The rows of a version in one table, with the columns of its schema in their order."""
        spec = STAGED_TABLES[table]
        names = ", ".join(column.name for column in spec.columns)
        where, value = ("version_id", version_id) if spec.versioned else ("video_id", video_id)
        source = spec.name if spec.versioned else "videos"
        query = f"SELECT {names} FROM {source} WHERE {where} = ? ORDER BY {', '.join(spec.key)}"  # noqa: S608 - our own names
        with self.file.reading() as connection:
            return [list(row) for row in connection.execute(query, [value]).fetchall()]


def _table(manifests: Sequence[dict[str, Any]]) -> pa.Table:
    """The manifests as the proofs want them; a table of none still has its columns."""
    if manifests:
        return pa.Table.from_pylist(list(manifests))
    names = {"table_name": "", "content_sha256": "", "source_sha256": "", "inputs": "{}", "row_count": 0}
    return pa.Table.from_pylist([names])[:0]


def _records(cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


_PROMISE = """
SELECT n.video_id, n.version_id, n.version, n.bundle_sha256, n.source_sha256,
       (SELECT first(detail ORDER BY event_id) FROM audit_log
        WHERE action = 'version.committed' AND entity_id = n.version_id::VARCHAR) AS detail
FROM current_versions c JOIN video_versions n USING (version_id) JOIN videos v ON v.video_id = n.video_id
WHERE c.video_id = ? AND v.deleted_at IS NULL
"""

_FILES = """
SELECT u.path, u.signature,
       EXISTS (FROM uploads o WHERE o.path = u.path AND o.upload_id <> u.upload_id AND o.updated_at > u.updated_at)
FROM uploads u WHERE u.video_id = $video_id AND u.state = 'committed' ORDER BY u.created_at, u.upload_id
"""
