"""Rows into the database and back out of it: the pieces of a commit that know columns.

What does not belong here: transactions, their order and what refuses them (``commit``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from bri_assets.content import content_sha256, rows_of
from bri_assets.schemas import SOURCE_VIDEO, STAGED_TABLES, TableSpec
from bri_assets.staging import Bundle
from bri_assets.store.proofs import ProofResult

__all__ = [
    "image_table",
    "insert",
    "insert_class_stats",
    "insert_lineage",
    "insert_proofs",
    "insert_version",
    "manifest_table",
    "read_back",
    "registered",
    "upsert_video",
]


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table]) -> Iterator[None]:
    """Make Arrow tables visible to the connection's SQL under their names, for the time of the block."""
    for name, table in tables.items():
        connection.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            connection.unregister(name)


def upsert_video(
    connection: duckdb.DuckDBPyConnection, facts: pd.DataFrame, *, who: str, at: datetime | None = None
) -> None:
    """Insert the video's row, or bring its facts up to date, by whom and when (None: now); its id never changes."""
    for values in rows_of(SOURCE_VIDEO, facts):
        _upsert_video(connection, dict(zip(_names(SOURCE_VIDEO), values, strict=True)) | {"who": who, "at": at})


def _upsert_video(connection: duckdb.DuckDBPyConnection, values: dict[str, Any]) -> None:
    names = _names(SOURCE_VIDEO)
    key = {name: values[name] for name in ("video_id", "sha256")}
    if connection.execute("SELECT 1 FROM videos WHERE video_id = $video_id AND sha256 = $sha256", key).fetchone():
        mutable = ", ".join(f"{name} = ${name}" for name in names if name not in key)
        connection.execute(
            f"""UPDATE videos SET {mutable}, updated_at = coalesce($at, now()), updated_by = $who
                WHERE video_id = $video_id""",  # noqa: S608 - our own names
            {name: value for name, value in values.items() if name != "sha256"},
        )
        return
    places = ", ".join(f"${name}" for name in names)
    connection.execute(
        f"""INSERT INTO videos ({", ".join(names)}, created_at, created_by, updated_at, updated_by)
            VALUES ({places}, coalesce($at, now()), $who, coalesce($at, now()), $who)""",  # noqa: S608 - our own names
        values,
    )


def insert_version(
    connection: duckdb.DuckDBPyConnection,
    bundle: Bundle,
    *,
    run_id: str,
    who: str,
    at: datetime | None = None,
    numbers: tuple[int, int] | None = None,
) -> tuple[int, int]:
    """Insert the version's row; returns its number in the whole store and its number for the video.

    Args:
        connection: with a transaction open.
        bundle: what is committed.
        run_id: Dagster run that commits.
        who: as ``audit.actor`` gives it.
        at: when; None for now.
        numbers: its number in the whole store and of the video; None for the next ones.
    """
    counts = {name: manifest.row_count for name, manifest in bundle.manifests.items()}
    slots = bundle.manifests["frames"].provenance.facts
    row = connection.execute(
        """INSERT INTO video_versions
           SELECT coalesce($version_id, nextval('version_ids')), $video_id,
                  coalesce($version,
                           (SELECT coalesce(max(version), 0) + 1 FROM video_versions WHERE video_id = $video_id)),
                  $run_id, $bundle, $source, 'committed', $frames, $captions, $transcripts, $detections,
                  $outcome, $interval, $slots, $empty, coalesce($at, now()), $who
           RETURNING version_id, version""",
        {
            "video_id": bundle.video_id,
            "run_id": run_id,
            "bundle": bundle.sha256,
            "source": bundle.manifests["source_video"].source_sha256,
            "frames": counts["frames"],
            "captions": counts["captions"],
            "transcripts": counts["transcripts"],
            "detections": counts["detections"],
            "outcome": bundle.manifests["transcripts"].provenance.outcome,
            "interval": slots["sample_interval_s"],
            "slots": slots["sample_slots"],
            "empty": slots["empty_slots"],
            "who": who,
            "at": at,
            "version_id": numbers[0] if numbers else None,
            "version": numbers[1] if numbers else None,
        },
    ).fetchone()
    if row is None:
        raise AssertionError("INSERT … RETURNING returned no row")
    return int(row[0]), int(row[1])


