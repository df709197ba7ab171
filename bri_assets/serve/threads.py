"""A bounded number of threads with a bounded number of calls that wait for one.

What does not belong here: how long a call may take (``api.limits``; a read of the store is stopped by the store).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from bri_assets.errors import ServerBusy

__all__ = ["Threads"]

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """Threads for blocking work.

    Args:
        most: calls that are worked on at once, > 0.
        waiting: calls that may wait for their turn, >= 0.
    """

    def __init__(self, most: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(most, thread_name_prefix="serve")
        self._most = most + waiting
        self._taken = 0
        self._lock = threading.Lock()

    async def run(self, call: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Make a call in one of the threads, with the caller's context, and wait for it.

        A caller that is cancelled gives up its place in the queue; what is at work already keeps its thread until it
        ends, so that abandoned work counts like any other.

        Raises:
            ServerBusy: more calls wait than may.
        """
        with self._lock:
            if self._taken >= self._most:
                remedy = "Try again in a moment; raise BRI_SERVE_THREADS or BRI_SERVE_WAITING where that happens often."
                raise ServerBusy("the server", f"works on {self._taken} requests or has them wait.", remedy)
            self._taken += 1
        try:
            future = self._executor.submit(partial(copy_context().run, call, *arguments, **named))
        except BaseException:
            self._give_back()
            raise
        future.add_done_callback(self._give_back)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Begin nothing more, and wait for what is at work."""
        self._executor.shutdown(cancel_futures=True)

    def _give_back(self, _done: Future[R] | None = None) -> None:
        with self._lock:
            self._taken -= 1
