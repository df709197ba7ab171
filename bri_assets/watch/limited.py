"""Waiting for something only so long.

What does not belong here: what is waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["TooLong", "within"]

T = TypeVar("T")


class TooLong(Exception):
    """It did not end in time; it goes on for as long as this process lives."""


class _Answer(Generic[T]):
    """What came of the work."""

    value: T
    error: BaseException | None = None
    there = False


def within(seconds: float, work: Callable[[], T]) -> T:
    """What some work returns, or what it raises.

    Raises:
        TooLong: it takes longer than that; whoever hangs in a system call can only be left behind.
    """
    answer: _Answer[T] = _Answer()

    def run() -> None:
        try:
            answer.value = work()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            answer.error = error
        answer.there = True

    thread = threading.Thread(target=run, name="watch", daemon=True)
    thread.start()
    thread.join(seconds)
    if not answer.there:
        raise TooLong(f"{seconds:g} s")
    if answer.error is not None:
        raise answer.error
    return answer.value
