"""The asset ``frames``: sampled frames as images on disk, one row a frame."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from bri_assets.assets.inputs import SourceFacts, source_facts, unchanged
from bri_assets.assets.previews import of_frames
from bri_assets.assets.progress import counted
from bri_assets.assets.source_video import source_video
from bri_assets.assets.stage import Made, StageResult, definition, stage, table, versions
from bri_assets.files import sync_folder
from bri_assets.media.images import write_image
from bri_assets.media.sampling import expected_slots, sample_frames
from bri_assets.schemas import FRAMES
from bri_assets.settings import Settings
from bri_assets.staging import Provenance, StagingArea

__all__ = ["frames"]


@dg.asset(**definition(FRAMES, kinds={"opencv"}), deps=[source_video])
def frames(
    context: dg.AssetExecutionContext, staging: dg.ResourceParam[StagingArea], settings: dg.ResourceParam[Settings]
) -> StageResult:
    """Sample frames and store their images."""

    def make(video_id: str) -> Made:
        source = source_facts(staging, video_id)
        with unchanged(source) as path, _removed_on_failure(settings.frames_dir / video_id) as folder:
            return _sample(context, settings, source, path, folder)

    yield from stage(context, staging, settings, FRAMES, make)


def _sample(
    context: dg.AssetExecutionContext, settings: Settings, source: SourceFacts, path: Path, folder: Path
) -> Made:
    import cv2

    interval_s = settings.frame_interval_s
    slots = expected_slots(source.row["last_frame_s"], interval_s)
    rows: list[dict[str, Any]] = []
    told = counted(context, settings, "frames sampled")
    for frame in sample_frames(path, interval_s):
        image = write_image(frame.image, folder, frame.frame_index, settings.jpeg_quality)
        rows.append(
            {
                "frame_index": frame.frame_index,
                "timestamp_s": frame.timestamp_s,
                "image_path": image.path.relative_to(settings.home).as_posix(),
                "image_sha256": image.sha256,
                "width": image.width,
                "height": image.height,
                "phash": image.phash,
            }
        )
        told(len(rows), slots)
    sync_folder(folder)
    empty = sorted(set(range(slots)) - {row["frame_index"] for row in rows})
    provenance = Provenance(
        tool="opencv",
        tool_version=cv2.__version__,
        parameters={
            "interval_s": float(interval_s),
            # The last bit of a float decides whether a frame on the edge of a slot belongs to it.
            "interval_s_exact": str(interval_s),
            "jpeg_quality": settings.jpeg_quality,
            **versions("av", "imagehash", "pillow"),
        },
        inputs={"source_video": source.manifest.content_sha256},
        facts={"sample_interval_s": float(interval_s), "sample_slots": slots, "empty_slots": empty},
    )
    shown = {
        "sample_slots": slots,
        "empty_slots": len(empty),
        "images": dg.MetadataValue.path(folder),
        **of_frames(rows, settings.home, settings.preview_frames),
    }
    return Made(table(FRAMES, rows), provenance, source.manifest.source_sha256, shown)


@contextmanager
def _removed_on_failure(folder: Path) -> Iterator[Path]:
    """The folder for a video's images; images that a failed attempt added are removed, older ones never."""
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    try:
        yield folder
    except BaseException:
        for image in set(folder.iterdir()) - before:
            image.unlink(missing_ok=True)
        raise
