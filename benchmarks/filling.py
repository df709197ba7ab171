"""Synthetic videos into a store: in bulk, past the commit, or staged for a commit as the pipeline stages them.

What goes in bulk is what commits of the same videos would leave behind, in every table, under every constraint; a look
at the whole store (``store.whole``) finds nothing wrong with it. What does not belong here: the rows (``synthetic``).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from benchmarks.synthetic import Video, image
from bri_assets.schemas import STAGED_TABLES, VERSIONED_TABLES
from bri_assets.settings import Settings
from bri_assets.staging import Bundle, Source, StagingArea
from bri_assets.store import PROOFS, StoreFile, rows
from bri_assets.store.access.connection import transaction

__all__ = ["arrow_tables", "fill", "insert", "numbers", "stage", "stage_captions", "tables_beside"]

_WHO = "benchmark:synthetic"
_BLOCK = 500

#: What a bare insert inserts: the rows of the video and of its version, how they were made, and the pointer.
_BARE = ("videos", "video_versions", *(spec.name for spec in VERSIONED_TABLES), "lineage", "current_versions")


def fill(file: StoreFile, count: int, say: Callable[[str], None]) -> None:
    """Put the first ``count`` synthetic videos into a store.

    Args:
        file: the store, which nobody owns.
        count: how many, >= 0.
        say: is told from time to time how far it came.
    """
    for begin in range(0, count, _BLOCK):
        videos = [Video(number) for number in range(begin, min(begin + _BLOCK, count))]
        with file.open() as connection:
            version_ids = numbers(connection, "version_ids", len(videos))
            insert(connection, arrow_tables(videos, version_ids))
            insert(connection, tables_beside(connection, videos, version_ids))
        if begin % (20 * _BLOCK) == 0:
            say(f"{begin + len(videos)} of {count} videos are in the store")


def numbers(connection: duckdb.DuckDBPyConnection, sequence: str, count: int) -> list[int]:
    """The next numbers of a sequence of the store."""
    found = connection.execute("SELECT nextval(?) FROM range(?)", [sequence, count]).fetchall()
    return sorted(number for (number,) in found)


def insert(connection: duckdb.DuckDBPyConnection, tables: dict[str, pa.Table]) -> None:
    """Insert tables, parents first, in one transaction: Arrow registered, INSERT … SELECT, COMMIT."""
    with transaction(connection):
        for name, table in tables.items():
            connection.register("incoming", table)
            connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM incoming")  # noqa: S608 - our own names
            connection.unregister("incoming")


def arrow_tables(videos: Sequence[Video], version_ids: Sequence[int]) -> dict[str, pa.Table]:
    """The rows of first versions of some videos as the database has them, by table, parents first: a bare insert's.

    Args:
        videos: which.
        version_ids: the numbers of their versions in the store.
    """
    now = datetime.now(UTC)
    pairs = list(zip(videos, version_ids, strict=True))
    made: dict[str, pa.Table] = {
        "videos": _with(
            _joined(videos, "source_video"),
            {"created_at": now, "created_by": _WHO, "updated_at": now, "updated_by": _WHO},
        ),
        "video_versions": _versions(pairs, now),
    }
    for spec in VERSIONED_TABLES:
        ids = [[version_id] * len(next(iter(video.tables[spec.name].values()))) for video, version_id in pairs]
        made[spec.name] = pa.table({"version_id": list(itertools.chain(*ids)), **_joined(videos, spec.name)})
    made["lineage"] = pa.Table.from_pylist(
        [
            {"version_id": version_id, **row}
            for video, version_id in pairs
            for row in rows.manifest_table(video.bundle).to_pylist()
        ]
    )
    made["current_versions"] = _with(
        {"video_id": [video.video_id for video in videos], "version_id": list(version_ids)},
        {"changed_at": now, "changed_by": _WHO},
    )
    return {name: made[name] for name in _BARE}


def stage(settings: Settings, video: Video) -> Bundle:
    """Have a video's upload accepted, its images on disk and its tables staged, as the pipeline does."""
    name = video.tables["source_video"]["filename"][0]
    path = str(settings.uploads_dir / name)
    source = Source(video_id=video.video_id, path=path, filename=name, sha256=video.sha256, signature="0")
    StagingArea(settings.staged_dir).accept(source)
    (settings.frames_dir / video.video_id).mkdir(parents=True)
    for index, place in enumerate(video.tables["frames"]["image_path"]):
        (settings.home / place).write_bytes(image(video, index))
    return _stage(settings, video, tuple(STAGED_TABLES))


def stage_captions(settings: Settings, video: Video) -> Bundle:
    """Stage the captions of another edition of a video that is staged."""
    return _stage(settings, video, ("captions",))


def _stage(settings: Settings, video: Video, tables: Iterable[str]) -> Bundle:
    staging = StagingArea(settings.staged_dir)
    for name in tables:
        spec, manifest = STAGED_TABLES[name], video.bundle.manifests[name]
        staging.write(
            spec,
            video.video_id,
            spec.model.validate(pd.DataFrame(video.tables[name])),
            provenance=manifest.provenance,
            source_sha256=video.sha256,
            run_id=manifest.run_id,
            seconds=manifest.seconds,
        )
    return staging.bundle(video.video_id)


