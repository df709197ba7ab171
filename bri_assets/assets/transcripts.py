"""The asset ``transcripts``: what is said. A video without sound has an empty transcript, and that is recorded."""

import dagster as dg

from bri_assets.assets.inputs import SourceFacts, source_facts, unchanged
from bri_assets.assets.previews import of_transcript
from bri_assets.assets.source_video import source_video
from bri_assets.assets.stage import Made, StageResult, by_model, definition, stage, table, versions
from bri_assets.breaker import guarded, model_name
from bri_assets.media.audio import AudioReport, decode_audio
from bri_assets.models.transcriber import Transcriber
from bri_assets.schemas import TRANSCRIPTS
from bri_assets.settings import Settings
from bri_assets.staging import Provenance, StagingArea

__all__ = ["transcripts"]


@dg.asset(**definition(TRANSCRIPTS, kinds={"whisper"}), deps=[source_video])
def transcripts(
    context: dg.AssetExecutionContext,
    staging: dg.ResourceParam[StagingArea],
    settings: dg.ResourceParam[Settings],
    transcriber: Transcriber,
) -> StageResult:
    """Transcribe the sound."""

    def make(video_id: str) -> Made:
        source = source_facts(staging, video_id)
        if not source.row["has_audio"]:
            return _nothing_to_hear(source)
        return _transcribe(context, settings, source, transcriber)

    yield from stage(context, staging, settings, TRANSCRIPTS, make)


def _nothing_to_hear(source: SourceFacts) -> Made:
    import av

    provenance = Provenance(
        tool="pyav",
        tool_version=av.__version__,
        inputs={"source_video": source.manifest.content_sha256},
        outcome="no_audio",
    )
    shown = {"text": dg.MetadataValue.md("The video has no sound.")}
    return Made(table(TRANSCRIPTS, []), provenance, source.manifest.source_sha256, shown)


def _transcribe(
    context: dg.AssetExecutionContext, settings: Settings, source: SourceFacts, transcriber: Transcriber
) -> Made:
    report = AudioReport()
    with unchanged(source) as path, guarded(settings, model_name(transcriber.model)):
        chunks = decode_audio(path, settings.transcriber_chunk_s, report=report)
        segments = transcriber.transcribe(chunks, source.row["duration_s"], context.log.info)
    provenance = by_model(
        transcriber.identity(),
        {"source_video": source.manifest.content_sha256},
        outcome="transcribed",
        parameters={"chunk_s": settings.transcriber_chunk_s, **versions("av")},
    )
    shown = {
        "audio_packets_skipped": report.skipped_packets,
        **of_transcript(segments, source.row["video_id"], shown=settings.preview_rows > 0),
    }
    return Made(table(TRANSCRIPTS, segments), provenance, source.manifest.source_sha256, shown)
