"""The sensor ``traces``: the span of each run that the daemon or the UI started, once it has ended.

A run of `bri ingest` tells its own end (``launch``). What does not belong here: spans of stages (``telemetry``).
"""

import time
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from bri_assets import telemetry
from bri_assets.settings import Settings

__all__ = ["build_traces_sensor"]

_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]

#: Most runs of one tick; the next goes on.
_MOST = 100


def build_traces_sensor() -> dg.SensorDefinition:
    """The sensor; wanted only where traces are (``telemetry.traces.wanted``)."""

    @dg.sensor(
        name="traces",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends the OpenTelemetry span of each run that has ended, the root of its stages' spans.",
    )
    def traces(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SkipReason:
        since = float(context.cursor) if context.cursor else time.time()
        told = _tell(context.instance, settings, since)
        # What ended before the sensor was ever asked is not told: its stages' spans may never have been sent.
        context.update_cursor(str(max([since, *told])))
        return dg.SkipReason(f"{len(told)} run(s) ended")

    return traces


def _tell(instance: dg.DagsterInstance, settings: Settings, since: float) -> list[float]:
    """Send the spans of runs that ended after a time, seconds since 1970; returns when they ended."""
    changed = RunsFilter(statuses=_ENDED, updated_after=datetime.fromtimestamp(since, UTC))
    records = instance.get_run_records(changed, limit=_MOST, order_by="update_timestamp", ascending=True)
    ended: list[float] = []
    for record in records:
        # A change after the end, of a tag say, makes no new end.
        if record.end_time is None or record.end_time <= since:
            continue
        ended.append(record.end_time)
        run = record.dagster_run
        if run.remote_job_origin is not None:
            telemetry.run_ended(
                settings,
                run.job_name,
                run.run_id,
                began_s=record.start_time or record.end_time,
                ended_s=record.end_time,
                success=run.is_success,
            )
    return ended
