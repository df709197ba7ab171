"""The hook by which a stage's work is told: logs, metrics and traces, by what Dagster knows of the step.

What does not belong here: what is told, and how (``telemetry``).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import dagster as dg

from bri_assets import telemetry
from bri_assets.settings import Settings

__all__ = ["telling"]


def telling(
    context: dg.AssetExecutionContext, settings: Settings, name: str
) -> AbstractContextManager[telemetry.Stage]:
    """Tell of the stage of that name; the block is its work, and an error that ends it goes on as it is."""
    run_id, attempt = context.run.run_id, context.retry_number
    return telemetry.stage(settings, name, video_id=context.partition_key, run_id=run_id, attempt=attempt)
