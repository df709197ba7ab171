"""Frame images as they lie on disk, which the database only names.

What does not belong here: making them (``media.images``) and what a missing or changed one means (``proofs``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bri_assets.files import sha256_file

__all__ = ["image_hashes", "not_as_committed"]


def image_hashes(home: Path, frames: pd.DataFrame) -> dict[int, str]:
    """SHA-256 of each frame's image, by frame index; a missing image has none.

    Args:
        home: BRI_HOME, to which image paths are relative.
        frames: rows with ``frame_index`` and ``image_path``.

    Raises:
        OSError: an image is there and cannot be read.
    """
    paths = dict(zip(frames["frame_index"].tolist(), frames["image_path"].tolist(), strict=True))
    return {index: sha256_file(home / path) for index, path in paths.items() if (home / path).is_file()}


def not_as_committed(home: Path, frames: Sequence[dict[str, Any]]) -> list[str]:
    """Paths of the images that are missing, or are other ones than were committed, in the order of the frames.

    Args:
        home: BRI_HOME, to which image paths are relative.
        frames: records with ``frame_index``, ``image_path`` and ``image_sha256``.

    Raises:
        OSError: an image is there and cannot be read.
    """
    hashes = image_hashes(home, pd.DataFrame(frames, columns=["frame_index", "image_path"]))
    return [row["image_path"] for row in frames if hashes.get(row["frame_index"]) != row["image_sha256"]]
