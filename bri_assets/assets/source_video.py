"""The asset ``source_video``: the facts of the uploaded file, read from the bytes that intake accepted."""

from dataclasses import asdict
from pathlib import Path

import dagster as dg

from bri_assets.assets.stage import Made, StageResult, definition, stage, table
from bri_assets.errors import UploadChanged
from bri_assets.media.fingerprint import fingerprint
from bri_assets.media.probe import probe
from bri_assets.schemas import SOURCE_VIDEO
from bri_assets.settings import Settings
from bri_assets.staging import Provenance, Source, StagingArea

__all__ = ["source_video"]


@dg.asset(**definition(SOURCE_VIDEO, kinds={"pyav"}))
def source_video(
    context: dg.AssetExecutionContext, staging: dg.ResourceParam[StagingArea], settings: dg.ResourceParam[Settings]
) -> StageResult:
    """Probe and fingerprint the upload."""
    yield from stage(context, staging, settings, SOURCE_VIDEO, lambda video_id: _read(staging.source(video_id)))


def _read(source: Source) -> Made:
    import av

    path = Path(source.path)
    sha256, signature = fingerprint(path)
    if sha256 != source.sha256:
        raise UploadChanged(path, "its bytes are no longer those that were accepted.", "Ingest it again: `bri ingest`.")
    facts = probe(path)
    row = {"video_id": source.video_id, "filename": source.filename, "sha256": sha256, **asdict(facts)}
    provenance = Provenance(
        tool="pyav", tool_version=av.__version__, facts={"path": str(path), "signature": str(signature)}
    )
    return Made(table(SOURCE_VIDEO, [row]), provenance, sha256, {"path": dg.MetadataValue.path(path)})
