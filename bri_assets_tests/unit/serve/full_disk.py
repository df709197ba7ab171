"""Uploads onto a disk that is too small; run as a process in a name space in which a small file system lies over them.

``python -m bri_assets_tests.unit.serve.full_disk HOME FOLDER``: prints the statuses that came of it, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from bri_assets_tests.clips import make_clip
from bri_assets_tests.unit.serve.listening import listening

__all__ = ["make_large"]


def make_large(path: Path) -> Path:
    """Write a video of more than 3 MB; its pictures are not compressed."""
    return make_clip(path, seconds=1.5, size=(320, 240), codec="v210", pix_fmt="yuv422p10le", encoder_options={})


def main(home: Path, folder: Path) -> None:
    """Send what does not fit in two ways, then what does."""
    large = make_large(folder / "large.mov").read_bytes()
    assert len(large) > 3 << 20
    small = make_clip(folder / "small.mp4", seconds=1).read_bytes()
    with listening(home) as server, server.client() as client:
        found = {
            "promised": client.put("/v1/uploads/large.mp4", content=large).status_code,
            "in chunks": client.put("/v1/uploads/large.mp4", content=_portions(large)).status_code,
            "left": server.uploads(),
            "small": client.put("/v1/uploads/small.mp4", content=small).status_code,
        }
    sys.stdout.write(json.dumps(found) + "\n")


def _portions(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
