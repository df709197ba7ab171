"""Running the job ``ingest`` from this process, on the instance that the UI shows.

What does not belong here: what became of a run (``runs``) and which file it is for (``session``).
"""

from __future__ import annotations

import time

import dagster as dg

from bri_assets import telemetry
from bri_assets.assets import resume
from bri_assets.definitions import defs
from bri_assets.jobs import INGEST
from bri_assets.runs import RunOutcome, outcome_of, tags
from bri_assets.settings import Settings
from bri_assets.store import Claim

__all__ = ["execute", "ingest_job"]


def execute(instance: dg.DagsterInstance, claim: Claim, settings: Settings) -> RunOutcome:
    """Run the job for one claimed upload, in this process or (by configuration) a process a step.

    The partition must exist. What an earlier attempt staged and is still valid is not made again. Dagster's own console
    log is off: the run's events are in the instance.
    """
    began_s = time.time()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.execute_job(
        dg.reconstructable(ingest_job),
        instance,
        run_config=quiet,
        tags=tags(claim),
        raise_on_error=False,
        asset_selection=resume.selection(instance, settings, claim.video_id, attempt=claim.attempt),
    ) as result:
        outcome = outcome_of(instance, result.run_id)
    telemetry.run_ended(settings, INGEST, outcome.run_id, began_s=began_s, ended_s=time.time(), success=outcome.success)
    return outcome


def ingest_job() -> dg.JobDefinition:
    """The job as the definitions have it, by a name from which another process can load it too."""
    return defs.resolve_job_def(INGEST)
