"""What a read is to the server: how the store is asked, how the answer is written, and what it hangs on.

What does not belong here: the reads themselves (``questions``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_json

from bri_assets.serve.answers.served import with_image_urls
from bri_assets.store.queries.model import State

if TYPE_CHECKING:
    from bri_assets.search.search import Search
    from bri_assets.store.queries.queries import Queries

__all__ = ["Read", "Sources", "always"]

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(frozen=True)
class Sources:
    """Whom questions are asked of.

    Args:
        queries: reads of the store.
        search: the search over it.
    """

    queries: Queries
    search: Search


def always(_answer: Any) -> bool:
    """Every answer lasts."""
    return True


@dataclass(frozen=True)
class Read(Generic[Q, A]):
    """One kind of question.

    Args:
        name: of the kind; part of the key under which an answer is kept.
        question: type of a question.
        plain: type of an answer, as the store gives it.
        kind: type of an answer, as it is served.
        answer: the same, for reading one.
        ask: asks all of them at once.
        videos: the videos that a question names.
        hangs_on: what the answer hangs on, as text, in a state of the store; None where it cannot be kept.
        lasts: whether an answer may be kept at all.
    """

    name: str
    question: TypeAdapter[Q]
    plain: TypeAdapter[A]
    kind: Any
    answer: TypeAdapter[A]
    ask: Callable[[Sources, list[Q]], Sequence[A]]
    videos: Callable[[Q], list[str]]
    hangs_on: Callable[[Q, State], str | None]
    lasts: Callable[[A], bool] = always

    @property
    def kinds(self) -> Any:
        """Type of a list of answers, as they are served."""
        return GenericAlias(list, (self.kind,))

    def written(self, answer: A) -> bytes:
        """An answer as the JSON that is served."""
        return to_json(with_image_urls(self.plain.dump_python(answer, mode="json")))
