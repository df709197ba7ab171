"""A bounded number of something that lasts: files being received, streams being followed.

What does not belong here: short work, which has threads of its own (``serve.threads``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bri_assets.errors import ServerBusy

__all__ = ["Slots"]


class Slots:
    """So many at once; for one event loop.

    Args:
        most: > 0.
        what: is done, as a clause: `receives 4 files`.
        setting: that says how many.
    """

    def __init__(self, most: int, what: str, setting: str) -> None:
        self._most, self._what, self._setting = most, what, setting
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many are taken now."""
        return self._taken

    def take(self) -> None:
        """Take one; it has to be given back.

        Raises:
            ServerBusy: all are taken.
        """
        if self._taken >= self._most:
            remedy = f"Try again in a while; raise {self._setting} where that happens often."
            raise ServerBusy("the server", f"{self._what} already.", remedy)
        self._taken += 1

    def give_back(self) -> None:
        """Give one back."""
        self._taken -= 1

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take one for the time of the block; raises as ``take``."""
        self.take()
        try:
            yield
        finally:
            self.give_back()
