"""The sensor ``automation``: what a person materialized alone is followed by what hangs on it, up to a new version.

Rows that changed make the staged tables anew that were made from them, and any staged table that was materialized ends
in a commit and in the index. What an ingest makes is left to the ingest: an attempt of it that failed is tried again by
whoever counts attempts, not from here. Changed settings start nothing by themselves either; they show as stale, and a
person decides when a whole collection is made again.

What does not belong here: runs for uploads (``uploads``) and repairs (``reconcile``).
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import dagster as dg
from dagster import AssetRecordsFilter
from dagster import AutomationCondition as When
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._utils.warnings import BetaWarning

from bri_assets.runs import ATTEMPT_TAG
from bri_assets.settings import Settings
from bri_assets.store import Store

__all__ = ["AUTOMATION_TAG", "automated", "build_automation_sensor", "when"]

#: The tag of the runs that it starts: nobody asked for them.
AUTOMATION_TAG = "bri/automation"

#: Seconds between two looks.
_INTERVAL_S = 20

_Condition = dg.AutomationCondition[Any]


class _OfVideos(dg.AutomationCondition[dg.AssetKey]):
    """A condition that is judged video by video, and only for those that nothing else rules out."""

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Judge the videos that are left to judge."""
        found, videos = context.get_empty_subset(), context.candidate_subset.expensively_compute_partition_keys()
        matching = self.matching(context, set(videos)) if videos else set()
        if matching and context.partitions_def is not None:
            view = context.asset_graph_view
            found = view.get_subset_from_partition_keys(context.key, context.partitions_def, matching)
        return dg.AutomationResult(context, found)

    @abstractmethod
    def matching(self, context: dg.AutomationContext[dg.AssetKey], video_ids: set[str]) -> set[str]:
        """Those of the videos for which it holds."""


class VideoIsDeleted(_OfVideos):
    """Whether the store says that the video is deleted: its commit would be refused. Undeleted, it is followed again.

    Args:
        settings: of the process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """As the UI shows it."""
        return "video_is_deleted"

    def matching(self, context: dg.AutomationContext[dg.AssetKey], video_ids: set[str]) -> set[str]:  # noqa: ARG002
        """Those that are deleted."""
        uploads = Store.of(self._settings).status()
        return video_ids & {row["video_id"] for row in uploads if row["state"] == "deleted"}


class MadeFromRefused(_OfVideos):
    """Whether a blocking check of something that the asset is made from failed when it was evaluated last.

    Each video is judged by the newest verdict alone. Dagster's own ``check_passed`` and ``check_failed`` keep sets of
    partitions, and one that has failed stays in theirs when it passes later, and the other way round (1.13.27, where
    partitioned checks are a preview). A check that was never evaluated refuses nothing: of one that is new, all videos
    that were made before would wait for ever. Nor does a verdict on an earlier materialization.
    """

    @property
    def name(self) -> str:
        """As the UI shows it."""
        return "made_from_refused"

    def matching(self, context: dg.AutomationContext[dg.AssetKey], video_ids: set[str]) -> set[str]:
        """Those that are refused."""
        graph, instance = context.asset_graph, context.asset_graph_view.instance
        parents = graph.get(context.key).parent_keys
        checks = [key for parent in parents for key in graph.get(parent).check_keys if graph.get(key).blocking]
        return {video_id for video_id in video_ids if _refusing(instance, checks, video_id)}


def automated(assets: Iterable[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of an upload's way, each with the condition under which it follows what it is made from."""

    def follows(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(automation_condition=when(spec, settings))

    return [asset.map_asset_specs(follows) for asset in assets]


def when(spec: dg.AssetSpec, settings: Settings) -> _Condition | None:
    """When an asset is requested; None for one that is made from no other.

    A staged table follows a changed content: a materialization that gives the same rows leaves what was made from them
    valid. The commit follows any materialization, for each is a bundle of its own, and the index any commit. None
    follows while anything it is made from is missing, in progress, failed last, or refused by a blocking check, nor of
    a deleted video.
    """
    if not spec.deps:
        return None
    updated: _Condition = When.newly_updated()
    if spec.group_name == "staged":
        updated &= When.data_version_changed()
    by_another_run = ~When.executed_with_root_target() & ~When.executed_with_tags(tag_keys={ATTEMPT_TAG})
    followed = When.any_deps_match((updated & by_another_run) | When.will_be_requested())
    failed = When.any_deps_match(When.execution_failed() & ~When.will_be_requested())
    return (
        followed.with_label("made_from_updated").since_last_handled()
        & ~When.any_deps_missing()
        & ~When.any_deps_in_progress()
        & ~When.in_progress()
        & ~failed.with_label("made_from_failed")
        & ~MadeFromRefused()
        & ~VideoIsDeleted(settings)
    ).with_label("follows_what_it_is_made_from")


def build_automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """The sensor; the runs that it starts have the tag ``bri/automation``."""
    with warnings.catch_warnings():
        # Known and wanted: where the code server evaluates what is ours is what may change.
        warnings.simplefilter("ignore", BetaWarning)
        return _sensor()


def _sensor() -> dg.AutomationConditionSensorDefinition:
    return dg.AutomationConditionSensorDefinition(
        name="automation",
        target=dg.AssetSelection.groups("staged", "committed", "derived"),
        run_tags={AUTOMATION_TAG: "followed"},
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_INTERVAL_S,
        # A run for each video, as all others are: what failed is told, and tried again, video by video.
        emit_backfills=False,
        # Two of the conditions are ours, and the daemon does not load our code.
        use_user_code_server=True,
        description="Follows up what was materialized alone, until it is committed as a new version.",
    )


def _refusing(instance: dg.DagsterInstance, checks: list[dg.AssetCheckKey], video_id: str) -> bool:
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks, PartitionKeyFilter(key=video_id))
    return any(_is_refusal(instance, record, video_id) for record in found.values())


def _is_refusal(instance: dg.DagsterInstance, record: AssetCheckExecutionRecord, video_id: str) -> bool:
    """Whether this verdict is one against what is materialized now."""
    evaluation = record.evaluation
    if not isinstance(evaluation, dg.AssetCheckEvaluation) or evaluation.passed:
        return False
    wanted = AssetRecordsFilter(asset_key=record.key.asset_key, asset_partitions=[video_id])
    materialized = instance.fetch_materializations(wanted, limit=1).records
    judged = evaluation.target_materialization_data
    return not materialized or (judged is not None and judged.storage_id >= materialized[0].storage_id)
