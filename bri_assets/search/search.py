"""The search: by words, by meaning or by both, in the versions that are shown now.

The store has the last word on what is shown; the index is only where it is quick to look. What does not belong here:
keeping the index (``index``) and the slower way beside it (``without``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bri_assets.errors import (
    IndexUnusable,
    ModelFailed,
    RangeWrong,
    StorageFailed,
    WeightsDamaged,
    WeightsMissing,
)
from bri_assets.search.index import Index
from bri_assets.search.keyword import bare
from bri_assets.search.model import SearchAnswer, SearchRequest
from bri_assets.search.question import Question
from bri_assets.search.reading import Closed, Opened
from bri_assets.search.shown import Shown, within
from bri_assets.search.without import Without
from bri_assets.settings import Settings
from bri_assets.store.queries.model import VisibleVersion
from bri_assets.store.queries.queries import Queries

if TYPE_CHECKING:
    from bri_assets.models.embedder import Vectors

__all__ = ["Search"]


class Search:
    """Finds texts in the versions that are shown. One object a process; thread-safe.

    Args:
        queries: the reads of the store.
        index: the index beside it.
        moment: of the store, as ``shown.Shown`` takes it.
    """

    def __init__(self, queries: Queries, index: Index, moment: Callable[[], int | None] = lambda: None) -> None:
        self.queries, self.index = queries, index
        self._shown = Shown(queries, moment)
        self._without = Without(queries, index.vectors)

    @classmethod
    def of(
        cls, settings: Settings, queries: Queries | None = None, moment: Callable[[], int | None] = lambda: None
    ) -> Search:
        """The search of a process's BRI_HOME.

        Args:
            settings: of the process.
            queries: the reads to go through; default: through the file or its owner.
            moment: of the store, as ``shown.Shown`` takes it.
        """
        queries = queries or Queries.of(settings)
        return cls(queries, Index.of(settings, queries), moment)

    def warm(self) -> None:
        """Load the embedder and open the index, so that the first question does not wait for them.

        Whatever is missing is said by the answers; raises as ``search`` where the store cannot be used.
        """
        self.search([SearchRequest(text="warm")])

    def search(self, requests: list[SearchRequest]) -> list[SearchAnswer]:
        """Answer questions, one answer each in the same order; their meanings are taken in one pass.

        An index that is missing, behind or damaged is said in the answer, which then comes by a slower way. So is an
        embedder that cannot be used: such an answer is by words alone.

        Raises:
            RangeWrong: a text is empty, or a time ends before it begins.
            VideoNotFound: a video that is named is not shown.
            What ``Queries`` raises where the store cannot be used.
        """
        versions = self._shown.now()
        asked = []
        for request in requests:
            if not request.text.strip():
                raise RangeWrong("the search", "there is nothing to look for in an empty text.", "Name a word.")
            asked.append((request, within(versions, request)))
        vectors, why = self._vectors(requests)
        return [self._answer(request, about, vectors.get(request.text), why) for request, about in asked]

    def _vectors(self, requests: list[SearchRequest]) -> tuple[dict[str, Vectors], str | None]:
        """The vector of each text that is to be understood; none, and why, where the embedder cannot be used."""
        texts = list(dict.fromkeys(request.text for request in requests if request.mode != "keyword"))
        try:
            vectors, _ = self.index.vectors.of([bare(text) for text in texts])
        except (WeightsMissing, WeightsDamaged):
            # Their own words name paths of this machine, and whoever asks may be far away: `bri index status` has them.
            return {}, "the embedder's weights are missing or damaged; `bri models pull` fetches them."
        except ModelFailed as error:
            return {}, str(error)
        return dict(zip(texts, vectors, strict=True)), None

    def _answer(
        self, request: SearchRequest, about: Mapping[int, VisibleVersion], vector: Vectors | None, why: str | None
    ) -> SearchAnswer:
        now: Opened | Closed = Closed(False, "")
        for _ in range(2):  # an index that is replaced while it is read looks damaged once
            now = self.index.reader.now()
            if isinstance(now, Closed):
                break
            try:
                return Question(request, about, now, self._without, vector, why).answer()
            except IndexUnusable as error:
                self.index.reader.damaged(now, error)
                now = Closed(False, str(error))
            except StorageFailed as error:
                now = Closed(False, str(error))
                break
        return Question(request, about, now, self._without, vector, why).answer()
