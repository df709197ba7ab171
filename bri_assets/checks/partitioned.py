"""The one place that uses the preview of partitioned checks.

Without ``partitions_def`` a check has a single timeline for all videos, and the newest video hides another's failure.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._utils.warnings import PreviewWarning

from bri_assets.partitions import videos

__all__ = ["MOST_ROWS", "partitioned_check", "table_of"]

#: Offending rows that are put into a check's metadata; a person reads no more.
MOST_ROWS = 25


def partitioned_check(name: str, asset: str, description: str) -> dg.AssetCheckSpec:
    """A blocking check with a timeline for each video."""
    with warnings.catch_warnings():
        # Known and wanted: this function is what has to change when the preview does.
        warnings.simplefilter("ignore", PreviewWarning)
        return dg.AssetCheckSpec(name, asset=asset, description=description, blocking=True, partitions_def=videos)


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
