"""One question on its way to its answer: what of it the index answers, what the slower way, and how both are merged.

What does not belong here: the index that may fail in between (``search``), and how each way finds (``tables``,
``without``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bri_assets.search.clauses import clause, wanted
from bri_assets.search.fusion import Scored, by_meaning, by_words, fused, joined
from bri_assets.search.keyword import Words, parse
from bri_assets.search.model import IndexState, SearchAnswer, SearchHit, SearchRequest
from bri_assets.search.reading import Closed, Opened
from bri_assets.search.shown import source_of
from bri_assets.search.tables import Found
from bri_assets.search.without import Outside, Without
from bri_assets.store.queries.model import VisibleVersion

if TYPE_CHECKING:
    from bri_assets.models.embedder import Vectors

__all__ = ["Question"]

#: Hits of each way that are merged: twice as many as are wanted, for both ways rarely agree on the first ones.
_DEPTH, _TIMES = 20, 2
#: Beyond what is wanted: rows that somebody is just adding do not count.
_SPARE = 5
#: How many times as many rows are looked up without a filter that most rows pass.
_LOOSE = 3
#: Texts that are looked at more closely by the slower way, by their words.
_LIKELY = 200
#: Least cosine of what is meant at all. See docs/adr/0017: what has nothing to do with each other stays below it.
LEAST = 0.22
#: How much ranks by words count beside ranks by meaning, where all words are there and where only some are.
_ALL_WORDS, _SOME_WORDS = 1.0, 0.2


@dataclass
class Question:
    """A question, and what there is to answer it.

    Attributes:
        request: the question.
        about: the versions that it is about, all of them shown.
        now: the index.
        without: the slower way.
        vector: of the question's text; None where its meaning is not asked for or cannot be had.
        why: why it cannot be had.
    """

    request: SearchRequest
    about: Mapping[int, VisibleVersion]
    now: Opened | Closed
    without: Without
    vector: Vectors | None
    why: str | None

    def answer(self) -> SearchAnswer:
        """The answer.

        Raises:
            IndexUnusable, StorageFailed: the index failed over it.
        """
        request, complete = self.request, True
        words: list[Scored] = []
        meaning: list[Scored] = []
        mode = "keyword" if request.mode != "keyword" and self.vector is None else request.mode
        every = True
        if mode != "semantic":
            words, every = self._by_words(self._depth)
            complete = not (self._missing and self._outside.cut)
        if self.vector is not None and mode != "keyword":
            meaning, compared = self._by_meaning(self.vector, self._depth)
            complete = complete and compared
        if mode == "hybrid":
            found = fused(words, meaning, weight=_ALL_WORDS if every else _SOME_WORDS)
        else:
            found = words or meaning
        return SearchAnswer(
            hits=[self._hit(one) for one in found[: request.limit]],
            mode=mode,
            index=self._state(complete=complete),
            complete=complete and mode == request.mode,
        )

    def _by_words(self, limit: int) -> tuple[list[Scored], bool]:
        """What was found by words, and whether all words are in it."""
        for every in (True, False):
            found = self._words(limit, every=every)
            if found or not len(self._parsed.words) > 1:
                return by_words(found[:limit]), every
        return [], False

    def _words(self, limit: int, *, every: bool) -> list[Found]:
        inside: list[Found] = []
        if self._inside and isinstance(self.now, Opened):
            table, parsed = self.now.table, self._parsed
            inside = self._first(limit, lambda most, where: table.by_words(parsed, most, where, every=every))
        outside: list[Found] = []
        if self._missing:
            where = clause(self.request, (), {})
            outside = self.without.by_words(self._outside, self._parsed, limit, where, every=every)
        return joined(inside, outside)

    def _by_meaning(self, vector: Vectors, limit: int) -> tuple[list[Scored], bool]:
        """What was found by meaning, and whether every text was compared."""
        found: list[Found] = []
        complete, lacking = True, self._missing
        if isinstance(self.now, Opened) and self.now.other_model is not None:
            lacking = list(self.about)
        elif self._inside and isinstance(self.now, Opened):
            table = self.now.table
            found = self._first(limit, lambda most, where: table.by_vector(vector, most, where))
        if lacking:
            outside = self._outside if lacking is self._missing else self.without.read(lacking, self._parsed)
            rows = [row for row in outside.rows if wanted(self.request, row)]
            where = clause(self.request, (), {})
            likely = [one.row for one in self.without.by_words(outside, self._parsed, _LIKELY, where, every=False)]
            hurried = lacking is self._missing and bool(self._inside)
            more, complete = self.without.by_meaning(outside, vector, rows, likely, hurried=hurried)
            found = sorted([*found, *more], key=lambda one: -one.value)
        return by_meaning(found[:limit], LEAST), complete

    @property
    def _depth(self) -> int:
        """Hits of each way that are looked for."""
        limit = self.request.limit
        return max(_DEPTH, _TIMES * limit) if self.request.mode == "hybrid" else limit

    @cached_property
    def _parsed(self) -> Words:
        return parse(self.request.text)

    @cached_property
    def _held(self) -> Mapping[int, object]:
        return self.now.held.versions if isinstance(self.now, Opened) else {}

    @cached_property
    def _inside(self) -> set[int]:
        return {number for number in self.about if number in self._held}

    @cached_property
    def _missing(self) -> list[int]:
        return [number for number in self.about if number not in self._held]

    @cached_property
    def _clause(self) -> str | None:
        return clause(self.request, self._inside, self._held)

    @cached_property
    def _outside(self) -> Outside:
        return self.without.read(self._missing, self._parsed)

    def _first(self, limit: int, look: Callable[[int, str | None], list[Found]]) -> list[Found]:
        """The first rows of the index that the question is about.

        Where it is about all versions, a filter by kind or time would have to mark most of the rows before anything
        is looked up. So more rows are looked up without it, and the filter is only used where too few of them are left.
        """
        if self._clause is not None and len(self._inside) == len(self._held):
            most = (limit + _SPARE) * _LOOSE
            seen = look(most, None)
            found = self._meant(seen)
            if len(found) >= limit or len(seen) < most:
                return found
        return self._meant(look(limit + _SPARE, self._clause))

    def _meant(self, found: list[Found]) -> list[Found]:
        """Without rows of versions that are not shown, or are just being added or removed."""
        return [one for one in found if one.row.version_id in self._inside and wanted(self.request, one.row)]

    def _hit(self, one: Scored) -> SearchHit:
        row = one.row
        return SearchHit(
            source=source_of(self.about[row.version_id]),
            kind=row.what,
            row_index=row.row_index,
            start_s=row.start_s,
            end_s=row.end_s,
            text=row.text,
            score=one.score,
            matched_by=list(one.matched_by),
            evidence=row.evidence,
        )

    def _state(self, *, complete: bool) -> IndexState:
        now, missing = self.now, len(self._missing)
        slower = "They were" if missing != 1 else "It was"
        way = "searched by the slower way" + ("." if complete else ", and not every text was compared.")
        if isinstance(now, Closed):
            state, said = ("missing" if now.missing else "unusable"), f"{now.said} All texts were {way}"
        elif now.other_model is not None and self.request.mode != "keyword" and self.why is None:
            state, said = "unusable", f"{now.other_model} Meanings were {way}"
        elif missing:
            videos = f"{missing} videos are" if missing != 1 else "1 video is"
            state, said = "behind", f"{videos} not in the index yet. {slower} {way}"
        else:
            state, said = "current", "Answered from the index."
        if self.why is not None:
            said = f"Meanings could not be had, so this is by words alone: {self.why} {said}"
        return IndexState(
            state=state,
            behind_videos=missing,
            said=said,
            model=now.made.model if isinstance(now, Opened) else None,
        )
