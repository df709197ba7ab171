"""Noticing that somebody asked this process to stop, and stopping work that takes too long, whatever a library does.

What does not belong here: what is done about it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from bri_assets.errors import StageTimeout

__all__ = ["Expired", "limited", "noticed"]

T = TypeVar("T")

_ASK_TO_STOP = {signal.SIGINT, signal.SIGTERM}
#: Seconds until work that goes on after it was told to stop is told again.
_AGAIN_S = 5.0
#: A timer of 0 would be none.
_AT_ONCE_S = 1e-4


class Expired(BaseException):
    """The time of work that is ``limited`` is over.

    No ``Exception``, so that libraries (and our own models, which name whatever a library raises) do not take it for
    one of theirs. ``limited`` makes a ``StageTimeout`` of it.
    """


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


def limited(seconds: float, work: Callable[[], T], *, subject: object, remedy: str) -> T:
    """Do some work, and stop it when its time is over, even where a library swallows that: it is told again and again.

    Work that ends by itself after it was told fails too: what swallowed it may have left anything half done. Python
    runs handlers between two of its own instructions, so a call into C that never returns is not stopped; nor is work
    outside of the main thread, where Python takes no signals. For both, Dagster's run monitoring is what is left: it
    ends runs that take longer than their tag ``dagster/max_runtime``.

    A timer that runs already (a test's, an outer call's) keeps its time and its handler.

    Args:
        seconds: > 0.
        work: what is done.
        subject: what is limited, for the error.
        remedy: for the error.

    Raises:
        StageTimeout: the time was over.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    alarm = _Alarm(seconds)
    too_long = StageTimeout(subject, f"took longer than {seconds:g} s and was stopped.", remedy)
    try:
        try:
            alarm.set()
            result = work()
        finally:
            alarm.clear()
    except Expired as error:
        alarm.clear()  # it may have come at the very edge, before the line above; the next is seconds away
        if error is not alarm.expired:
            raise
        raise too_long from error
    except Exception as error:
        # Whatever a library made of what it was told: the time is what was the matter.
        if alarm.told:
            raise too_long from error
        raise
    if alarm.told:
        raise too_long
    return result


class _Alarm:
    """The process's one real-time timer, shared with whoever set it before.

    Args:
        seconds: until ``expired`` is raised.
    """

    def __init__(self, seconds: float) -> None:
        self.expired, self.told = Expired(), False
        self._due = time.monotonic() + seconds
        self._is_set = False

    def set(self) -> None:
        """Begin."""
        self._handler_before = signal.getsignal(signal.SIGALRM)
        seconds, self._before_interval_s = signal.getitimer(signal.ITIMER_REAL)
        self._before_due = time.monotonic() + seconds if seconds else None
        self._is_set = True
        signal.signal(signal.SIGALRM, self._handle)
        self._arm()

    def clear(self) -> None:
        """End, and give the timer back; a second time does nothing."""
        if not self._is_set:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler_before)
        self._is_set = False
        if self._before_due is not None:
            left_s = max(self._before_due - time.monotonic(), _AT_ONCE_S)
            signal.setitimer(signal.ITIMER_REAL, left_s, self._before_interval_s)

    def _arm(self) -> None:
        due = self._due if self._before_due is None else min(self._due, self._before_due)
        signal.setitimer(signal.ITIMER_REAL, max(due - time.monotonic(), _AT_ONCE_S))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._before_due is not None and now >= self._before_due:
            self._before_due = now + self._before_interval_s if self._before_interval_s else None
            self._arm()
            if callable(self._handler_before):
                self._handler_before(number, frame)
        elif now >= self._due:
            self._due, self.told = now + _AGAIN_S, True
            self._arm()
            raise self.expired
        else:
            self._arm()
