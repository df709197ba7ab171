"""The check ``schema``: pandera's verdict on the rows of one table, before they are staged."""

from __future__ import annotations

import dagster as dg

from bri_assets.checks.partitioned import partitioned_check, table_of
from bri_assets.errors import RowsInvalid
from bri_assets.schemas import TableSpec

__all__ = ["schema_check", "schema_failed", "schema_passed"]

_NAME = "schema"


def schema_check(spec: TableSpec) -> dg.AssetCheckSpec:
    """The check as it stands in the asset's definition."""
    return partitioned_check(
        _NAME, spec.name, f"Every row of {spec.name} has the columns, types, ranges and key of its pandera model."
    )


def schema_passed(spec: TableSpec, row_count: int) -> dg.AssetCheckResult:
    """All rows are valid."""
    return dg.AssetCheckResult(
        passed=True, check_name=_NAME, asset_key=spec.name, metadata={"rows": row_count, "failing_values": 0}
    )


def schema_failed(spec: TableSpec, row_count: int, error: RowsInvalid) -> dg.AssetCheckResult:
    """Some are not: which, as a table."""
    return dg.AssetCheckResult(
        passed=False,
        check_name=_NAME,
        asset_key=spec.name,
        severity=dg.AssetCheckSeverity.ERROR,
        description=str(error),
        metadata={"rows": row_count, "failing_values": len(error.failures), "failing": table_of(error.failures)},
    )
