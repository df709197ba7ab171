"""The index follows the store: commits, rollbacks, deletes, killed writers, two writers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from bri_assets.errors import StoreBusy
from bri_assets.search.layout import Place
from bri_assets.search.model import SearchRequest
from bri_assets.search.search import Search
from bri_assets.settings import Settings
from bri_assets_tests.unit.search.conftest import Shelf, found, state


def test_it_is_made_once_and_a_second_sync_changes_nothing(small: Shelf) -> None:
    index = small.index
    assert index.status().state == "missing"
    first = index.sync()
    assert first.made
    assert first.added == sorted(small.video_id(name) for name in ("beach", "kitchen", "meeting"))
    assert first.texts == 14, "a caption that lasts is one row"
    before = {path: path.stat().st_mtime_ns for path in small.settings.index_dir.rglob("*") if path.is_file()}
    second = index.sync()
    assert (second.added, second.removed, second.texts, second.embedded, second.made) == ([], 0, 0, 0, False)
    assert {path: path.stat().st_mtime_ns for path in small.settings.index_dir.rglob("*") if path.is_file()} == before
    status = index.status()
    assert (status.state, status.versions, status.texts, status.behind, status.surplus) == ("current", 3, 14, [], 0)
    assert status.vectors == "flat"
    assert status.size_bytes > 0
    assert index.agree() == []


def test_an_open_search_follows_commits_rollbacks_deletes_and_what_comes_back(small: Shelf) -> None:
    index, search = small.index, small.search
    index.sync()

    def finds(dogs: list[str], horses: list[str]) -> None:
        """With the index behind as well as up to date."""
        assert state(search) == "behind" or not dogs + horses
        assert (found(search, "dog"), found(search, "horse")) == (dogs, horses)
        assert (dog in found(search, "dog beach", "semantic")) == (dogs == [dog])
        index.sync()
        assert state(search) == "current"
        assert (found(search, "dog"), found(search, "horse")) == (dogs, horses)
        assert (dog in found(search, "dog beach", "semantic")) == (dogs == [dog])

    dog, horse = "a dog runs along the beach", "a horse gallops along the beach"
    small.commit("beach", [horse, "an empty beach", "an empty beach"])
    finds([], [horse])
    small.rollback("beach", 1)
    finds([dog], [])
    small.delete("beach")
    finds([], [])
    small.undelete("beach")
    finds([dog], [])
    assert index.agree() == []


def test_one_video_can_be_brought_up_alone(small: Shelf) -> None:
    index = small.index
    index.sync()
    small.commit("beach", ["a horse", "a horse", "a cow"])
    small.commit("kitchen", ["a fridge", "a fridge", "a spoon"])
    done = index.sync([small.video_id("kitchen")])
    assert (done.added, done.removed) == ([small.video_id("kitchen")], 1)
    status = index.status()
    assert (status.state, status.behind, status.surplus) == ("behind", [small.video_id("beach")], 1)
    assert {one.what for one in index.agree()} == {
        "is shown and is not in the index.",
        "is in the index and is not shown.",
    }


def test_a_rebuild_goes_on_beside_searches_and_takes_what_was_committed_meanwhile(small: Shelf) -> None:
    index, search = small.index, small.search
    index.sync()
    before, stop, wrong = index.status().generation, threading.Event(), list[object]()

    def ask() -> None:
        while not stop.is_set():
            (answer,) = search.search([SearchRequest(text="dog", mode="keyword")])
            if [hit.text for hit in answer.hits] != ["a dog runs along the beach"] or answer.index.state == "unusable":
                wrong.append(answer)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(3):
            assert index.rebuild().made
    finally:
        stop.set()
        asking.join()
    assert wrong == []
    assert index.status().generation != before
    place = Place(small.settings.index_dir)
    assert len(place.generations()) == 2, "the one before stays for who has it open"
    index.sync()
    assert len(place.generations()) == 2
    os.utime(place.folder / "current", (0, 0))
    index.sync()
    assert len(place.generations()) == 1, "long after, it goes"
    assert state(search) == "current"


POINTS = {
    "before the rows": "Table.add",
    "after the rows": "Table.add:after",
    "after its word that they are there": "Writer._keep:after",
    "before rows are removed": "Table.remove",
    "after rows are removed": "Table.remove:after",
    "while it is tidied": "Table.optimize",
}

_CHILD = """
import os, signal, sys
from bri_assets.search import index, tables, writing
from bri_assets.settings import Settings
point, _, after = sys.argv[1].partition(":")
name, _, method = point.partition(".")
owner = {"Table": tables.Table, "Writer": writing.Writer}[name]
real = getattr(owner, method)
writing._WRITES = 1
def killed(*arguments, **named):
    if after:
        real(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, method, killed)
index.Index.of(Settings()).sync()
"""


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_a_writer_that_is_killed_leaves_nothing_wrong_and_the_next_one_goes_on(small: Shelf, point: str) -> None:
    small.index.sync()
    small.commit("beach", ["a horse gallops along the beach", "an empty beach", "an empty beach"])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRI_")}
    kept |= {"BRI_HOME": str(small.home), "BRI_MODELS_DIR": str(small.settings.models_dir)}
    child = subprocess.run([sys.executable, "-c", _CHILD, point], env=kept, check=False, capture_output=True, text=True)
    assert child.returncode == -9, child.stderr
    search = small.search
    for _ in range(2):
        assert found(search, "dog") == []
        assert found(search, "horse") == ["a horse gallops along the beach"]
        small.index.sync()
    assert state(search) == "current"
    assert small.index.agree() == []
    assert small.index.status().texts == 12


def test_a_first_writer_that_is_killed_leaves_no_index(small: Shelf) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRI_")}
    kept |= {"BRI_HOME": str(small.home), "BRI_MODELS_DIR": str(small.settings.models_dir)}
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, "Table.add:after"], env=kept, check=False, capture_output=True, text=True
    )
    assert child.returncode == -9, child.stderr
    assert state(small.search) == "missing"
    small.index.sync()
    assert state(small.search) == "current"
    small.index.rebuild()
    assert len(Place(small.settings.index_dir).generations()) <= 2, "what was left behind is removed"


@pytest.fixture
def locked(small: Shelf) -> Iterator[Shelf]:
    import portalocker

    small.index.sync()
    with portalocker.Lock(small.settings.index_dir / "lock", "a"):
        yield small


def test_two_writers_take_turns_and_readers_never_wait(locked: Shelf) -> None:
    hurried = Shelf(Settings(**(locked.settings.model_dump() | {"store_wait_s": 0.2})))
    for write in (hurried.index.sync, hurried.index.rebuild, lambda: hurried.index.forget("x")):
        with pytest.raises(StoreBusy, match="another process has been writing the index"):
            write()
    assert found(locked.search, "dog") == ["a dog runs along the beach"]


def test_vectors_get_an_index_of_their_own_from_a_number_of_rows_on(shelf: Shelf) -> None:
    many = [f"{number} birds sit on a wire" for number in range(1200)]
    shelf.commit("birds", many)
    shelf.commit("beach", ["a dog runs along the beach"])
    index = Shelf(Settings(**(shelf.settings.model_dump() | {"index_vectors_from": 1000}))).index
    assert index.sync().texts == 1201
    assert index.status().vectors == "ivf_rq"
    search = Search(index.queries, index)
    assert found(search, "puppy at the seaside", "semantic")[0] == "a dog runs along the beach"
    shelf.commit("kitchen", ["a cup of coffee on a table"])
    index.sync()
    assert found(search, "espresso", "semantic")[0] == "a cup of coffee on a table", "before it is in that index"
    assert index.agree() == []
