"""Several ways of finding, as one list of hits with scores of 0 to 1.

Scores compare hits of one answer. By words: BM25's sum s as s / (s + 8). By meaning: the cosine. Merged: reciprocal
rank fusion, 1 where both ways put it first. What does not belong here: finding (``tables``, ``without``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bri_assets.search.model import MatchedBy
from bri_assets.search.rows import Row
from bri_assets.search.tables import Found

__all__ = ["Scored", "by_meaning", "by_words", "fused", "joined"]

#: The constant of reciprocal rank fusion: its authors' own.
_RANKS = 60
_HALF = 8.0


@dataclass(frozen=True)
class Scored:
    """A row with its score, 0 to 1, and what found it."""

    row: Row
    score: float
    matched_by: tuple[MatchedBy, ...]


def joined(inside: Sequence[Found], outside: Sequence[Found]) -> list[Found]:
    """What the index found by words, and what the slower way found beside it.

    BM25 knows how rare a word is among the texts that it sees, and the slower way sees few. So its values are stretched
    until its best counts as much as the index's best.
    """
    if not inside or not outside:
        return [*inside, *outside]
    stretch = max(one.value for one in inside) / max(max(one.value for one in outside), 1e-9)
    together = [*inside, *(Found(one.row, one.value * stretch) for one in outside)]
    return sorted(together, key=lambda one: (-one.value, -one.row.version_id, one.row.start_s))


def by_words(found: Sequence[Found]) -> list[Scored]:
    """Scores of what was found by words."""
    return [Scored(one.row, max(one.value, 0.0) / (max(one.value, 0.0) + _HALF), ("keyword",)) for one in found]


def by_meaning(found: Sequence[Found], least: float) -> list[Scored]:
    """Scores of what was found by meaning; what is farther than ``least`` is not meant at all."""
    return [Scored(one.row, min(max(one.value, 0.0), 1.0), ("semantic",)) for one in found if one.value >= least]


def fused(words: Sequence[Scored], meaning: Sequence[Scored], *, weight: float) -> list[Scored]:
    """Both lists as one, by the ranks that they give.

    Args:
        words: found by words, best first.
        meaning: found by meaning, best first.
        weight: how much the ranks by words count against those by meaning.
    """
    ranks: dict[tuple[int, str, int], list[tuple[float, Scored]]] = {}
    for share, several in ((weight, words), (1.0, meaning)):
        for rank, one in enumerate(several, start=1):
            ranks.setdefault(one.row.key, []).append((share / (_RANKS + rank), one))
    most = (weight + 1.0) / (_RANKS + 1)
    merged = [
        Scored(
            several[0][1].row,
            min(sum(part for part, _ in several) / most, 1.0),
            tuple(way for _, one in several for way in one.matched_by),
        )
        for several in ranks.values()
    ]
    return sorted(merged, key=lambda one: (-one.score, -one.row.version_id, one.row.start_s))
