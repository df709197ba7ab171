"""Jobs: ``ingest``, which takes one upload all the way to its commit; those that keep the store; how any run works."""

from __future__ import annotations

from typing import Any, Literal

import dagster as dg

__all__ = ["BACK_UP", "INGEST", "KEEP_UP", "RECOVERY_DRILL", "build_ingest", "build_upkeep", "executor_of"]

INGEST = "ingest"
BACK_UP = "back_up"
KEEP_UP = "keep_up"
RECOVERY_DRILL = "recovery_drill"


def build_ingest() -> Any:
    """The job over all assets of one partition of `partitions.videos`."""
    return dg.define_asset_job(
        INGEST,
        selection=dg.AssetSelection.groups("staged", "committed"),
        description="One upload, all the way to a proven commit.",
    )


def build_upkeep() -> dict[str, Any]:
    """The jobs that keep the store, by their names; none has partitions."""
    backup = dg.AssetSelection.assets("backup")
    # Named one by one: an asset of this group that is made by another job must not come along.
    kept = dg.AssetSelection.assets("archive", "purge", "orphans")
    drill = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("backup"), "recovers"))
    jobs = {
        # A drill costs as much as a restore, so it has a time of its own.
        BACK_UP: (backup.without_checks(), "A proven copy of the store."),
        KEEP_UP: (kept, "What is due for the archive or for removal."),
        RECOVERY_DRILL: (drill, "A restore into a scratch place, compared with the store."),
    }
    return {
        name: dg.define_asset_job(name, selection=selection, description=description)
        for name, (selection, description) in jobs.items()
    }


def executor_of(name: Literal["in_process", "multiprocess"]) -> dg.ExecutorDefinition:
    """The executor of every run: of the jobs, and of what is materialized by hand.

    ``in_process`` is the default because each step of ``multiprocess`` is a fresh interpreter that imports and loads
    everything anew.
    """
    return {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}[name]
