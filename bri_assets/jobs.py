"""Jobs: ``ingest``, which takes one upload all the way to its commit; and how the steps of any run are executed."""

from __future__ import annotations

from typing import Any, Literal

import dagster as dg

__all__ = ["INGEST", "build_ingest", "executor_of"]

INGEST = "ingest"


def build_ingest() -> Any:
    """The job over all assets of one partition of `partitions.videos`."""
    return dg.define_asset_job(
        INGEST, selection=dg.AssetSelection.all(), description="One upload, all the way to a proven commit."
    )


def executor_of(name: Literal["in_process", "multiprocess"]) -> dg.ExecutorDefinition:
    """The executor of every run: of the job, and of what is materialized by hand.

    ``in_process`` is the default because each step of ``multiprocess`` is a fresh interpreter that imports and loads
    everything anew.
    """
    return {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}[name]
