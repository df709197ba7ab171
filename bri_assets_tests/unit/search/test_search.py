"""Searching a small library: by words, by meaning, by both; with filters; with and without the index."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bri_assets.errors import RangeWrong, VideoNotFound
from bri_assets.search.model import SearchAnswer, SearchRequest
from bri_assets.search.search import Search
from bri_assets.search.without import Without
from bri_assets.settings import Settings
from bri_assets_tests.unit.search.conftest import Shelf, empty, fill


def ask(search: Search, text: str, **named: Any) -> SearchAnswer:
    """One question."""
    return search.search([SearchRequest(text=text, **named)])[0]


def texts(answer: SearchAnswer) -> list[str]:
    """What was found, best first."""
    return [hit.text for hit in answer.hits]


@pytest.fixture(params=["with the index", "without it", "one behind", "many behind"], scope="module")
def search(
    request: pytest.FixtureRequest, settled: Shelf, tmp_path_factory: pytest.TempPathFactory, models_dir: Path
) -> Search:
    """The same library, searched by each way: an answer does not depend on it."""
    if request.param == "with the index":
        return settled.search
    shelf = fill(empty(tmp_path_factory.mktemp("other"), models_dir))
    if request.param == "one behind":
        shelf.delete("beach")
        shelf.index.sync()
        shelf.undelete("beach")
    search = shelf.search
    if request.param == "many behind":
        search._without = Without(search.queries, search.index.vectors, few=0)
    return search


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("dogs", ["a dog runs along the beach"]),
        ("dog running", ["a dog runs along the beach"]),
        ("a table with coffee", ["a cup of coffee on a table"]),
        ('"on a table"', ["a cup of coffee on a table"]),
        ('"red line" chart', ["a chart with a red line"]),
        ('"line red"', []),
        ("onion", ["First chop the onions."]),
        ("costing", ["We need to cut the costs of travel."]),
        ("where do they talk about profit?", ["Our profits fell by ten percent this quarter."]),
        ("elephant", []),
        ("the", None),
        ("!!!", []),
        ("x" * 500, []),
    ],
)
def test_words_are_found_by_stem_and_phrase(search: Search, text: str, first: list[str] | None) -> None:
    answer = ask(search, text, mode="keyword")
    assert answer.complete
    assert all(hit.matched_by == ["keyword"] and 0 < hit.score <= 1 for hit in answer.hits)
    if first is None:
        assert len(answer.hits) > 3
    else:
        assert texts(answer)[:1] == first


def test_all_words_before_any_word(search: Search) -> None:
    both = texts(ask(search, "chart table", mode="keyword"))
    assert {"a man points at a chart", "people sit around a table"} <= set(both)
    assert texts(ask(search, "chart line", mode="keyword")) == ["a chart with a red line"]


def test_a_caption_that_lasts_is_one_hit_with_its_evidence(search: Search, settled: Shelf) -> None:
    (hit,) = ask(search, "dog beach", mode="keyword").hits
    assert (hit.kind, hit.row_index, hit.start_s, hit.end_s) == ("caption", 0, 0.0, 2.0)
    assert (hit.source.video_id, hit.source.filename, hit.source.version) == (
        settled.video_id("beach"),
        "beach.mp4",
        1,
    )
    assert (hit.evidence.frame_index, hit.evidence.timestamp_s) == (0, 0.0)
    assert (search.queries.home / hit.evidence.image_path).read_bytes().startswith(b"image 0 of beach")
    (said,) = ask(search, "onions", mode="keyword").hits
    assert (said.kind, said.row_index, said.start_s, said.end_s) == ("segment", 0, 0.0, 1.5)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("ocean", "Look at the waves out there."),
        ("young dog", "The puppy loves the water."),
        ("kids playing", "two children build a castle of sand"),
        ("a mug of espresso", "a cup of coffee on a table"),
        ("financial results", "Our profits fell by ten percent this quarter."),
        ("saving money on trips", "We need to cut the costs of travel."),
    ],
)
def test_meanings_are_found_without_their_words(search: Search, text: str, first: str) -> None:
    answer = ask(search, text, mode="semantic")
    if not answer.complete:
        assert "not every text was compared" in answer.index.said
        return
    assert texts(answer)[0] == first
    assert answer.hits[0].matched_by == ["semantic"]
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)


@pytest.mark.parametrize("text", ["quantum physics of black holes", "asdf qwer zxcv", "🦕🦕🦕", "!!!"])
def test_nonsense_finds_nothing(search: Search, text: str) -> None:
    assert ask(search, text).hits == []


def test_hybrid_puts_first_what_both_ways_find(search: Search) -> None:
    answer = ask(search, "coffee on a table")
    assert texts(answer)[0] == "a cup of coffee on a table"
    assert answer.hits[0].matched_by == ["keyword", "semantic"]
    assert answer.hits[0].score == 1.0
    assert {"keyword", "semantic"} >= {way for hit in answer.hits for way in hit.matched_by}


def test_filters_leave_out_what_is_not_asked_for(search: Search, settled: Shelf) -> None:
    beach, kitchen = settled.video_id("beach"), settled.video_id("kitchen")
    for mode in ("keyword", "semantic", "hybrid"):
        found = ask(search, "table", mode=mode, video_ids=[beach, kitchen], kinds=["caption"]).hits
        assert {hit.source.video_id for hit in found} <= {beach, kitchen}
        assert {hit.kind for hit in found} <= {"caption"}
    assert texts(ask(search, "table", mode="keyword", video_ids=[kitchen])) == ["a cup of coffee on a table"]
    assert texts(ask(search, "table", mode="keyword", from_s=3.0)) == ["a cup of coffee on a table"]
    assert texts(ask(search, "table", mode="keyword", to_s=1.0)) == ["people sit around a table"]
    assert texts(ask(search, "dog", mode="keyword", from_s=2.0)) == ["a dog runs along the beach"], "it lasts to 2.0"
    assert texts(ask(search, "dog", mode="keyword", from_s=2.1)) == []
    assert texts(ask(search, "ten", mode="keyword", kinds=["caption"])) == []
    assert len(ask(search, "ten", mode="keyword", limit=1).hits) == 1


def test_versions_are_left_out_by_the_time_of_their_commit(search: Search) -> None:
    times = sorted(one.committed_at for one in search.queries.visible())
    assert len(set(times)) == 3
    assert len(ask(search, "table", mode="keyword").hits) == 2
    assert texts(ask(search, "table", mode="keyword", committed_before=times[2])) == ["a cup of coffee on a table"]
    assert texts(ask(search, "table", mode="keyword", committed_after=times[1])) == ["people sit around a table"]
    naive = (datetime.now(UTC) + timedelta(days=1)).replace(tzinfo=None)
    assert texts(ask(search, "table", mode="keyword", committed_after=naive)) == []


def test_what_cannot_be_asked_is_refused_by_name(small: Shelf) -> None:
    search = small.search
    for wrong in ({"from_s": 3.0, "to_s": 2.0}, {"committed_after": datetime.max, "committed_before": datetime.min}):
        with pytest.raises(RangeWrong, match="lies after"):
            ask(search, "dog", **wrong)
    with pytest.raises(RangeWrong, match="empty"):
        ask(search, "  \n ")
    with pytest.raises(VideoNotFound, match="nothing-of-that-name"):
        ask(search, "dog", video_ids=[small.video_id("beach"), "nothing-of-that-name"])
    small.delete("beach")
    with pytest.raises(VideoNotFound, match="beach"):
        ask(search, "dog", video_ids=[small.video_id("beach")])


def test_questions_are_answered_together_as_they_are_alone(search: Search) -> None:
    asked = [SearchRequest(text=text, mode=mode) for text in ("dog", "money", "dog") for mode in ("keyword", "hybrid")]
    together = search.search(asked)
    assert together == [search.search([request])[0] for request in asked]
    assert search.search([]) == []


@given(text=st.text(min_size=1, max_size=500), mode=st.sampled_from(["keyword", "semantic", "hybrid"]))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_breaks_it(junk: Search, text: str, mode: Any) -> None:
    try:
        answer = ask(junk, text, mode=mode)
    except RangeWrong:
        assert not text.strip()
    else:
        assert answer.complete


@pytest.fixture(scope="module")
def junk(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Search:
    """A library with odd texts in it."""
    shelf = empty(tmp_path_factory.mktemp("junk"), models_dir)
    odd = ["🐕", "我喜欢狗和猫", 'it\'s "quoted" 100% (really)', "%_\\ ' \" ; DROP TABLE texts"]
    shelf.commit("odd", odd, ["..."])
    shelf.index.sync()
    return shelf.search


def test_scripts_without_spaces_are_searched_too(junk: Search) -> None:
    assert texts(ask(junk, "狗", mode="keyword")) == ["我喜欢狗和猫"]


def test_an_index_of_words_alone_where_the_embedder_is_not_here(settled: Shelf, tmp_path: Path) -> None:
    bare = Search.of(Settings(home=settled.home, models_dir=tmp_path / "empty"))
    for mode in ("hybrid", "semantic"):
        answer = ask(bare, "dog", mode=mode)
        assert (answer.mode, answer.complete) == ("keyword", False)
        assert texts(answer) == ["a dog runs along the beach"]
        assert "by words alone" in answer.index.said
        assert "bri models pull" in answer.index.said
    assert ask(bare, "dog", mode="keyword").complete


def test_another_model_than_the_indexs_is_said_and_answered_without_its_vectors(settled: Shelf, tmp_path: Path) -> None:
    other = Settings(home=settled.home, models_dir=tmp_path, embedder_model=f"{_other_model(settled, tmp_path)}")
    search = Search.of(other)
    answer = ask(search, "ocean", mode="semantic")
    assert texts(answer)[0] == "Look at the waves out there."
    assert answer.index.state == "unusable"
    assert "bri index rebuild" in answer.index.said
    assert ask(search, "dog", mode="keyword").index.state == "current"


def _other_model(settled: Shelf, folder: Path) -> Path:
    """The same weights with another tokenizer's notes: another model by its hash."""
    weights = settled.index.vectors.embedder.weights_dir
    (made,) = (Path(weights) / "embedder").glob("sentence-transformers--all-MiniLM-L6-v2")
    shutil.copytree(made, folder / "other")
    (folder / "other" / "modules.json").write_text("[]")
    return folder / "other"
