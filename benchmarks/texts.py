"""Invented texts and vectors for the index of the search: words as rare as in a language, vectors in heaps.

The same seed makes the same. What does not belong here: measuring, and real captions (``relevance``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bri_assets.models.embedder import DIMENSION, Vectors
from bri_assets.search.rows import Row

__all__ = ["PER_VIDEO", "Corpus"]

#: Texts of a video: as many captions and segments as ``synthetic.Video`` has.
PER_VIDEO = 150
_WORDS, _LONGEST, _HEAPS = 30_000, 14, 2000
_BATCH = 50_000


@dataclass(frozen=True)
class Corpus:
    """So many texts with vectors.

    Args:
        texts: how many.
        seed: of the chance.
    """

    texts: int
    seed: int = 5

    @property
    def videos(self) -> int:
        """How many videos they belong to."""
        return -(-self.texts // PER_VIDEO)

    def batches(self) -> Iterator[tuple[list[Row], Vectors]]:
        """All of them, some thousands at once."""
        chance = np.random.default_rng(self.seed)
        heaps = self._heaps()
        for start in range(0, self.texts, _BATCH):
            count = min(_BATCH, self.texts - start)
            lengths = chance.integers(5, _LONGEST, count)
            words = self._words(chance, int(lengths.sum()))
            ends = np.cumsum(lengths)
            rows = [
                _row(start + number, " ".join(words[end - length : end]))
                for number, (length, end) in enumerate(zip(lengths, ends, strict=True))
            ]
            yield rows, _near(heaps[chance.integers(0, _HEAPS, count)], chance)

    def questions(self, count: int) -> list[tuple[str, Vectors]]:
        """Questions with the vectors that stand for their meaning: two or three words that are not the commonest."""
        chance = np.random.default_rng(self.seed + 1)
        heaps = self._heaps()
        vectors = _near(heaps[chance.integers(0, _HEAPS, count)], chance)
        rare = [f"w{number}" for number in range(20, 3000)]
        return [(" ".join(chance.choice(rare, chance.integers(1, 4))), vector) for vector in vectors]

    def _heaps(self) -> Vectors:
        return _normal(np.random.default_rng(self.seed + 2).normal(size=(_HEAPS, DIMENSION)).astype(np.float32))

    def _words(self, chance: np.random.Generator, count: int) -> list[str]:
        # As in a language, the second commonest word comes half as often as the commonest.
        weights = 1.0 / np.arange(1, _WORDS + 1)
        return [f"w{number}" for number in chance.choice(_WORDS, count, p=weights / weights.sum())]


def _near(centres: Vectors, chance: np.random.Generator) -> Vectors:
    """A vector beside each centre, as captions of like scenes lie beside each other: their cosine is about 0.7."""
    spread = chance.normal(size=centres.shape).astype(np.float32) / np.sqrt(DIMENSION)
    return _normal(centres + spread)


def _normal(vectors: Vectors) -> Vectors:
    lengths: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    made: Vectors = vectors / lengths
    return made


def _row(number: int, text: str) -> Row:
    version, place = divmod(number, PER_VIDEO)
    kind = "caption" if place < 100 else "segment"
    start = 2.0 * (place % 100)
    return Row(
        version + 1,
        f"video-{version:06d}",
        kind,
        place % 100,
        start,
        start + (0.0 if kind == "caption" else 3.0),
        text,
        place % 100,
        start,
        f"frames/video-{version:06d}/{place % 100:06d}-0123456789ab.jpg",
        f"{number:064x}",
    )
