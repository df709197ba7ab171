"""What a store says of a video, with a row or more in every table and a lineage that tells all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bri_assets.files import sha256_bytes

CONTENT = b"the bytes of a video"
NO_HASH = "0" * 64


def lineage(table: str, tool: str, parameters: dict[str, Any], **said: Any) -> dict[str, Any]:
    row = {
        "table_name": table,
        "tool": tool,
        "tool_version": "1.0",
        "model": None,
        "weights_sha256": None,
        "parameters": json.dumps(parameters),
        "inputs": "{}",
        "outcome": "complete",
        "source_sha256": sha256_bytes(CONTENT),
        "content_sha256": NO_HASH,
    }
    return row | said


def detection(frame: int, rank: int, name: str, confidence: float, x1: float = 10.0) -> dict[str, Any]:
    box = {"x1": x1, "y1": 20.0, "x2": x1 + 30, "y2": 60.0}
    key = {"frame_index": frame, "detection_index": rank}
    return {**key, "class_id": len(name), "class_name": name, "confidence": confidence, **box}


@pytest.fixture
def found() -> dict[str, Any]:
    """What a store says of a video with one row or more in every table."""
    return {
        "video": {
            "video_id": "clip-0123456789ab",
            "filename": "clip.mp4",
            "sha256": sha256_bytes(CONTENT),
            "size_bytes": len(CONTENT),
            "duration_s": 4.0,
            "first_frame_s": 0.0,
            "last_frame_s": 3.96,
            "frame_count": 96,
            "fps": 24.0,
            "width": 640,
            "height": 360,
            "rotation_deg": 0,
            "has_audio": True,
            "container": "mp4",
            "video_codec": "h264",
            "audio_codec": "aac",
            "version": 2,
        },
        "frames": [
            {
                "frame_index": k,
                "timestamp_s": 2.0 * k,
                "image_path": f"frames/clip-0123456789ab/{k:06d}-0123456789ab.jpg",
                "image_sha256": f"{k}" * 64,
                "width": 640,
                "height": 360,
                "phash": f"{k}" * 16,
            }
            for k in range(2)
        ],
        "captions": [{"frame_index": k, "text": f"scene {k}", "confidence": 0.5} for k in range(2)],
        "transcripts": [
            {
                "segment_index": 0,
                "start_s": 0.5,
                "end_s": 2.5,
                "text": "hello",
                "confidence": 0.9,
                "language": "en",
                "no_speech_prob": 0.01,
            }
        ],
        "detections": [
            detection(0, 0, "cat", 0.91),
            detection(0, 1, "dog", 0.6),
            detection(0, 2, "dog", 0.3, x1=300.0),
            detection(1, 0, "cat", 0.8),
        ],
        "lineage": [
            lineage("source_video", "pyav", {}),
            lineage("frames", "opencv", {"interval_s": 2.0, "jpeg_quality": 90}),
            lineage(
                "detections",
                "ultralytics",
                {"threshold": 0.25, "batch_size": 8, "device": "cpu", "imgsz": 640},
                model="yolo26n.pt",
                weights_sha256=sha256_bytes(b"yolo"),
            ),
            lineage("captions", "bri_assets.objects", {"large": 0.25}, model="objects", weights_sha256=NO_HASH),
            lineage(
                "transcripts",
                "openai-whisper",
                {"language": None, "chunk_s": 600.0, "device": "cpu"},
                model="tiny.en",
                weights_sha256=sha256_bytes(b"whisper"),
                outcome="transcribed",
            ),
        ],
    }


def step_of(found: dict[str, Any], table: str) -> dict[str, Any]:
    return next(row for row in found["lineage"] if row["table_name"] == table)
