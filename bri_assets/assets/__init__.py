"""Software-defined assets, one file each, named as the asset; each joins a room that does the work to Dagster.

What does not belong here: reading media (``media``), running models (``models``) and SQL (``store``).
"""

from __future__ import annotations

import dagster as dg

from bri_assets.assets.captions import build_captions
from bri_assets.assets.committed_video import build_committed_video
from bri_assets.assets.detections import detections
from bri_assets.assets.frames import frames
from bri_assets.assets.source_video import source_video
from bri_assets.assets.transcripts import transcripts

__all__ = ["build_assets"]


def build_assets(captioner: str) -> list[dg.AssetsDefinition]:
    """All assets of one upload's way.

    Args:
        captioner: ``blip``, ``objects`` or ``auto``; decides what ``captions`` waits for.
    """
    captions = build_captions(captioner)
    committed_video = build_committed_video([frames, captions, detections, transcripts])
    return [source_video, frames, captions, detections, transcripts, committed_video]
