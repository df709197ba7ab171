"""The index as an answer sees it: one generation, which versions are in it, and its open table.

What does not belong here: writing it (``writing``) and what is made of what is found (``search``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bri_assets.errors import BriError, IndexUnusable, StorageFailed, WeightsDamaged, WeightsMissing
from bri_assets.models.identity import ModelIdentity
from bri_assets.search.layout import LAYOUT, REBUILD, Generation, Held, Made, Place
from bri_assets.search.tables import WORDS, Table, session

__all__ = ["Closed", "Opened", "Reader", "differs", "read_generation"]

#: How often an index that is being written is opened anew until it stays the same for a moment.
_TRIES = 5


@dataclass(frozen=True)
class Opened:
    """An index that can be asked.

    Attributes:
        generation: where it lies.
        made: what it was made with.
        held: which versions are in it.
        table: never older than ``held``.
        other_model: why its vectors cannot be compared with a question's; None where they can.
    """

    generation: Generation
    made: Made
    held: Held
    table: Table
    other_model: str | None


@dataclass(frozen=True)
class Closed:
    """There is no index that can be asked.

    Attributes:
        missing: there is none; else it is unusable.
        said: why, with the remedy.
    """

    missing: bool
    said: str


class Reader:
    """Keeps the index open from answer to answer, and notices when it was written. Thread-safe."""

    def __init__(self, place: Place, identity: Callable[[], ModelIdentity]) -> None:
        self._place, self._identity = place, identity
        self._lock = threading.Lock()
        self._seen: tuple[object, ...] | None = None
        self._now: Opened | Closed = Closed(True, "")
        self._sessions: dict[str, Any] = {}

    def now(self) -> Opened | Closed:
        """The index as it is now."""
        if self._place.signature() == self._seen:
            return self._now
        with self._lock:
            for _ in range(_TRIES):
                signature = self._place.signature()
                if signature == self._seen:
                    break
                found = self._open()
                # Between its two reads a writer may have been at work; then rows could be missing from the table.
                if self._place.signature() == signature:
                    self._seen, self._now = signature, found
                    break
                self._now, self._seen = found, None
            return self._now

    def damaged(self, opened: Opened, error: IndexUnusable) -> None:
        """A table turned out to be damaged: no process shall read it any more."""
        with self._lock:
            if not opened.generation.folder.is_dir():
                self._seen = None  # it was replaced while it was read
                return
            try:
                opened.generation.mark_damaged(error.what)
            except StorageFailed:
                self._now = Closed(False, str(error))  # as long as nobody writes it, this process knows
                return
            self._seen = None

    def _open(self) -> Opened | Closed:
        try:
            generation = self._place.current()
            if generation is None:
                return Closed(True, f"There is no index. {REBUILD}")
            made, held = read_generation(generation)
            return Opened(
                generation,
                made,
                held,
                Table.open(generation.folder, self._session(generation)),
                self._other_model(made),
            )
        except (IndexUnusable, StorageFailed) as error:
            return Closed(False, str(error))

    def _session(self, generation: Generation) -> Any:
        if generation.name not in self._sessions:
            self._sessions = {generation.name: session()}
        return self._sessions[generation.name]

    def _other_model(self, made: Made) -> str | None:
        try:
            return differs(made, self._identity())
        except (WeightsMissing, WeightsDamaged) as error:
            return _first(error)


def read_generation(generation: Generation) -> tuple[Made, Held]:
    """What a generation was made with and what is in it.

    Raises:
        IndexUnusable: it is damaged, or of another layout.
    """
    damage = generation.damage()
    if damage is not None:
        raise IndexUnusable(generation.name, f"the index was found damaged: {damage}", REBUILD)
    made = generation.made()
    if made.layout != LAYOUT or made.words != WORDS:
        what = f"the index has layout {made.layout}, and this release reads {LAYOUT}."
        raise IndexUnusable(generation.name, what, REBUILD)
    return made, generation.held()


def differs(made: Made, identity: ModelIdentity) -> str | None:
    """Why vectors of an index and of the configured model cannot be compared; None where they can."""
    if made.weights_sha256 == identity.weights_sha256 and made.max_tokens == identity.parameters["max_tokens"]:
        return None
    return f"The index was made with {made.model}, and {identity.model} is configured now. {REBUILD}"


def _first(error: BriError) -> str:
    return f"The embedder cannot be used: {error}"