def _joined(videos: Iterable[Video], table: str) -> dict[str, list[Any]]:
    every = [video.tables[table] for video in videos]
    return {name: list(itertools.chain(*(columns[name] for columns in every))) for name in every[0]}


def _with(columns: dict[str, list[Any]], same: dict[str, Any]) -> pa.Table:
    count = len(next(iter(columns.values())))
    return pa.table(columns | {name: [value] * count for name, value in same.items()})


def _versions(pairs: Sequence[tuple[Video, int]], now: datetime) -> pa.Table:
    versions = []
    for video, version_id in pairs:
        manifests = video.bundle.manifests
        versions.append(
            {
                "version_id": version_id,
                "video_id": video.video_id,
                "version": 1,
                "run_id": f"run-{video.number}",
                "bundle_sha256": video.bundle.sha256,
                "source_sha256": video.sha256,
                "state": "committed",
                "frames": manifests["frames"].row_count,
                "captions": manifests["captions"].row_count,
                "transcript_segments": manifests["transcripts"].row_count,
                "detections": manifests["detections"].row_count,
                "transcript_outcome": manifests["transcripts"].provenance.outcome,
                "sample_interval_s": manifests["frames"].provenance.facts["sample_interval_s"],
                "sample_slots": manifests["frames"].provenance.facts["sample_slots"],
                "committed_at": now,
                "committed_by": _WHO,
            }
        )
    empty = pa.array([[]] * len(versions), pa.list_(pa.int32()))
    return pa.Table.from_pylist(versions).append_column("empty_slots", empty)


def tables_beside(
    connection: duckdb.DuckDBPyConnection, videos: Sequence[Video], version_ids: Sequence[int]
) -> dict[str, pa.Table]:
    """What a commit leaves besides: proofs, statistics, the move of the pointer, the audit log, the upload.

    Args:
        connection: to the store whose numbers of changes and events they take.
        videos: which.
        version_ids: the numbers of their versions in the store.
    """
    now = datetime.now(UTC)
    pairs = list(zip(videos, version_ids, strict=True))
    proven = [
        {"version_id": number, "proof": proof.name, "passed": True, "observed": 0, "expected": 0, "seconds": 0.001}
        for number in version_ids
        for proof in PROOFS
    ]
    moves = zip(numbers(connection, "change_ids", len(videos)), pairs, strict=True)
    pointers = [
        {
            "change_id": change_id,
            "video_id": video.video_id,
            "to_version_id": version_id,
            "cause": "commit",
            "changed_at": now,
            "changed_by": _WHO,
        }
        for change_id, (video, version_id) in moves
    ]
    happened = zip(numbers(connection, "event_ids", len(videos)), pairs, strict=True)
    events = [_event(event_id, video, version_id, now) for event_id, (video, version_id) in happened]
    statistics = [row for video, version_id in pairs for row in _statistics(video, version_id)]
    return {
        "video_class_stats": pa.Table.from_pylist(statistics),
        "uploads": pa.Table.from_pylist([_upload(video, now) for video in videos]),
        "proofs": pa.Table.from_pylist(proven),
        "pointer_history": pa.Table.from_pylist(pointers),
        "audit_log": pa.Table.from_pylist(events),
    }


def _statistics(video: Video, version_id: int) -> list[dict[str, Any]]:
    """Where each class is seen, as a commit counts it."""
    detections, times = video.tables["detections"], video.tables["frames"]["timestamp_s"]
    seen: dict[tuple[int, str], list[int]] = {}
    for class_id, name, frame in zip(
        detections["class_id"], detections["class_name"], detections["frame_index"], strict=True
    ):
        seen.setdefault((class_id, name), []).append(frame)
    return [
        {
            "version_id": version_id,
            "class_name": name,
            "class_id": class_id,
            "frames": len(set(frames)),
            "detections": len(frames),
            "first_s": times[min(frames)],
            "last_s": times[max(frames)],
        }
        for (class_id, name), frames in seen.items()
    ]


def _upload(video: Video, now: datetime) -> dict[str, Any]:
    filename = video.tables["source_video"]["filename"][0]
    return {
        "upload_id": f"u-{video.sha256[:16]}",
        "path": f"/nowhere/{filename}",
        "filename": filename,
        "signature": "0",
        "size_bytes": video.tables["source_video"]["size_bytes"][0],
        "sha256": video.sha256,
        "video_id": video.video_id,
        "state": "committed",
        "attempts": 1,
        "priority": 0,
        "requested_by": "benchmark",
        "run_id": f"run-{video.number}",
        "created_at": now,
        "created_by": _WHO,
        "updated_at": now,
        "updated_by": _WHO,
    }


def _event(event_id: int, video: Video, version_id: int, now: datetime) -> dict[str, Any]:
    manifests = video.bundle.manifests
    counts = {name: manifest.row_count for name, manifest in manifests.items() if name != "source_video"}
    digests = {name: manifest.digest for name, manifest in manifests.items()}
    return {
        "event_id": event_id,
        "occurred_at": now,
        "actor": _WHO,
        "action": "version.committed",
        "entity": "video_versions",
        "entity_id": str(version_id),
        "rows_sha256": video.bundle.sha256,
        "run_id": f"run-{video.number}",
        "detail": json.dumps({"video_id": video.video_id, "version": 1, "manifests": digests, **counts}),
    }
