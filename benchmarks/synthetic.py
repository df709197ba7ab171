"""Invented videos of any number: rows that pass every schema, constraint and proof, and the hashes that belong to them.

The same number is always the same video. What does not belong here: how rows reach a store (``filling``) and what is
measured.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from bri_assets.content import content_sha256
from bri_assets.files import sha256_bytes
from bri_assets.schemas import STAGED_TABLES
from bri_assets.staging import Bundle, Manifest, Provenance

__all__ = ["DETECTIONS", "FRAMES", "IMAGE_BYTES", "ROWS", "SEGMENTS", "Columns", "Video", "image"]

#: Rows of each video: four detections a frame, a segment of speech every four seconds.
FRAMES, SEGMENTS, PER_FRAME = 100, 50, 4
DETECTIONS = FRAMES * PER_FRAME
ROWS = FRAMES + FRAMES + SEGMENTS + DETECTIONS

#: Bytes of an image of a video that is staged, about those of a JPEG of 640×360 pixels.
IMAGE_BYTES = 40_000

_INTERVAL_S, _WIDTH, _HEIGHT = 2.0, 640, 360
_CLASSES = ("person", "bicycle", "car", "dog", "horse", "bottle", "chair", "laptop", "book", "clock")
_VOCABULARY = """
a the small large red green quiet old open wooden street table window river garden picture lamp bridge people stand walk
near beside under with and of in on then there every morning evening water light paper hand door
"""
_WORDS = _VOCABULARY.split()
_MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Video:
    """One invented video.

    Args:
        number: which, >= 0.
        edition: other captions of the same video, >= 0.
        image_bytes: size of its images, whose hashes the frames name; 0 for a few bytes, where no image is ever read.
    """

    number: int
    edition: int = 0
    image_bytes: int = 0

    @cached_property
    def sha256(self) -> str:
        """Hash of the bytes of an upload that never was."""
        return sha256_bytes(f"synthetic video {self.number}".encode())

    @property
    def video_id(self) -> str:
        """Its id."""
        return f"synthetic-{self.sha256[:12]}"

    @cached_property
    def tables(self) -> dict[str, Columns]:
        """Every staged table as columns of plain values, in the order of the schemas."""
        chance = np.random.default_rng([self.number, 0])
        return {
            "source_video": self._source(),
            "frames": self._frames(chance),
            "captions": self._captions(np.random.default_rng([self.number, 1, self.edition])),
            "transcripts": self._transcripts(chance),
            "detections": self._detections(chance),
        }

    @cached_property
    def bundle(self) -> Bundle:
        """The manifests that staging these rows would give."""
        manifests: dict[str, Manifest] = {}
        for name, spec in STAGED_TABLES.items():
            rows = list(zip(*self.tables[name].values(), strict=True))
            content = content_sha256(spec, rows)
            manifests[name] = Manifest(
                table=name,
                video_id=self.video_id,
                file=f"{name}-{content[:12]}.parquet",
                row_count=len(rows),
                content_sha256=content,
                source_sha256=self.sha256,
                provenance=_provenance(name, {name: manifest.content_sha256 for name, manifest in manifests.items()}),
                run_id=f"run-{self.number}",
                seconds=1.0,
                made_at=_MADE_AT,
            )
        return Bundle(self.video_id, manifests)

    def _source(self) -> Columns:
        duration = FRAMES * _INTERVAL_S
        facts = {
            "video_id": self.video_id,
            "filename": f"synthetic-{self.number}.mp4",
            "sha256": self.sha256,
            "size_bytes": 10_000_000 + self.number,
            "duration_s": duration,
            "first_frame_s": 0.0,
            "last_frame_s": duration - 0.04,
            "frame_count": round(25 * duration),
            "fps": 25.0,
            "width": _WIDTH,
            "height": _HEIGHT,
            "rotation_deg": 0,
            "has_audio": True,
            "container": "mp4",
            "video_codec": "h264",
            "audio_codec": "aac",
        }
        return {name: [value] for name, value in facts.items()}

    def _frames(self, chance: np.random.Generator) -> Columns:
        hashes = [sha256_bytes(image(self, index)) for index in range(FRAMES)]
        return {
            "frame_index": list(range(FRAMES)),
            "timestamp_s": [_INTERVAL_S * index for index in range(FRAMES)],
            "image_path": [f"frames/{self.video_id}/{index:06d}-{h[:12]}.jpg" for index, h in enumerate(hashes)],
            "image_sha256": hashes,
            "width": [_WIDTH] * FRAMES,
            "height": [_HEIGHT] * FRAMES,
            "phash": [f"{value:016x}" for value in chance.integers(0, 2**63, FRAMES).tolist()],
        }

    def _captions(self, chance: np.random.Generator) -> Columns:
        return {
            "frame_index": list(range(FRAMES)),
            "text": _sentences(chance, FRAMES, 10),
            "confidence": chance.random(FRAMES).tolist(),
        }

    def _transcripts(self, chance: np.random.Generator) -> Columns:
        starts = [FRAMES * _INTERVAL_S / SEGMENTS * index for index in range(SEGMENTS)]
        return {
            "segment_index": list(range(SEGMENTS)),
            "start_s": starts,
            "end_s": [start + 3.5 for start in starts],
            "text": _sentences(chance, SEGMENTS, 12),
            "confidence": chance.random(SEGMENTS).tolist(),
            "language": ["en"] * SEGMENTS,
            "no_speech_prob": chance.random(SEGMENTS).tolist(),
        }

    def _detections(self, chance: np.random.Generator) -> Columns:
        classes = chance.integers(0, len(_CLASSES), DETECTIONS).tolist()
        corners = chance.random((2, DETECTIONS)) * [[_WIDTH / 2], [_HEIGHT / 2]]
        sizes = (0.05 + 0.45 * chance.random((2, DETECTIONS))) * [[_WIDTH], [_HEIGHT]]
        confidence = -np.sort(-chance.random((FRAMES, PER_FRAME)), axis=1)
        return {
            "frame_index": [index for index in range(FRAMES) for _ in range(PER_FRAME)],
            "detection_index": list(range(PER_FRAME)) * FRAMES,
            "class_id": classes,
            "class_name": [_CLASSES[index] for index in classes],
            "confidence": confidence.ravel().tolist(),
            "x1": corners[0].tolist(),
            "y1": corners[1].tolist(),
            "x2": (corners[0] + sizes[0]).tolist(),
            "y2": (corners[1] + sizes[1]).tolist(),
        }


def _provenance(table: str, made: dict[str, str]) -> Provenance:
    """How a table's rows are said to have been made.

    Args:
        table: which.
        made: content hashes of the tables made before it.
    """
    model = table in ("captions", "detections", "transcripts")
    slots = {"sample_interval_s": _INTERVAL_S, "sample_slots": FRAMES, "empty_slots": []}
    return Provenance(
        tool="benchmarks.synthetic",
        tool_version="1",
        model="none: invented rows" if model else None,
        weights_sha256="0" * 64 if model else None,
        parameters={"interval_s": _INTERVAL_S},
        inputs={"frames": made["frames"]} if table in ("captions", "detections") else {},
        outcome="transcribed" if table == "transcripts" else "complete",
        facts=slots if table == "frames" else {},
    )


def image(video: Video, index: int) -> bytes:
    """What stands for the image of a frame: bytes that are no JPEG, for nobody here looks at one."""
    name = f"image {index} of {video.video_id}".encode()
    return hashlib.shake_128(name).digest(video.image_bytes) if video.image_bytes else name


def _sentences(chance: np.random.Generator, count: int, words: int) -> list[str]:
    return [
        " ".join(_WORDS[index] for index in row) for row in chance.integers(0, len(_WORDS), (count, words)).tolist()
    ]
