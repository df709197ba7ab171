"""Runs as Dagster's own queue holds them: with the place from which their job is loaded."""

from __future__ import annotations

import dagster as dg
from dagster import DagsterRunStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

__all__ = ["queued"]


def queued(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    tags: dict[str, str] | None = None,
    parent: dg.DagsterRun | None = None,
) -> dg.DagsterRun:
    """A run that waits for its turn.

    Args:
        instance: whose queue it is in.
        job: what it runs.
        tags: of the run.
        parent: the run that is executed again by it, as the UI does it.
    """
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("bri_assets"), "__repository__")
    of = {"parent_run_id": parent.run_id, "root_run_id": parent.run_id} if parent is not None else {}
    return instance.create_run_for_job(
        job,
        tags={**(tags or {}), **{f"dagster/{name}": run_id for name, run_id in of.items()}},
        status=DagsterRunStatus.QUEUED,
        remote_job_origin=RemoteJobOrigin(origin, job.name),
        **of,
    )
