"""Progress of long stages, as log lines of the run: the UI shows them, and so does ``bri ingest``."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg

__all__ = ["counted"]

#: Every line is an event in Dagster's storage, so there are few: seconds between two of them.
_EVERY_S = 5.0


def counted(context: dg.AssetExecutionContext, what: str) -> Callable[[int, int], None]:
    """A function that a model calls with how many are done, and of how many; it logs now and then, and at the end."""
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            context.log.info(f"{done} of {total} {what}")

    return report
