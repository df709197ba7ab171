"""Schedules: when the jobs that keep the store run by themselves, as the settings say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from bri_assets.jobs import crons
from bri_assets.settings import Settings

__all__ = ["build_schedules"]


def build_schedules(settings: Settings, jobs: Mapping[str, Any]) -> list[dg.ScheduleDefinition]:
    """A schedule for each job that is not switched off.

    Args:
        settings: of the process.
        jobs: the jobs by their names, as ``jobs.build_upkeep`` makes them.
    """
    return [
        dg.ScheduleDefinition(
            name=f"scheduled_{name}",
            job=jobs[name],
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=f"Runs {name} by itself.",
        )
        for name, cron in crons(settings).items()
    ]
