"""Jobs: ``ingest``, which takes one upload all the way to its commit; those that keep the store; how any run works."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import dagster as dg

from bri_assets.settings import OFF, Settings

__all__ = [
    "BACK_UP",
    "INDEX",
    "INGEST",
    "KEEP_UP",
    "MEASURE",
    "RECOVERY_DRILL",
    "VERIFY",
    "build_ingest",
    "build_upkeep",
    "crons",
    "executor_of",
    "own_checks",
]

INGEST = "ingest"
BACK_UP = "back_up"
KEEP_UP = "keep_up"
RECOVERY_DRILL = "recovery_drill"
VERIFY = "verify"
MEASURE = "measure"
#: Made beside the asset that it keeps (``assets.search_index``).
INDEX = "sync_index"


def build_ingest(drift: Iterable[dg.AssetChecksDefinition] = ()) -> Any:
    """The job over all assets of one partition of `partitions.videos`, with the checks that they evaluate themselves.

    Args:
        drift: checks that ask later whether what was made is still what was made; an ingest does not ask.
    """
    made = dg.AssetSelection.groups("staged", "committed", "derived")
    later = [key for check in drift for key in check.check_keys]
    return dg.define_asset_job(
        INGEST,
        selection=made - dg.AssetSelection.checks(*later) if later else made,
        description="One upload, all the way to a proven commit, and into the index of the search.",
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
        VERIFY: (dg.AssetSelection.assets("verification"), "All that is committed, looked at again."),
        MEASURE: (dg.AssetSelection.assets("collection"), "The quality of the whole collection, as figures."),
    }
    return {
        name: dg.define_asset_job(name, selection=selection, description=description)
        for name, (selection, description) in jobs.items()
    }


def crons(settings: Settings) -> dict[str, str]:
    """When each job runs by itself, by its name; those that are switched off are left out."""
    wanted = {
        BACK_UP: settings.backup_cron,
        KEEP_UP: settings.upkeep_cron,
        RECOVERY_DRILL: settings.drill_cron,
        VERIFY: settings.verify_cron,
        MEASURE: settings.measure_cron,
    }
    return {job: cron for job, cron in wanted.items() if cron != OFF}


def own_checks(context: dg.SensorEvaluationContext, assets: Iterable[dg.AssetKey]) -> list[dg.AssetCheckKey] | None:
    """The checks that some assets of the job ``ingest`` evaluate themselves, for a run of these alone.

    Without them, Dagster adds every check there is of these assets, those of drift too. None where nothing is loaded.
    """
    if context.repository_def is None:
        return None
    wanted, job = set(assets), context.repository_def.get_job(INGEST)
    return sorted(key for key in job.asset_layer.asset_graph.asset_check_keys if key.asset_key in wanted)


def executor_of(name: Literal["in_process", "multiprocess"]) -> dg.ExecutorDefinition:
    """The executor of every run: of the jobs, and of what is materialized by hand.

    ``in_process`` is the default because each step of ``multiprocess`` is a fresh interpreter that imports and loads
    everything anew.
    """
    return {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}[name]
