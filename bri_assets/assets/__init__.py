"""Software-defined assets, one file each, named as the asset; each joins a room that does the work to Dagster.

What does not belong here: reading media (``media``), running models (``models``) and SQL (``store``).
"""

from __future__ import annotations

import dagster as dg

from bri_assets.assets.captions import build_captions
from bri_assets.assets.code_versions import code_version, decided_by
from bri_assets.assets.committed_video import build_committed_video
from bri_assets.assets.detections import detections
from bri_assets.assets.frames import frames
from bri_assets.assets.search_index import build_search_index
from bri_assets.assets.source_video import source_video
from bri_assets.assets.transcripts import transcripts
from bri_assets.settings import Settings

__all__ = ["build_assets"]


def build_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """All assets of one upload's way and what is derived at its end, with the code versions that they have now.

    Args:
        settings: of the process; ``captioner`` decides what ``captions`` waits for.
    """
    captions = build_captions(settings.captioner)
    committed_video = build_committed_video([frames, captions, detections, transcripts])

    def versioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        table = spec.key.to_user_string()
        told = {"code_version_over": dg.MetadataValue.json(decided_by(table, settings))}
        return spec.replace_attributes(code_version=code_version(table, settings)).merge_attributes(metadata=told)

    search_index = build_search_index(committed_video)
    assets = [source_video, frames, captions, detections, transcripts, committed_video, search_index]
    return [asset.map_asset_specs(versioned) for asset in assets]
