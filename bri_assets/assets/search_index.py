"""The asset ``search_index``: a video in the index of the search, as it is shown; and the job that keeps all of it.

It is derived: what is committed stays committed whatever becomes of it, and a video that is not in it is found by a
slower way. So in a run that commits, an index that cannot be brought up ends no run: the check ``agrees`` fails, the
partition is not materialized, and the sensor ``reconcile`` tries again. Materialized alone, it fails like any asset.
What does not belong here: the index (``search.index``).
"""

from typing import Any

import dagster as dg

from bri_assets.assets.outcome import reported
from bri_assets.assets.progress import name_the_process
from bri_assets.assets.stage import StageResult
from bri_assets.assets.telling import telling
from bri_assets.checks.indexed import agrees_check, agrees_evaluation, agrees_result, compared, could_not, failing
from bri_assets.checks.partitioned import report_evaluation
from bri_assets.errors import BriError
from bri_assets.jobs import INDEX
from bri_assets.partitions import videos
from bri_assets.search.index import Index
from bri_assets.search.model import IndexStatus, Synced
from bri_assets.settings import Settings

__all__ = ["IndexConfig", "build_index_job", "build_search_index", "index_config"]

_COMMITTED = dg.AssetKey("committed_video")

#: Of the asset, whose table is LanceDB's: what a row of it is.
_COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("video_id", "string", "The video."),
        dg.TableColumn("version_id", "int64", "Its version that is shown."),
        dg.TableColumn("kind", "string", "`caption`, what is seen, or `segment`, what is said."),
        dg.TableColumn("row_index", "int64", "Frame or segment, as in the store."),
        dg.TableColumn("start_s", "double", "When it begins, in seconds."),
        dg.TableColumn("end_s", "double", "When it ends, in seconds."),
        dg.TableColumn("text", "string", "The caption or the words, as they were committed."),
        dg.TableColumn("vector", "float[384]", "What the embedder makes of it."),
    ]
)


class IndexConfig(dg.Config):
    """Of the job that keeps the index: ``rebuild`` makes it anew beside the present one, else it is brought up."""

    rebuild: bool = False


def build_search_index(committed_video: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The asset, which follows the commit."""

    @dg.asset(
        partitions_def=videos,
        deps=[committed_video],
        check_specs=[agrees_check()],
        group_name="derived",
        kinds={"lancedb"},
        owners=["team:bri"],
        output_required=False,
        metadata={"dagster/column_schema": _COLUMNS},
        description="The video's captions and speech in the index of the search, which can always be made again.",
    )
    def search_index(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> StageResult:
        """Bring the index to what is shown of the video."""
        name_the_process(context, settings)
        index, video_id = Index.of(settings), context.partition_key
        with reported(context, settings.retries):
            try:
                with telling(context, settings, "search_index") as told:
                    done, status = index.sync([video_id]), index.status()
                    told.made(done.texts, model=status.model)
                verdict = compared(index, [video_id])[video_id]
            except BriError as error:
                if not _commits(context.run) or (error.retryable and context.retry_number < settings.retries):
                    raise
                context.log.warning(f"{error} The video is committed; a search finds it by a slower way until then.")
                yield agrees_result(could_not(error))
                return
        yield agrees_result(verdict)
        yield dg.MaterializeResult(metadata=_described(done, status))

    return search_index


@dg.op(name="sync", description="Brings the index to what is shown, or makes it anew.")
def _sync(context: dg.OpExecutionContext, config: IndexConfig, settings: dg.ResourceParam[Settings]) -> None:
    with reported(context, settings.retries):
        index = Index.of(settings)
        done = index.rebuild() if config.rebuild else index.sync()
        status = index.status()
        context.add_output_metadata(_described(done, status) | {"videos_added": len(done.added)})
        # What was wrong may be mended now, and whoever looks at a verdict should not wait for the next verification.
        for video_id, verdict in compared(index, failing(context.instance)).items():
            event = agrees_evaluation(video_id, verdict)
            report_evaluation(context.instance, context.run, "sync", event)


def build_index_job(settings: Settings) -> dg.JobDefinition:
    """The job that keeps the whole index, from the UI or for the sensor ``reconcile``.

    It brings its resource along: of a sensor whose job still lacks one, Dagster 1.13 makes another, and warns of that.
    """

    @dg.job(
        name=INDEX,
        resource_defs={"settings": dg.ResourceDefinition.hardcoded_resource(settings)},
        description="The whole index of the search: brought to what is shown, or made anew.",
    )
    def index_job() -> None:
        _sync()

    return index_job


def index_config(*, rebuild: bool) -> dict[str, Any]:
    """The configuration of a run of the job."""
    return {"ops": {_sync.name: {"config": {"rebuild": rebuild}}}}


def _commits(run: dg.DagsterRun) -> bool:
    """Whether a run makes the commit too, and not the index alone."""
    return not run.asset_selection or _COMMITTED in run.asset_selection


def _described(done: Synced, status: IndexStatus) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "texts_added": done.texts,
        "texts_embedded": done.embedded,
        "versions_removed": done.removed,
        "seconds": done.seconds,
        "index_texts": status.texts,
        "index_versions": status.versions,
        "index_bytes": status.size_bytes,
        "vectors": status.vectors or "",
    }
    if status.model is not None:
        shown |= {"model": status.model, "weights_sha256": status.weights_sha256 or ""}
    return shown
