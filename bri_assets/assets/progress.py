"""Signs of life of a run: how far its long stages are, for the UI, ``bri ingest`` and the server, and its process.

What does not belong here: what is concluded from them (``runs``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import dagster as dg
import psutil

from bri_assets.processes import PROCESS_TAG, name_of
from bri_assets.progress import note_count
from bri_assets.settings import Settings

__all__ = ["counted", "name_the_process", "step_back"]

#: Every line is an event in Dagster's storage, so there are few: seconds between two of them.
_EVERY_S = 5.0
#: A note is a small file, written anew.
_NOTED_EVERY_S = 1.0


def counted(context: dg.AssetExecutionContext, settings: Settings, what: str) -> Callable[[int, int], None]:
    """A function that a model calls with how many are done, and of how many; it tells that now and then.

    Args:
        context: of the asset.
        settings: of the process.
        what: is counted, as a participle: `frames captioned`.
    """
    last, noted = time.monotonic(), 0.0
    stage = context.asset_key.path[-1]

    def report(done: int, total: int) -> None:
        nonlocal last, noted
        if done == total or time.monotonic() - noted >= _NOTED_EVERY_S:
            noted = time.monotonic()
            note_count(settings.home, context.partition_key, stage, done, total)
        if done == total or time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            context.log.info(f"{done} of {total} {what}")

    return report


#: Runs that this process has named itself to; a run that resumes may begin with any stage, so each of them asks.
_named: set[str] = set()


def step_back(settings: Settings) -> None:
    """Let whoever asks the server go first where processors are short; a process that stepped back already stays."""
    wanted = settings.run_nice - os.getpriority(os.PRIO_PROCESS, 0)
    if wanted > 0:
        os.nice(wanted)


def name_the_process(context: dg.AssetExecutionContext, settings: Settings) -> None:
    """Let whoever finds this run unfinished tell whether it still works; a step's process is a child of the run's."""
    step_back(settings)
    run = context.run
    if PROCESS_TAG in run.tags or run.run_id in _named:
        return
    process = psutil.Process()
    if settings.executor == "multiprocess":
        process = process.parent() or process
    context.instance.add_run_tags(run.run_id, {PROCESS_TAG: name_of(process)})
    _named.add(run.run_id)
