"""The slower way: versions that are shown and not in the index, searched from the store itself.

Few versions are read whole and kept in memory as a small table like the index's, so that words mean the same. Of many
only texts that hold the beginning of a word are read. What does not belong here: the index.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache

from bri_assets.search.keyword import Words, beginnings
from bri_assets.search.rows import Row, rows_of
from bri_assets.search.tables import Found, Table, memory_table
from bri_assets.search.vectors import TextVectors
from bri_assets.store.queries.queries import Queries

if TYPE_CHECKING:
    from bri_assets.models.embedder import Vectors

__all__ = ["Outside", "Without"]

#: Versions up to which their texts are read whole.
_FEW = 50
#: Most texts that are read of many versions for one question.
_CANDIDATES = 2000
#: Most texts that are embedded for one question, where there is no index; and where one merely lags.
_EMBEDDED, _HURRIED = 200, 4
#: Rows that are remembered of versions, and tables made of them.
_ROWS, _TABLES = 50_000, 4


@dataclass(frozen=True)
class Outside:
    """What can be searched without the index, for one question.

    Attributes:
        rows: the texts.
        table: the same as a table.
        whole: they are all texts of the versions; else those alone that hold a word's beginning.
        cut: there were more of those than are here.
    """

    rows: list[Row]
    table: Table
    whole: bool
    cut: bool


class Without:
    """Searches versions without the index. Thread-safe.

    Args:
        queries: the reads of the store.
        vectors: makes vectors of texts.
        few: versions up to which their texts are read whole.
    """

    def __init__(self, queries: Queries, vectors: TextVectors, *, few: int = _FEW) -> None:
        self._queries, self._vectors, self._few = queries, vectors, few
        self._lock = threading.Lock()
        self._rows: LRUCache[int, list[Row]] = LRUCache(_ROWS, getsizeof=lambda rows: max(len(rows), 1))
        self._tables: LRUCache[frozenset[int], Outside] = LRUCache(_TABLES)

    def read(self, version_ids: Iterable[int], words: Words) -> Outside:
        """What a question needs of versions."""
        wanted = frozenset(version_ids)
        if len(wanted) <= self._few:
            return self._whole(wanted)
        found = self._queries.texts_like(sorted(wanted), beginnings(words), _CANDIDATES + 1)
        rows = [row for version in found for row in rows_of(version)]
        cut = sum(len(version.texts) for version in found) > _CANDIDATES
        return Outside(rows, memory_table(rows), whole=False, cut=cut)

    def by_words(self, outside: Outside, words: Words, limit: int, where: str | None, *, every: bool) -> list[Found]:
        """The rows that match words best."""
        return outside.table.by_words(words, limit, where, every=every) if outside.rows else []

    def by_meaning(
        self, outside: Outside, vector: Vectors, rows: Sequence[Row], likely: Sequence[Row], *, hurried: bool
    ) -> tuple[list[Found], bool]:
        """The rows whose meaning is nearest.

        Args:
            outside: what there is.
            vector: of the question.
            rows: the rows of it that the question is about.
            likely: those that match its words, best first; where there are too many rows, only these are compared.
            hurried: the index merely lags, so the question shall not wait for many texts to be embedded.

        Returns:
            Them, best first, and whether every text was compared.
        """
        most = _HURRIED if hurried else _EMBEDDED
        complete = outside.whole and self._vectors.unknown([row.text for row in rows]) <= most
        chosen = list(rows if complete else likely[:most])
        if not chosen:
            return [], complete
        vectors, _ = self._vectors.of([row.text for row in chosen])
        cosines = vectors @ vector
        return [Found(chosen[place], float(cosines[place])) for place in np.argsort(-cosines, kind="stable")], complete

    def _whole(self, wanted: frozenset[int]) -> Outside:
        # Right after a commit everybody asks for the same: one makes it, the others wait for that.
        with self._lock:
            found = self._tables.get(wanted)
            if found is None:
                found, there = self._made(wanted)
                if there == wanted:
                    self._tables[wanted] = found
            return found

    def _made(self, wanted: frozenset[int]) -> tuple[Outside, Set[int]]:
        """What there is of versions, and which of them are still there."""
        known = {number: self._rows[number] for number in wanted if number in self._rows}
        unknown = sorted(wanted - known.keys())
        for version in self._queries.texts(unknown) if unknown else []:
            known[version.version_id] = rows_of(version)
        rows = [row for number in sorted(known) for row in known[number]]
        for number in unknown:
            if number in known and len(known[number]) <= _ROWS:
                self._rows[number] = known[number]
        return Outside(rows, memory_table(rows), whole=True, cut=False), known.keys()
