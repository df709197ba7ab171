"""Running the job ``ingest`` from this process, on the instance that the UI shows.

What does not belong here: what became of a run (``runs``) and which file it is for (``session``).
"""

from __future__ import annotations

import dagster as dg

from bri_assets.definitions import defs
from bri_assets.jobs import INGEST
from bri_assets.runs import RunOutcome, outcome_of, tags
from bri_assets.store import Claim

__all__ = ["execute", "ingest_job"]


def execute(instance: dg.DagsterInstance, claim: Claim) -> RunOutcome:
    """Run the job for one claimed upload, in this process or (by configuration) a process a step.

    The partition must exist. Dagster's own console log is off: the run's events are in the instance.
    """
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.execute_job(
        dg.reconstructable(ingest_job), instance, run_config=quiet, tags=tags(claim), raise_on_error=False
    ) as result:
        return outcome_of(instance, result.run_id)


def ingest_job() -> dg.JobDefinition:
    """The job as the definitions have it, by a name from which another process can load it too."""
    return defs.resolve_job_def(INGEST)
