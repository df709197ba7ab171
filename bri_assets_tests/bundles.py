"""Staged bundles made of invented rows, for tests of the store, which knows no model.

Rows are invented because the store must hold for any rows; the files, the staging area and the database are real.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from bri_assets.files import sha256_bytes, write_atomically
from bri_assets.schemas import STAGED_TABLES
from bri_assets.staging import Bundle, Provenance, StagingArea
from bri_assets.store import Store, StoreFile
from bri_assets.store.access.journal import Journal
from bri_assets.store.access.operations import Operations

G = TypeVar("G", bound=Operations)

SOURCE_SHA256 = sha256_bytes(b"the bytes of an upload")
VIDEO_ID = f"holiday-{SOURCE_SHA256[:12]}"

Rows = dict[str, list[dict[str, Any]]]


def open_store(home: Path) -> Store:
    """A store of its own in a folder."""
    return operations(Store, home)


def operations(group: type[G], home: Path) -> G:
    """A group of operations on the store of its own in a folder; the store is made when it is not there."""
    path, staging = home / "store" / "bri.duckdb", StagingArea(home / "staged")
    journal = Journal(staging.root / "journal.jsonl")
    if not path.exists() and not journal.path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_empty_store(), path)
    return group(home, StoreFile(path, wait_s=5, journal=journal), staging)


@cache
def _empty_store() -> Path:
    """An empty store, migrated once a process: Alembic takes half a second."""
    path = Path(tempfile.mkdtemp(prefix="bri-empty-")) / "bri.duckdb"
    atexit.register(shutil.rmtree, path.parent)
    with StoreFile(path).open():
        return path


def rows(home: Path, *, frames: int = 4, video_id: str = VIDEO_ID, sha256: str = SOURCE_SHA256) -> Rows:
    """Rows of a video with sound, sampled every 2 s, in which every proof holds; frame images are put on disk."""
    images = [_image(home, video_id, index) for index in range(frames)]
    return {
        "source_video": [
            {
                "video_id": video_id,
                "filename": "holiday.mp4",
                "sha256": sha256,
                "size_bytes": 1000,
                "duration_s": 2.0 * frames,
                "first_frame_s": 0.0,
                "last_frame_s": 2.0 * frames - 0.04,
                "frame_count": 50 * frames,
                "fps": 25.0,
                "width": 64,
                "height": 48,
                "rotation_deg": 0,
                "has_audio": True,
                "container": "mp4",
                "video_codec": "h264",
                "audio_codec": "aac",
            }
        ],
        "frames": [
            {
                "frame_index": index,
                "timestamp_s": 2.0 * index,
                "image_path": path,
                "image_sha256": digest,
                "width": 64,
                "height": 48,
                "phash": "00ff00ff00ff00ff",
            }
            for index, (path, digest) in enumerate(images)
        ],
        "captions": [{"frame_index": i, "text": f"a picture {i}", "confidence": 0.1 * i % 1} for i in range(frames)],
        "transcripts": [
            {
                "segment_index": index,
                "start_s": 1.5 * index,
                "end_s": 1.5 * index + 1.25,
                "text": f"words {index}",
                "confidence": 0.75,
                "language": "en",
                "no_speech_prob": 0.01,
            }
            for index in range(3)
        ],
        "detections": [
            {
                "frame_index": index,
                "detection_index": rank,
                "class_id": 16 + rank,
                "class_name": ("dog", "horse")[rank],
                "confidence": 0.9 - 0.1 * rank,
                "x1": 1.5,
                "y1": 2.5,
                "x2": 30.25,
                "y2": 48.0,
            }
            for index in range(frames)
            for rank in range(2)
        ],
    }


def provenances(tables: Rows) -> dict[str, dict[str, Any]]:
    """What `stage` says of each table, as keyword arguments of `Provenance`; tests change it before staging."""
    slots = int(tables["source_video"][0]["last_frame_s"] // 2.0) + 1
    filled = {row["frame_index"] for row in tables["frames"]}
    empty = [slot for slot in range(slots) if slot not in filled]
    facts = {"sample_interval_s": 2.0, "sample_slots": slots, "empty_slots": empty}
    said: dict[str, dict[str, Any]] = {name: {"tool": "invented", "tool_version": "1"} for name in STAGED_TABLES}
    said["frames"]["facts"] = facts
    said["captions"] |= {"model": "invented", "weights_sha256": "0" * 64}
    said["transcripts"]["outcome"] = "transcribed" if tables["source_video"][0]["has_audio"] else "no_audio"
    return said


def stage(
    home: Path,
    tables: Rows,
    *,
    sources: dict[str, str] | None = None,
    change: Callable[[dict[str, dict[str, Any]]], None] | None = None,
    run_id: str = "run-1",
) -> Bundle:
    """Stage rows as they are, unvalidated, and return their bundle.

    Args:
        home: BRI_HOME.
        tables: as from `rows`.
        sources: source hash of a table where it is not the video's own.
        change: is handed the provenances, to change them.
        run_id: the run that is said to have made them.
    """
    staging, video = StagingArea(home / "staged"), tables["source_video"][0]
    said = provenances(tables)
    hashes: dict[str, str] = {}
    if change is not None:
        change(said)
    for name, spec in STAGED_TABLES.items():
        if name in ("captions", "detections"):
            said[name].setdefault("inputs", {"frames": hashes["frames"]})
        columns = [column.name for column in spec.columns]
        frame = pd.DataFrame(tables[name], columns=columns)
        manifest = staging.write(
            spec,
            video["video_id"],
            spec.model.validate(frame),
            provenance=Provenance(**said[name]),
            source_sha256=(sources or {}).get(name, video["sha256"]),
            run_id=run_id,
            seconds=0.1,
        )
        hashes[name] = manifest.content_sha256
    return staging.bundle(video["video_id"])


def _image(home: Path, video_id: str, index: int) -> tuple[str, str]:
    data = f"image {index} of {video_id}".encode()
    digest = sha256_bytes(data)
    path = f"frames/{video_id}/{index:06d}-{digest[:12]}.jpg"
    write_atomically(home / path, data)
    return path, digest
