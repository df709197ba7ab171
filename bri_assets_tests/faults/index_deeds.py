"""What breaks the index of the search and what mends it, as deeds done to a world; searches answer all the while.

What does not belong here: which alert follows (``breakage``), and every other deed (``deeds``).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bri_assets.assets.search_index import index_config
from bri_assets.jobs import INDEX
from bri_assets.search.model import SearchRequest
from bri_assets.search.search import Search
from bri_assets_tests.faults.deeds import brought, clip
from bri_assets_tests.faults.world import Deed, World

__all__ = ["embedder_again", "index_bytes_changed", "index_made_anew", "index_removed", "no_embedder", "searched"]


def index_removed(world: World) -> None:
    """Its folder is gone."""
    shutil.rmtree(world.settings.index_dir)


def index_bytes_changed(pattern: str) -> Deed:
    """Files of it hold nothing but zeros."""

    def do(world: World) -> None:
        files = [path for path in world.settings.index_dir.rglob(pattern) if path.is_file()]
        assert files
        for path in files:
            path.write_bytes(bytes(path.stat().st_size))

    return do


def index_made_anew(world: World) -> None:
    """A person launches the job in the UI."""
    assert world.run(INDEX, config=index_config(rebuild=True)).success


def no_embedder(world: World) -> None:
    """The weights of the ingest are there, that of the search is not; an upload arrives."""
    weights, lacking = world.settings.weights_dir, world.settings.home / "lacking"
    lacking.mkdir()
    for kind in ("detector", "transcriber"):
        (lacking / kind).symlink_to(weights / kind)
    (lacking / "from").write_text(str(weights))
    world.set(models_dir=lacking)
    brought("unembedded.mp4", clip)(world)


def embedder_again(world: World) -> None:
    """It is there again, and a person has the index brought up."""
    world.set(models_dir=Path((world.settings.weights_dir / "from").read_text()))
    assert world.run(INDEX).success


def searched(world: World) -> None:
    """Every video is found by its captions."""
    search = Search.of(world.settings)
    uploads = [row for row in world.store.status() if row["state"] == "committed"]
    assert uploads
    for row in uploads:
        caption = world.store.video(row["video_id"])["captions"][0]["text"]
        (answer,) = search.search([SearchRequest(text=caption, mode="keyword", video_ids=[row["video_id"]])])
        assert answer.hits, answer.index.said
