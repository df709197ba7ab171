"""Code versions of the assets: what Dagster compares to say that a staged table is stale, and resuming to say it holds.

A code version is ``<number>-<digest>``. The number is kept by hand: it goes up with a change of our own code that
changes rows. The digest is over all else that decides an asset's rows: settings, the versions of the libraries, which
weights a model has. What does not belong here: what is only recorded beside the rows (``staging.Provenance``). Batch
sizes and the device are such: they move the last bits of some numbers, far below what ``reproduce.comparison`` counts
as a difference, and a collection is not made again for them.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bri_assets.content import canonical
from bri_assets.errors import WeightsDamaged, WeightsMissing
from bri_assets.files import sha256_bytes, sha256_file
from bri_assets.models import object_captions
from bri_assets.models.weights import FOLDER_FILES, Kind, named_path, read_record
from bri_assets.search.layout import LAYOUT
from bri_assets.settings import Settings

__all__ = ["NUMBERS", "code_version", "decided_by"]

#: The part that is kept by hand. Raise it in the commit that changes what an asset makes of the same input.
NUMBERS = {
    "source_video": 1,
    "frames": 1,
    "captions": 1,
    "detections": 1,
    "transcripts": 1,
    "committed_video": 1,
    "search_index": 1,
}

#: What is installed of the libraries that have a part in each asset's rows, by their distributions' names.
_LIBRARIES = {
    "source_video": ("av",),
    "frames": ("av", "imagehash", "opencv-python", "pillow"),
    "detections": ("opencv-python", "torch", "torchvision", "ultralytics"),
    "transcripts": ("av", "openai-whisper", "torch"),
    "committed_video": (),
    "search_index": ("lancedb", "tokenizers", "torch", "transformers"),
}
_BLIP_LIBRARIES = ("opencv-python", "tokenizers", "torch", "torchvision", "transformers")
_OBJECTS_LIBRARIES = ("inflect",)


def code_version(table: str, settings: Settings) -> str:
    """The code version of an asset under some settings.

    Args:
        table: a key of ``NUMBERS``.
        settings: of the process.
    """
    return f"{NUMBERS[table]}-{sha256_bytes(canonical(decided_by(table, settings)))[:12]}"


def decided_by(table: str, settings: Settings) -> dict[str, Any]:
    """What the digest is over, by name; JSON-able. No library is imported and no weights are read for it.

    Args:
        table: a key of ``NUMBERS``.
        settings: of the process.
    """
    if table == "captions":
        return _captions(settings)
    return {**_settings(table, settings), "libraries": _installed(_LIBRARIES[table])}


def _settings(table: str, settings: Settings) -> dict[str, Any]:
    match table:
        case "frames":
            # 2 and 2.0 sample alike; a float in between would not know.
            return {"interval_s": f"{settings.frame_interval_s.normalize():f}", "jpeg_quality": settings.jpeg_quality}
        case "detections":
            return {
                "model": settings.detector_model,
                "weights": _weights("detector", settings.detector_model, settings.weights_dir),
                "threshold": settings.detector_threshold,
            }
        case "transcripts":
            return {
                "model": settings.transcriber_model,
                "weights": _weights("transcriber", settings.transcriber_model, settings.weights_dir),
                "language": settings.transcriber_language,
                "chunk_s": settings.transcriber_chunk_s,
            }
        case "search_index":
            model, folder = settings.embedder_model, settings.weights_dir
            return {"model": model, "weights": _weights("embedder", model, folder), "layout": LAYOUT}
        case _:
            return {}


def _captions(settings: Settings) -> dict[str, Any]:
    """Of the captioner that the choice comes to: pulling BLIP makes what ``auto`` made without it stale."""
    weights = _weights("captioner", settings.captioner_model, settings.weights_dir)
    if settings.captioner == "objects" or (settings.captioner == "auto" and weights is None):
        return {"captioner": "objects", "source": _objects_source(), "libraries": _installed(_OBJECTS_LIBRARIES)}
    return {
        "captioner": "blip",
        "model": settings.captioner_model,
        "weights": weights,
        "max_tokens": settings.captioner_max_tokens,
        "libraries": _installed(_BLIP_LIBRARIES),
    }


def _installed(distributions: tuple[str, ...]) -> dict[str, str]:
    return {name: version(name) for name in distributions}


@cache
def _objects_source() -> str:
    """Hash of the code that writes the sentences, as their lineage has it in the place of weights."""
    return sha256_file(Path(object_captions.__file__))


def _weights(kind: Kind, model: str, weights_dir: Path) -> Any:
    """What tells weights from others of the same name, without reading them; None where they are not there.

    Of pulled weights that is the hash in their record, which every use of them verifies. Of a local path, which has no
    record, it is the files' names, sizes and times: hashing a gigabyte whenever definitions are loaded costs more than
    making rows again once after a copy that is the same.
    """
    local = Path(model).expanduser()
    if os.sep in model and local.exists():
        files = sorted({path for pattern in FOLDER_FILES for path in local.glob(pattern)}) or [local]
        return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    try:
        path = named_path(kind, model, weights_dir)
        return read_record(path).sha256 if path.exists() else None
    except WeightsMissing:
        return None
    except WeightsDamaged:
        # Without its record nothing vouches for them, and the asset will say so.
        return "unknown"