def insert(connection: duckdb.DuckDBPyConnection, spec: TableSpec, version_id: int, rows: pd.DataFrame) -> None:
    """Insert rows of one versioned table, by column name."""
    names = ", ".join(_names(spec))
    with registered(connection, {"staged_rows": _arrow(spec, rows)}):
        connection.execute(
            f"INSERT INTO {spec.name} (version_id, {names}) SELECT ?, {names} FROM staged_rows",  # noqa: S608 - our own names
            [version_id],
        )


def insert_lineage(connection: duckdb.DuckDBPyConnection, version_id: int, bundle: Bundle) -> None:
    """Keep how each table was made."""
    with registered(connection, {"staged_lineage": manifest_table(bundle)}):
        connection.execute("INSERT INTO lineage BY NAME SELECT ? AS version_id, * FROM staged_lineage", [version_id])


def insert_class_stats(connection: duckdb.DuckDBPyConnection, version_id: int) -> None:
    """Count each class of object in the version's detections."""
    connection.execute(
        """INSERT INTO video_class_stats BY NAME
           SELECT $version_id AS version_id, class_name, min(class_id) AS class_id,
                  count(DISTINCT frame_index) AS frames, count(*) AS detections,
                  min(timestamp_s) AS first_s, max(timestamp_s) AS last_s
           FROM detections JOIN frames USING (version_id, frame_index)
           WHERE version_id = $version_id GROUP BY class_name""",
        {"version_id": version_id},
    )


def insert_proofs(connection: duckdb.DuckDBPyConnection, version_id: int, results: Sequence[ProofResult]) -> None:
    """Keep the proofs that allowed the version."""
    kept = [
        {"proof": result.proof.name, "passed": result.passed, "observed": result.observed, "seconds": result.seconds}
        for result in results
    ]
    with registered(connection, {"proof_results": pa.Table.from_pylist(kept)}):
        connection.execute(
            "INSERT INTO proofs BY NAME SELECT ? AS version_id, 0 AS expected, * FROM proof_results", [version_id]
        )


def manifest_table(bundle: Bundle) -> pa.Table:
    """The bundle's manifests in the shape of ``lineage``, one row a table."""
    return pa.Table.from_pylist(
        [
            {
                "table_name": name,
                "tool": manifest.provenance.tool,
                "tool_version": manifest.provenance.tool_version,
                "model": manifest.provenance.model,
                "weights_sha256": manifest.provenance.weights_sha256,
                "parameters": json.dumps(manifest.provenance.parameters, sort_keys=True),
                "inputs": json.dumps(manifest.provenance.inputs, sort_keys=True),
                "outcome": manifest.provenance.outcome,
                "source_sha256": manifest.source_sha256,
                "content_sha256": manifest.content_sha256,
                "row_count": manifest.row_count,
                "manifest_sha256": manifest.digest,
                "staged_file": f"staged/{bundle.video_id}/{manifest.file}",
                "run_id": manifest.run_id,
                "seconds": manifest.seconds,
                "made_at": manifest.made_at,
            }
            for name, manifest in bundle.manifests.items()
        ]
    )


def image_table(images: Mapping[int, str]) -> pa.Table:
    """Image hashes as a table: ``frame_index``, ``image_sha256``."""
    schema = pa.schema([("frame_index", pa.int32()), ("image_sha256", pa.string())])
    return pa.table({"frame_index": list(images), "image_sha256": list(images.values())}, schema=schema)


def read_back(connection: duckdb.DuckDBPyConnection, video_id: str, version_id: int) -> pa.Table:
    """Count and hash what the database holds of a version: ``table_name, row_count, content_sha256``."""
    found = []
    for name, spec in STAGED_TABLES.items():
        names = ", ".join(_names(spec))
        table, where, value = (name, "version_id", version_id) if spec.versioned else ("videos", "video_id", video_id)
        rows = connection.execute(f"SELECT {names} FROM {table} WHERE {where} = ?", [value]).fetchall()  # noqa: S608 - our own names
        found.append({"table_name": name, "row_count": len(rows), "content_sha256": content_sha256(spec, rows)})
    return pa.Table.from_pylist(found)


def _names(spec: TableSpec) -> tuple[str, ...]:
    return tuple(column.name for column in spec.columns)


def _arrow(spec: TableSpec, rows: pd.DataFrame) -> pa.Table:
    return pa.table({name: pa.array(rows[name], from_pandas=True) for name in _names(spec)})
