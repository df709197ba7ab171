"""`bri index` and `bri search` as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bri_assets_tests.commands import Bri
from bri_assets_tests.unit.search.conftest import Shelf


@pytest.fixture
def bri(small: Shelf) -> Bri:
    return Bri(small.home, {"BRI_MODELS_DIR": str(small.settings.models_dir), "OMP_NUM_THREADS": "1"})


def test_the_index_is_made_looked_at_and_made_anew(bri: Bri, small: Shelf) -> None:
    assert "There is no index" in bri("index", "status", exits=1)
    said = bri("index", "sync")
    assert "3 videos with 14 texts added" in said
    told = json.loads(bri.run("index", "status", "--json").stdout)
    assert (told["state"], told["versions"], told["texts"]) == ("current", 3, 14)
    small.commit("beach", ["a horse", "a horse", "a cow"])
    assert "not in it: beach-" in bri("index", "status", exits=1)
    assert bri.json("index", "sync")["added"] == [small.video_id("beach")]
    assert "made anew" in bri("index", "rebuild")
    assert bri("index", "status").startswith("current")


def test_hits_name_time_and_image(bri: Bri, small: Shelf) -> None:
    said = bri("search", "dogs", "--mode", "keyword")
    assert "beach.mp4 0.0–2.0 s seen: a dog runs along the beach" in said
    assert "frames/beach-" in said
    assert "There is no index" in said
    answer = bri.json("search", "ocean", "--video", "beach.mp4", "--kind", "segment")
    (hit,) = answer["hits"][:1]
    assert hit["text"] == "Look at the waves out there."
    assert Path(small.home / hit["evidence"]["image_path"]).is_file()
    assert "Nothing was found." in bri("search", "dogs", "--mode", "keyword", "--video", "kitchen")


def test_what_cannot_be_asked_is_said(bri: Bri) -> None:
    assert "nowhere" in bri("search", "dog", "--video", "nowhere", exits=1)
    assert "empty" in bri("search", " ", exits=1)
    bri("search", "x" * 501, exits=2)
