"""The asset ``detections``: objects seen in the frames."""

import dagster as dg

from bri_assets.assets.frames import frames
from bri_assets.assets.inputs import frame_images
from bri_assets.assets.previews import frame_times, of_detections
from bri_assets.assets.progress import counted
from bri_assets.assets.stage import Made, StageResult, by_model, definition, stage, table, versions
from bri_assets.breaker import guarded, model_name
from bri_assets.models.detector import Detector
from bri_assets.schemas import DETECTIONS
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea

__all__ = ["detections"]


@dg.asset(**definition(DETECTIONS, kinds={"ultralytics"}), deps=[frames])
def detections(
    context: dg.AssetExecutionContext,
    staging: dg.ResourceParam[StagingArea],
    settings: dg.ResourceParam[Settings],
    detector: Detector,
) -> StageResult:
    """Detect objects in every frame."""

    def make(video_id: str) -> Made:
        images, manifest = frame_images(staging, settings.home, video_id)
        with guarded(settings, model_name(detector.model)):
            found = detector.detect(images, counted(context, settings, "frames searched"))
        # Batches decide the last bits, and whether pictures of several sizes are padded alike.
        with_it = {"batch_size": detector.batch_size, **versions("opencv-python", "torchvision")}
        provenance = by_model(detector.identity(), {"frames": manifest.content_sha256}, parameters=with_it)
        shown = of_detections(found, images, frame_times(staging, manifest), settings.preview_frames)
        return Made(table(DETECTIONS, found), provenance, manifest.source_sha256, shown)

    yield from stage(context, staging, settings, DETECTIONS, make)
