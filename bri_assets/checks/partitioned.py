"""The one place that uses the preview of partitioned checks, and works around its gaps.

Without ``partitions_def`` a check has a single timeline for all videos, and the newest video hides another's failure.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
from dagster._utils.warnings import PreviewWarning

from bri_assets.partitions import videos

__all__ = ["MOST_ROWS", "partitioned_check", "partitioned_evaluator", "report_evaluation", "table_of"]

#: Offending rows that are put into a check's metadata; a person reads no more.
MOST_ROWS = 25


def partitioned_check(name: str, asset: str, description: str, *, blocking: bool = True) -> dg.AssetCheckSpec:
    """A check with a timeline for each video; it is blocking unless a wrong result may go on."""
    with warnings.catch_warnings():
        # Known and wanted: this function is what has to change when the preview does.
        warnings.simplefilter("ignore", PreviewWarning)
        return dg.AssetCheckSpec(name, asset=asset, description=description, blocking=blocking, partitions_def=videos)


def partitioned_evaluator(name: str, asset: str, description: str) -> Callable[[Any], dg.AssetChecksDefinition]:
    """A decorator for what evaluates a check by itself, for one video; it blocks nothing."""

    def decorate(body: Any) -> dg.AssetChecksDefinition:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PreviewWarning)
            make = dg.asset_check(
                name=name, asset=asset, description=description, blocking=False, partitions_def=videos
            )
            return make(body)

    return decorate


def report_evaluation(
    instance: dg.DagsterInstance, run: dg.DagsterRun, step_key: str, evaluation: dg.AssetCheckEvaluation
) -> None:
    """Record the verdict of a check that is none of the step's own, as of a run.

    ``report_runless_asset_event`` can do that once for each partition: the second time, it breaks a unique index of the
    default SQLite storage.
    """
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        job_name=run.job_name,
        step_key=step_key,
        event_specific_data=evaluation,
    )
    instance.report_dagster_event(event, run.run_id)


def table_of(records: Sequence[dict[str, Any]]) -> dg.TableMetadataValue:
    """Records as a table for Dagster's UI: values other than numbers and booleans as text, at most ``MOST_ROWS``."""
    names = list(dict.fromkeys(name for record in records for name in record))
    rows = [{name: _shown(record.get(name)) for name in names} for record in records[:MOST_ROWS]]
    schema = dg.TableSchema(columns=[dg.TableColumn(name, _type(rows, name)) for name in names])
    return dg.TableMetadataValue([dg.TableRecord(row) for row in rows], schema)


def _shown(value: Any) -> str | int | float | bool:
    if isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value, default=str)


def _type(rows: Sequence[dict[str, Any]], name: str) -> str:
    kinds = {type(row[name]) for row in rows}
    return {int: "int", float: "float", bool: "bool"}.get(kinds.pop(), "string") if len(kinds) == 1 else "string"
