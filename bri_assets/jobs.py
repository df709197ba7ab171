"""Jobs: ``ingest``, which takes one upload all the way to its commit."""

from __future__ import annotations

from typing import Any

import dagster as dg

__all__ = ["INGEST", "build_ingest"]

INGEST = "ingest"


def build_ingest(executor: str) -> Any:
    """The job over all assets of one partition of `partitions.videos`.

    Args:
        executor: ``in_process`` or ``multiprocess``. The former is the default because each step of the latter is a
            fresh interpreter that imports and loads everything anew.
    """
    executors = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}
    return dg.define_asset_job(
        INGEST,
        selection=dg.AssetSelection.all(),
        executor_def=executors[executor],
        description="One upload, all the way to a proven commit.",
    )
