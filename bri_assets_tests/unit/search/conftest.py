"""A library of videos with known captions and sentences: invented rows, a real store, the real embedder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bri_assets.files import sha256_bytes
from bri_assets.models.pull import pull_embedder
from bri_assets.search.index import Index
from bri_assets.search.model import SearchRequest
from bri_assets.search.search import Search
from bri_assets.settings import Settings
from bri_assets.store.deletion import Deletion
from bri_assets.store.history import History
from bri_assets_tests.bundles import open_store, operations, rows, stage
from bri_assets_tests.conftest import EMBEDDER


@dataclass(frozen=True)
class Shelf:
    """A home with a store, and what is done to its videos.

    Args:
        settings: of the home.
    """

    settings: Settings

    @property
    def home(self) -> Path:
        """BRI_HOME."""
        return self.settings.home

    @property
    def index(self) -> Index:
        """An index that has seen nothing yet."""
        return Index.of(self.settings)

    @property
    def search(self) -> Search:
        """A search that has seen nothing yet."""
        return Search.of(self.settings)

    def commit(self, name: str, captions: Sequence[str], said: Sequence[str] = ()) -> int:
        """Commit a version of a video: a caption every 2 s, a sentence every 2 s; returns its ``version_id``."""
        sha256 = sha256_bytes(name.encode())
        tables = rows(self.home, frames=len(captions), video_id=self.video_id(name), sha256=sha256)
        tables["source_video"][0]["filename"] = f"{name}.mp4"
        for row, text in zip(tables["captions"], captions, strict=True):
            row["text"] = text
        model = tables["transcripts"][0]
        tables["transcripts"] = [
            model | {"segment_index": number, "start_s": 2.0 * number, "end_s": 2.0 * number + 1.5, "text": text}
            for number, text in enumerate(said)
        ]
        bundle = stage(self.home, tables, run_id=f"run of {captions} {said}")
        return open_store(self.home).commit(bundle, run_id="run", channel="test").version_id

    def video_id(self, name: str) -> str:
        """The id of a video by its name."""
        return f"{name}-{sha256_bytes(name.encode())[:12]}"

    def delete(self, name: str) -> None:
        """Delete a video."""
        operations(Deletion, self.home).delete(self.video_id(name), channel="test")

    def undelete(self, name: str) -> None:
        """Show a deleted video again."""
        operations(Deletion, self.home).undelete(self.video_id(name), channel="test")

    def rollback(self, name: str, version: int) -> None:
        """Show an earlier version of a video."""
        operations(History, self.home).rollback(self.video_id(name), version, channel="test")


@pytest.fixture(scope="session", autouse=True)
def embedder_weights(models_dir: Path) -> Iterator[Path]:
    """The real weights, in the folder of the models."""
    import torch

    pull_embedder(EMBEDDER, models_dir, print)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield models_dir
    torch.set_num_threads(before)


def empty(home: Path, models_dir: Path) -> Shelf:
    """A library without videos."""
    open_store(home)
    return Shelf(Settings(home=home, models_dir=models_dir, store_wait_s=5))


def fill(shelf: Shelf) -> Shelf:
    """Three videos: a trip to the sea, a kitchen, and a meeting."""
    shelf.commit(
        "beach",
        ["a dog runs along the beach", "a dog runs along the beach", "two children build a castle of sand"],
        ["Look at the waves out there.", "The puppy loves the water."],
    )
    shelf.commit(
        "kitchen",
        ["a woman cuts vegetables on a board", "a pot of soup on the stove", "a cup of coffee on a table"],
        ["First chop the onions.", "Then let it boil for ten minutes."],
    )
    shelf.commit(
        "meeting",
        ["people sit around a table", "a man points at a chart", "a chart with a red line"],
        ["Our profits fell by ten percent this quarter.", "We need to cut the costs of travel."],
    )
    return shelf


@pytest.fixture
def shelf(tmp_path: Path, models_dir: Path) -> Shelf:
    """A library without videos, of a test of its own."""
    return empty(tmp_path / "home", models_dir)


@pytest.fixture
def small(shelf: Shelf) -> Shelf:
    """A library of three videos, of a test of its own."""
    return fill(shelf)


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Shelf:
    """The same with its index, for tests that change nothing."""
    shelf = fill(empty(tmp_path_factory.mktemp("settled"), models_dir))
    shelf.index.sync()
    return shelf


def found(search: Search, text: str, mode: str = "keyword") -> list[str]:
    """The texts that one question finds."""
    (answer,) = search.search([SearchRequest.model_validate({"text": text, "mode": mode})])
    return [hit.text for hit in answer.hits]


def state(search: Search) -> str:
    """What an answer says of the index."""
    return search.search([SearchRequest(text="dog", mode="keyword")])[0].index.state
