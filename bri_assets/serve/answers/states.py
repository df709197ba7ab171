"""What readers of the store are shown, as a cache needs to know it: asked each time, or remembered while nothing moves.

What does not belong here: what is done with it (``cache``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bri_assets.store.queries.model import State

if TYPE_CHECKING:
    from bri_assets.store.queries.queries import Queries

__all__ = ["Clock", "States"]


class Clock(Protocol):
    """Tells whether the database of this process moved; ``OwnedFile`` is one."""

    @property
    def generation(self) -> int:
        """Rises with each write before its writer hears that it is done."""

    @property
    def moment(self) -> int | None:
        """The generation while no write is under way, else None."""


@dataclass(frozen=True)
class _Remembered:
    generation: int
    state: State


class States:
    """The states of a store; safe for threads.

    Args:
        queries: reads of the store.
        clock: of the database, in the process that owns it; None where it is another process's, and then nothing is
            remembered.
    """

    def __init__(self, queries: Queries, clock: Clock | None) -> None:
        self._queries, self._clock = queries, clock
        self._remembered: _Remembered | None = None
        self._lock = threading.Lock()

    @property
    def moment(self) -> int | None:
        """A number that is the same again only where nothing was written in between; None where that is not known."""
        return None if self._clock is None else self._clock.moment

    def known(self, video_ids: Sequence[str]) -> State | None:
        """The state, where it is remembered for all of these videos and nothing was written since."""
        remembered = self._remembered
        if self._clock is None or remembered is None or remembered.generation != self._clock.generation:
            return None
        versions = remembered.state.versions
        return remembered.state if all(video_id in versions for video_id in video_ids) else None

    def now(self, video_ids: Sequence[str]) -> State:
        """The state, asked of the store.

        Raises:
            BriError: as ``Queries.state``.
        """
        before = None if self._clock is None else self._clock.generation
        state = self._queries.state(sorted(set(video_ids)))
        if before is not None:
            self._remember(before, state)
        return state

    def settled(self, video_ids: Sequence[str], moment: int | None) -> State:
        """The state at a moment: what is remembered of it is not asked for again.

        Args:
            video_ids: whose versions are told.
            moment: as ``moment`` told it; None: ask.

        Raises:
            BriError: as ``Queries.state``.
        """
        remembered = self._remembered
        if moment is None or remembered is None or remembered.generation != moment:
            return self.now(video_ids)
        state = remembered.state
        unknown = sorted(set(video_ids) - state.versions.keys())
        if unknown:
            versions = self._queries.shown_versions(unknown)
            if self.moment != moment:
                return self.now(video_ids)
            state = state.model_copy(update={"versions": {**state.versions, **versions}})
            self._remember(moment, state)
        return state

    def _remember(self, generation: int, state: State) -> None:
        # Of a number that has risen since, nobody will ask again.
        with self._lock:
            known = self._remembered
            # The same fingerprint is the same versions, whatever else was written.
            if known is not None and known.state.library == state.library and known.state.store == state.store:
                state = state.model_copy(update={"versions": {**known.state.versions, **state.versions}})
            self._remembered = _Remembered(generation, state)
