"""Blocking work of a request, done in a thread so that the server goes on answering others.

What does not belong here: the threads themselves (``serve.threads``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from bri_assets.serve.services import Services

__all__ = ["run"]

P = ParamSpec("P")
R = TypeVar("R")


async def run(services: Services, call: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Make a blocking call in one of the server's threads, and wait for it no longer than the request may take.

    A read that takes too long is stopped by the store itself (BRI_READ_TIMEOUT_S); until then it keeps its thread.

    Raises:
        ServerBusy: the threads and the queue before them are full; the caller is told to try again.
    """
    return await services.threads.run(call, *arguments, **named)
