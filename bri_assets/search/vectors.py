"""Vectors of texts, each text embedded once: the newest are remembered.

What does not belong here: the model (``models.embedder``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache

from bri_assets.settings import Settings

if TYPE_CHECKING:
    from bri_assets.models.embedder import Embedder, Vectors

__all__ = ["TextVectors", "embedder_of"]

#: Texts whose vectors are remembered, 1.5 kB each.
_REMEMBERED = 8192


def embedder_of(settings: Settings) -> Embedder:
    """The embedder of a process's settings; loads nothing yet."""
    from bri_assets.models.embedder import Embedder

    return Embedder(
        model=settings.embedder_model,
        weights_dir=str(settings.weights_dir),
        device=settings.device,
        batch_size=settings.embedder_batch_size,
    )


class TextVectors:
    """An embedder with a memory. Thread-safe."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._known: LRUCache[str, Vectors] = LRUCache(_REMEMBERED)
        self._lock = threading.Lock()

    def of(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """The vectors of texts, a row each, and how many had to be embedded; raises as ``Embedder.embed``."""
        wanted = list(dict.fromkeys(texts))
        with self._lock:
            known = {text: self._known[text] for text in wanted if text in self._known}
        unknown = [text for text in wanted if text not in known]
        known |= dict(zip(unknown, self.embedder.embed(unknown), strict=True))
        with self._lock:
            self._known.update({text: known[text] for text in unknown[-_REMEMBERED:]})
        if not texts:
            return self.embedder.embed([]), 0
        return np.stack([known[text] for text in texts]), len(unknown)

    def unknown(self, texts: Sequence[str]) -> int:
        """How many different texts would have to be embedded."""
        with self._lock:
            return len({text for text in texts if text not in self._known})
