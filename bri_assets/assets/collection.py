"""The asset ``collection``: quality figures of all videos together, as numbers that plot over time.

What does not belong here: the figures (``store.quality``), and what is told of a single video (``health.quality``).
"""

from typing import Any

import dagster as dg

from bri_assets.assets.metadata import columns_of
from bri_assets.assets.outcome import reported
from bri_assets.checks.partitioned import table_of
from bri_assets.settings import Settings
from bri_assets.store.measured import Collection, Quality, Summary, VideoQuality
from bri_assets.store.verdicts import Limit, judge, limits

__all__ = ["collection"]


@dg.asset(
    group_name="upkeep",
    kinds={"duckdb"},
    owners=["team:bri"],
    metadata=columns_of("quality"),
    description="Quality figures over all videos that are shown: how complete, sure, usual and fresh they are.",
)
def collection(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[Any]:
    """Measure what is not measured yet, then the collection."""
    with reported(context, settings.retries):
        store, measured = Quality.of(settings), 0
        while done := store.backfill(channel="schedule" if "dagster/schedule_name" in context.run.tags else "ui"):
            measured += done
        known = limits(settings, store.spreads())
        found = store.collection(freshness_h=settings.freshness_h, stuck_s=settings.stuck_s)
        shown = _described(found) | _beyond(found, store.beyond(known), known)
        return dg.MaterializeResult(metadata=shown | {"measured_now": measured})


def _described(found: Collection) -> dict[str, Any]:
    arrivals = found.arrivals
    shown: dict[str, Any] = {"videos": found.videos, "versions": found.versions}
    shown |= {f"rows/{table}": rows for table, rows in found.rows.items()}
    shown |= {f"quality/{summary.figure}": summary.mean for summary in found.summaries}
    shown |= {f"least/{summary.figure}": summary.least for summary in found.summaries if _is_completeness(summary)}
    shown |= {"uploads": arrivals.uploads, "stuck_uploads": arrivals.stuck}
    if arrivals.slowest_h is not None:
        shown |= {"fresh_share": arrivals.fresh / arrivals.uploads, "slowest_h": arrivals.slowest_h}
    return shown


def _beyond(found: Collection, videos: list[VideoQuality], known: list[Limit]) -> dict[str, Any]:
    """How many videos have a figure beyond its limit, by the kind of figure, and which."""
    failed = {video.video_id: [one for one in judge(video.figures, known) if not one.passed] for video in videos}
    kinds = {
        kind: sum(any(one.figure.kind == kind for one in verdicts) for verdicts in failed.values())
        for kind in ("completeness", "accuracy", "volume")
    }
    shown: dict[str, Any] = {
        "incomplete": kinds["completeness"],
        "low_accuracy": kinds["accuracy"],
        "unusual_volume": kinds["volume"],
        "videos_beyond": table_of(
            [
                {"video": video_id, "figure": one.figure.name, "value": one.value, "expected": one.expected}
                for video_id, verdicts in failed.items()
                for one in verdicts
            ]
        ),
    }
    if found.videos:
        shown["within_share"] = 1 - len(videos) / found.videos
    return shown


def _is_completeness(summary: Summary) -> bool:
    return summary.figure.endswith("completeness")
