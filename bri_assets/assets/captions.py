"""The asset ``captions``: each frame in words."""

from typing import Any

import dagster as dg

from bri_assets.assets.detections import detections
from bri_assets.assets.frames import frames
from bri_assets.assets.inputs import frame_images, staged_detections
from bri_assets.assets.previews import frame_times, of_captions
from bri_assets.assets.progress import counted
from bri_assets.assets.stage import Made, StageResult, by_model, definition, stage, table, versions
from bri_assets.breaker import guarded, model_name
from bri_assets.models.blip import BlipCaptioner
from bri_assets.models.captioner import resolve_captioner
from bri_assets.models.detector import Detection
from bri_assets.schemas import CAPTIONS
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea

__all__ = ["build_captions"]


def build_captions(choice: str) -> dg.AssetsDefinition:
    """The asset for a choice of captioner: it waits for ``detections`` only where the choice may need them.

    Args:
        choice: ``blip``, ``objects`` or ``auto``.
    """
    needed = [frames] if choice == "blip" else [frames, detections]
    kinds = {"python"} if choice == "objects" else {"transformers"}

    @dg.asset(**definition(CAPTIONS, kinds=kinds), deps=needed)
    def captions(
        context: dg.AssetExecutionContext,
        staging: dg.ResourceParam[StagingArea],
        settings: dg.ResourceParam[Settings],
        blip: BlipCaptioner,
    ) -> StageResult:
        """Describe every frame."""
        yield from stage(
            context, staging, settings, CAPTIONS, lambda video_id: _caption(context, staging, settings, blip, video_id)
        )

    return captions


def _caption(
    context: dg.AssetExecutionContext, staging: StagingArea, settings: Settings, blip: BlipCaptioner, video_id: str
) -> Made:
    captioner, why = resolve_captioner(settings.captioner, blip)
    context.log.info(why)
    images, manifest = frame_images(staging, settings.home, video_id)
    inputs, seen, with_it = {"frames": manifest.content_sha256}, list[Detection](), dict[str, Any]()
    if captioner.needs_detections:
        seen, detections_manifest = staged_detections(staging, video_id)
        inputs["detections"] = detections_manifest.content_sha256
    else:
        with_it = {"batch_size": blip.batch_size, **versions("opencv-python", "tokenizers", "torchvision")}
    with guarded(settings, model_name("objects" if captioner.needs_detections else blip.model)):
        made = captioner.caption(images, seen, counted(context, settings, "frames captioned"))
    provenance = by_model(captioner.identity(), inputs, parameters=with_it)
    times = frame_times(staging, manifest)
    shown = {"captioner": why, **of_captions(made, times, settings.preview_rows)}
    return Made(table(CAPTIONS, made), provenance, manifest.source_sha256, shown)
