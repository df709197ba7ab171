"""``python -m benchmarks.pipeline HOME FIRST COUNT EVERY_S``: commits synthetic videos one after the other.

They are staged and their images written before the first commit; each commit then reads, checks and hands over what is
staged, and brings the search's index up to it, as the pipeline's own assets do. A process of its own, so that it does
not share an interpreter with those who measure. What does not belong here: anything that is measured.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.filling import stage
from benchmarks.synthetic import IMAGE_BYTES, Video
from bri_assets.assets.progress import step_back
from bri_assets.search.index import Index
from bri_assets.settings import Settings
from bri_assets.store import Store

__all__ = ["main"]


def main() -> None:
    """Stage, say so by a line, wait for one on standard input, then commit until it closes or all are committed."""
    home, first, count, every_s = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    settings = Settings(home=home)
    store = Store.of(settings)
    step_back(settings)
    index = Index.of(settings)
    index.vectors.of(["warm"])
    bundles = [stage(settings, Video(first + number, image_bytes=IMAGE_BYTES)) for number in range(count)]
    print("staged", flush=True)  # noqa: T201 - that is how it says so
    sys.stdin.readline()
    began = time.monotonic()
    for number, bundle in enumerate(bundles):
        time.sleep(max(0.0, began + number * every_s - time.monotonic()))
        started = time.perf_counter()
        store.commit(bundle, run_id=f"run-{first + number}", channel="benchmark")
        index.sync([bundle.video_id])
        print(f"{time.perf_counter() - started:.4f}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
