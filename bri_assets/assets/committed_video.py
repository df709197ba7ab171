"""The asset ``committed_video``: all of a video's staged tables in the store, proven, or none of them."""

from typing import Any

import dagster as dg

from bri_assets.assets.outcome import reported
from bri_assets.assets.source_video import source_video
from bri_assets.assets.stage import StageResult
from bri_assets.checks.proofs import proofs_check, proofs_failed, proofs_passed
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
        check_specs=[proofs_check()],
        group_name="committed",
        kinds={"duckdb"},
        owners=["team:bri"],
        code_version="1",
        description="The video as readers see it: one new version of all four tables, committed in one transaction.",
    )
    def committed_video(
        context: dg.AssetExecutionContext,
        staging: dg.ResourceParam[StagingArea],
        store: dg.ResourceParam[Store],
        settings: dg.ResourceParam[Settings],
    ) -> StageResult:
        """Commit the staged tables."""
        with reported(context, settings.retries):
            try:
                bundle = staging.bundle(context.partition_key)
                committed = store.commit(bundle, run_id=context.run.run_id, channel="pipeline")
            except CommitRefused as refusal:
                yield proofs_failed(refusal)
                raise
            yield proofs_passed(committed)
            yield dg.MaterializeResult(metadata=_described(committed), data_version=dg.DataVersion(bundle.sha256))

    return committed_video


def _described(committed: CommittedVersion) -> dict[str, Any]:
    return {
        "version": committed.version,
        "version_id": committed.version_id,
        **committed.counts,
        "proofs": len(committed.proofs),
        "see": f"bri show {committed.video_id}",
    }
