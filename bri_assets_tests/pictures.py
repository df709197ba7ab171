"""Invented rows whose frame images are real JPEGs, each of a colour of its own, for tests that look at pictures."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from bri_assets.files import sha256_bytes, write_atomically
from bri_assets_tests.bundles import Rows

__all__ = ["colour_of", "difference", "stretched", "with_pictures"]


def colour_of(index: int) -> tuple[int, int, int]:
    """The colour of a frame's picture; neighbours differ by more than a JPEG loses."""
    return (index * 67 % 256, index * 131 % 256, 255 - index * 67 % 256)


def with_pictures(home: Path, tables: Rows, *, size: tuple[int, int] = (64, 48)) -> Rows:
    """The rows, with a real picture of a size for each frame."""
    for row in tables["frames"]:
        made = io.BytesIO()
        Image.new("RGB", size, colour_of(row["frame_index"])).save(made, "JPEG", quality=90)
        digest = row["image_sha256"] = sha256_bytes(made.getvalue())
        row["image_path"] = str(Path(row["image_path"]).with_name(f"{row['frame_index']:06d}-{digest[:12]}.jpg"))
        row["width"], row["height"] = size
        write_atomically(home / row["image_path"], made.getvalue(), sync_name=False)
    return tables


def stretched(tables: Rows, frames: int) -> Rows:
    """The rows made into those of a long video of one scene, in which each frame has the first one's picture."""
    source, first = tables["source_video"][0], tables["frames"][0]
    source |= {"duration_s": 2.0 * frames, "last_frame_s": 2.0 * frames - 0.04, "frame_count": 50 * frames}
    seen = [row for row in tables["detections"] if row["frame_index"] == 0]
    caption = tables["captions"][0]
    tables["frames"] = [{**first, "frame_index": n, "timestamp_s": 2.0 * n} for n in range(frames)]
    tables["captions"] = [{**caption, "frame_index": n, "text": f"a picture {n}"} for n in range(frames)]
    tables["detections"] = [{**row, "frame_index": n} for n in range(frames) for row in seen]
    return tables


def difference(picture: bytes, index: int) -> int:
    """How far the middle of a picture is from a frame's colour, 0 to 255."""
    with Image.open(io.BytesIO(picture)) as image:
        seen = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    assert isinstance(seen, tuple)
    return max(abs(a - b) for a, b in zip(seen, colour_of(index), strict=True))
