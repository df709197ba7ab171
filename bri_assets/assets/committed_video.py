"""The asset ``committed_video``: all of a video's staged tables in the store, proven, or none of them."""

from typing import Any

import dagster as dg

from bri_assets.assets.metadata import columns_of
from bri_assets.assets.outcome import reported
from bri_assets.assets.previews import of_proofs
from bri_assets.assets.progress import name_the_process
from bri_assets.assets.source_video import source_video
from bri_assets.assets.stage import StageResult
from bri_assets.assets.telling import telling
from bri_assets.checks.proofs import proofs_check, proofs_failed, proofs_passed
from bri_assets.checks.quality import figures_shown, quality_check, quality_judged
from bri_assets.errors import CommitRefused
from bri_assets.partitions import videos
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import CommittedVersion, Store

__all__ = ["build_committed_video"]


def build_committed_video(staged: list[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    """The asset, which waits for all staged tables.

    Args:
        staged: the assets that stage them.
    """

    @dg.asset(
        partitions_def=videos,
        deps=[source_video, *staged],
        check_specs=[proofs_check(), quality_check()],
        group_name="committed",
        kinds={"duckdb"},
        owners=["team:bri"],
        metadata=columns_of("video_versions"),
        description="The video as readers see it: one new version of all four tables, committed in one transaction.",
    )
    def committed_video(
        context: dg.AssetExecutionContext,
        staging: dg.ResourceParam[StagingArea],
        store: dg.ResourceParam[Store],
        settings: dg.ResourceParam[Settings],
    ) -> StageResult:
        """Commit the staged tables."""
        name_the_process(context, settings)
        with reported(context, settings.retries), telling(context, settings, "committed_video") as told:
            try:
                bundle = staging.bundle(context.partition_key)
                committed = store.commit(bundle, run_id=context.run.run_id, channel="pipeline")
            except CommitRefused as refusal:
                yield proofs_failed(refusal)
                raise
            told.made(sum(committed.counts.values()))
            yield proofs_passed(committed)
            yield quality_judged(committed, settings)
            yield dg.MaterializeResult(metadata=_described(committed), data_version=dg.DataVersion(bundle.sha256))

    return committed_video


def _described(committed: CommittedVersion) -> dict[str, Any]:
    return {
        "version": committed.version,
        "version_id": committed.version_id,
        **committed.counts,
        **of_proofs(committed),
        **figures_shown(committed),
        "see": f"bri show {committed.video_id}",
    }
