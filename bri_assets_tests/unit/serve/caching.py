"""Answers over a real store, for tests of the cache: with and without a Redis, and the store to be changed beneath."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bri_assets.files import sha256_bytes
from bri_assets.search.search import Search
from bri_assets.serve.answers.cache import Answers
from bri_assets.serve.answers.questions import Read, Sources
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import CommittedVersion, Store
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.operations import Operations
from bri_assets.store.access.owned import OwnedFile
from bri_assets.store.queries.queries import Queries
from bri_assets_tests.faults.work import bring

__all__ = ["Kept", "id_of", "keeping"]

G = TypeVar("G", bound=Operations)


def id_of(video: str) -> str:
    """The id of the video that ``Kept.commit`` commits under a name."""
    return f"video-{sha256_bytes(video.encode())[:12]}"


@dataclass(frozen=True)
class Kept:
    """A store that this process owns, and answers from it.

    Args:
        settings: of its home.
        owned: the database.
        answers: with what its settings name.
        sources: the same without a cache.
    """

    settings: Settings
    owned: OwnedFile
    answers: Answers
    sources: Sources

    def of(self, group: type[G]) -> G:
        """Operations on the store."""
        return group(self.settings.home, self.owned, StagingArea(self.settings.staged_dir))

    def commit(self, video: str, text: str = "", frames: int = 4) -> CommittedVersion:
        """Commit a version of a video, whose captions end with a text."""
        bundle = bring(self.settings.home, video, frames=frames, text=text).bundle_in(self.settings.home)
        return self.of(Store).commit(bundle, run_id="run", channel="test")

    def another(self, **settings: Any) -> Answers:
        """Answers of another server of the same store, which keeps what it keeps for itself."""
        return Answers.of(self.settings.model_copy(update=settings), self.sources, self.owned)

    def uncached(self, read: Read[Any, Any], questions: list[Any]) -> tuple[bytes, ...]:
        """What the store answers now."""
        return tuple(map(read.written, read.ask(self.sources, questions)))


@contextmanager
def keeping(home: Path, **settings: Any) -> Iterator[Kept]:
    """A store in a home, and answers from it, for the time of the block."""
    set_up = Settings(home=home, **settings)
    with OwnedFile.owning(StoreFile.of(set_up), 4) as owned:
        queries = Queries(set_up.home, owned, StagingArea(set_up.staged_dir))
        sources = Sources(queries, Search.of(set_up, queries))
        answers = Answers.of(set_up, sources, owned)
        try:
            yield Kept(set_up, owned, answers, sources)
        finally:
            answers.close()
