"""Purges leave no byte; damage and full disks are said, and answers go on."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bri_assets.errors import IndexUnusable, StorageFailed
from bri_assets.search.layout import Place
from bri_assets.search.model import SearchRequest
from bri_assets.search.reading import Opened
from bri_assets.search.tables import Table
from bri_assets.search.writing import Writer
from bri_assets_tests.unit.search.conftest import Shelf, found, state


def test_a_purged_video_leaves_no_byte(small: Shelf) -> None:
    small.index.sync()
    small.index.rebuild()
    small.delete("beach")
    small.index.sync()
    assert _holding(small, b"castle") != [], "taking rows out leaves them in files"
    assert small.index.forget(small.video_id("beach"))
    assert _holding(small, b"castle") == _holding(small, small.video_id("beach").encode()) == []
    assert found(small.search, "onions") == ["First chop the onions."]
    assert (state(small.search), small.index.agree()) == ("current", [])
    assert not small.index.forget(small.video_id("beach")), "there is nothing left"


def test_forgetting_in_a_damaged_index_removes_it_whole(small: Shelf) -> None:
    small.index.sync()
    _damage_made(small)
    assert small.index.forget(small.video_id("beach"))
    assert _holding(small, b"castle") == []
    assert small.index.status().state == "missing"


def _holding(small: Shelf, part: bytes) -> list[Path]:
    return [path for path in small.settings.index_dir.rglob("*") if path.is_file() and part in path.read_bytes()]


def _damage_made(small: Shelf) -> None:
    (path,) = small.settings.index_dir.glob("*/made.json")
    path.write_bytes(b"\0" * 20)


def _damage_pointer(small: Shelf) -> None:
    (small.settings.index_dir / "current").write_text("../elsewhere\n")


def _remove_data(small: Shelf) -> None:
    for path in small.settings.index_dir.glob("*/texts.lance/data/*"):
        path.unlink()


def _flip_data(small: Shelf) -> None:
    for path in small.settings.index_dir.glob("*/texts.lance/data/*"):
        path.write_bytes(path.read_bytes().replace(b"castle", b"cattle").replace(b"a dog runs", b"a cat runs"))


def _cut_data(small: Shelf) -> None:
    for path in small.settings.index_dir.glob("*/texts.lance/data/*"):
        os.truncate(path, 100)


def _remove_table(small: Shelf) -> None:
    for path in small.settings.index_dir.glob("*/texts.lance"):
        shutil.rmtree(path)


def _older_layout(small: Shelf) -> None:
    (path,) = small.settings.index_dir.glob("*/made.json")
    path.write_text(path.read_text().replace('"layout": 1', '"layout": 0'))


DAMAGE = [_damage_made, _damage_pointer, _remove_data, _flip_data, _cut_data, _remove_table, _older_layout]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_is_said_and_answers_go_on(small: Shelf, damage: object) -> None:
    small.index.sync()
    assert callable(damage)
    damage(small)
    search = small.search
    for mode in ("keyword", "hybrid", "semantic"):
        request = SearchRequest.model_validate({"text": "dog on a beach", "mode": mode})
        (answer,) = search.search([request])
        assert answer.hits[0].text == "a dog runs along the beach"
        assert answer.index.state == "unusable"
        assert "bri index rebuild" in answer.index.said
    assert small.index.status().state == "unusable"
    assert small.index.agree() != []
    with pytest.raises(IndexUnusable, match="bri index rebuild"):
        small.index.sync()
    small.index.rebuild()
    assert state(search) == "current"
    assert small.index.agree() == []


def test_rows_that_are_not_the_stores_are_found_by_the_comparison(small: Shelf) -> None:
    small.index.sync()
    generation = Place(small.settings.index_dir).current()
    assert generation is not None
    table = Table.open(generation.folder)
    (version,) = [one.version_id for one in small.index.queries.visible() if one.filename == "beach.mp4"]
    table.remove([version])
    (one,) = small.index.agree()
    assert (one.video_id, one.version_id) == (small.video_id("beach"), version)
    assert one.what == "has 4 texts in the store and 0 in the index."


def test_a_place_that_cannot_be_written_is_named(small: Shelf) -> None:
    small.settings.index_dir.write_text("a file where the folder should be")
    with pytest.raises(StorageFailed, match="index"):
        small.index.sync()
    assert found(small.search, "dog") == ["a dog runs along the beach"]


@pytest.fixture
def no_large_files() -> Iterator[None]:
    """No file may grow beyond 3 kB: a disk that is full after that."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_is_named_and_costs_nothing_that_is_there(small: Shelf, request: pytest.FixtureRequest) -> None:
    index, search = small.index, small.search
    index.sync()
    small.commit("beach", ["a horse gallops along the beach", "an empty beach", "two men with a kite"])
    visible = index.queries.visible()
    versions = index.queries.texts([one.version_id for one in visible])
    index.vectors.of([text.text for version in versions for text in version.texts])
    now = index.reader.now()
    assert isinstance(now, Opened)
    writer = Writer.resume(now.generation, 10**6)
    request.getfixturevalue("no_large_files")
    with pytest.raises(StorageFailed, match="the disk is full"):
        writer.add([one for one in versions if one.filename == "beach.mp4"], index.vectors)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert found(search, "horse") == ["a horse gallops along the beach"]
    assert state(search) == "behind"
    index.sync()
    assert (state(search), index.agree()) == ("current", [])
