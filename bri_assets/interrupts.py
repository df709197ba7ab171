"""Noticing that somebody asked this process to stop, even where a library takes the signal for itself.

What does not belong here: what is done about it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["noticed"]

_ASK_TO_STOP = {signal.SIGINT, signal.SIGTERM}


@contextmanager
def noticed() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether a signal asked to stop since the block began; for the main thread.

    Python writes the number of each signal into a pipe before any handler runs. So a signal is noticed even where the
    handler of the moment raised into a library that went on regardless.
    """
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    asked = False

    def was_asked() -> bool:
        nonlocal asked
        try:
            asked = asked or bool(_ASK_TO_STOP & set(os.read(reader, 4096)))
        except BlockingIOError:
            return asked
        return asked

    try:
        yield was_asked
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)
