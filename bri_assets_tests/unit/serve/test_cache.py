"""Answers that are given again: only while they are true, from memory, over every change of the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bri_assets.errors import BriError, RangeWrong, VideoNotFound
from bri_assets.search.model import SearchRequest
from bri_assets.serve.answers.questions import (
    ALL_COUNTS,
    AROUND,
    CAPTIONS,
    FACTS,
    FRAME,
    LIBRARY,
    OBJECTS,
    RESOLVE,
    SEARCH,
    FrameQuestion,
    ObjectsQuestion,
    Sources,
)
from bri_assets.store.archives.archive import Archive
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.purge import Purge
from bri_assets.store.history import History
from bri_assets.store.queries.model import LibraryFilter, Moment, Range
from bri_assets_tests.unit.serve.caching import Kept, id_of, keeping

ONE, TWO = id_of("one"), id_of("two")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with keeping(tmp_path / "data") as found:
        found.commit("one")
        found.commit("two")
        yield found


def captions(kept: Kept, video_id: str = ONE) -> list[str]:
    page = kept.answers.ask(CAPTIONS, [Range(video_id=video_id)]).value
    return [caption.text for caption in page.items]


def test_the_second_answer_is_the_first_one_from_memory(kept: Kept) -> None:
    asked: list[tuple[Any, Any]] = [
        (FACTS, ONE),
        (CAPTIONS, Range(video_id=ONE, limit=2)),
        (AROUND, Moment(video_id=ONE, at_s=3.0)),
        (FRAME, FrameQuestion(video_id=ONE, frame_index=1)),
        (OBJECTS, ObjectsQuestion(class_names=["dog", "horse"])),
        (OBJECTS, ObjectsQuestion(class_names=["dog"], video_ids=[ONE, TWO])),
        (ALL_COUNTS, None),
        (LIBRARY, LibraryFilter()),
        (RESOLVE, ONE[:8]) if ONE[:8] != TWO[:8] else (RESOLVE, ONE),
    ]
    for read, question in asked:
        first = kept.answers.ask(read, [question])
        assert first.level == "store", read.name
        assert first.bodies == kept.uncached(read, [question])
        again = kept.answers.ready(read, [question])
        assert again is not None, read.name
        assert (again.level, again.bodies) == ("process", first.bodies)


def test_images_have_addresses(kept: Kept) -> None:
    page = kept.answers.ask(CAPTIONS, [Range(video_id=ONE)]).value
    version_id = page.source.version_id
    addresses = [caption.evidence.image_url for caption in page.items]  # type: ignore[attr-defined] - as it is served
    assert addresses == [f"/v1/videos/{ONE}/frames/{index}/image?version_id={version_id}" for index in range(4)]


def test_a_change_is_seen_at_once_and_what_was_true_before_is_true_again(kept: Kept) -> None:
    before = captions(kept)
    kept.commit("one", " again")
    assert captions(kept) == [f"{text} again" for text in before]
    kept.of(History).rollback(ONE, 1, channel="test")
    assert kept.answers.ask(CAPTIONS, [Range(video_id=ONE)]).level == "process"
    assert captions(kept) == before
    kept.of(Deletion).delete(ONE, channel="test")
    with pytest.raises(VideoNotFound, match=ONE):
        captions(kept)
    kept.of(Deletion).undelete(ONE, channel="test")
    assert captions(kept) == before
    kept.of(Deletion).delete(ONE, channel="test")
    kept.of(Purge).purge(ONE, reason="asked", channel="test")
    with pytest.raises(VideoNotFound, match=ONE):
        captions(kept)
    assert len(captions(kept, TWO)) == 4


def test_a_commit_of_one_video_leaves_the_answers_of_another(kept: Kept) -> None:
    captions(kept, TWO)
    kept.commit("one", " again")
    assert kept.answers.ready(CAPTIONS, [Range(video_id=TWO)]) is None, "the state is not known yet"
    assert kept.answers.ask(CAPTIONS, [Range(video_id=TWO)]).level == "process"


def test_a_page_stays_with_its_version_until_that_is_archived(kept: Kept) -> None:
    first = kept.answers.ask(CAPTIONS, [Range(video_id=ONE, limit=2)]).value
    second = Range(video_id=ONE, limit=2, cursor=first.next_cursor)
    kept.commit("one", " again")
    for _ in range(2):
        assert kept.answers.ask(CAPTIONS, [second]).value.source.version == 1
    kept.of(Archive).archive_version(first.source.version_id, channel="test")
    with pytest.raises(BriError) as cached:
        kept.answers.ask(CAPTIONS, [second])
    with pytest.raises(BriError) as uncached:
        kept.uncached(CAPTIONS, [second])
    assert (type(cached.value), str(cached.value)) == (type(uncached.value), str(uncached.value))


def test_errors_are_as_without_a_cache(kept: Kept) -> None:
    for _ in range(2):
        with pytest.raises(VideoNotFound, match="nobody-000000000000"):
            kept.answers.ask(FACTS, [ONE, "nobody-000000000000"])
        with pytest.raises(RangeWrong):
            kept.answers.ask(CAPTIONS, [Range(video_id=ONE, from_s=1e6)])


def test_what_is_infinite_is_not_what_is_not_given(kept: Kept) -> None:
    kept.answers.ask(CAPTIONS, [Range(video_id=ONE)])
    with pytest.raises(RangeWrong):
        kept.uncached(CAPTIONS, [Range(video_id=ONE, to_s=float("inf"))])
    with pytest.raises(RangeWrong):
        kept.answers.ask(CAPTIONS, [Range(video_id=ONE, to_s=float("inf"))])


def test_an_answer_that_was_made_while_the_store_changed_is_not_kept(kept: Kept) -> None:
    """Its key names version 1, and it is of version 2; a rollback would make that key asked for again."""

    def changing(sources: Sources, ranges: list[Range]) -> Any:
        kept.commit("one", " again")
        return CAPTIONS.ask(sources, ranges)

    made = kept.answers.ask(replace(CAPTIONS, ask=changing), [Range(video_id=ONE)])
    assert made.value.source.version == 2
    kept.of(History).rollback(ONE, 1, channel="test")
    assert kept.answers.ask(CAPTIONS, [Range(video_id=ONE)]).value.source.version == 1


def test_not_even_where_the_change_was_taken_back(kept: Kept) -> None:
    """Versions are the same before and after; what was read in between is not."""

    def changing(sources: Sources, ranges: list[Range]) -> Any:
        kept.commit("one", " again")
        found = CAPTIONS.ask(sources, ranges)
        kept.of(History).rollback(ONE, 1, channel="test")
        return found

    kept.answers.ask(replace(CAPTIONS, ask=changing), [Range(video_id=ONE)])
    assert kept.answers.ask(CAPTIONS, [Range(video_id=ONE)]).value.source.version == 1


def test_a_batch_is_of_one_moment(kept: Kept) -> None:
    ranges = [Range(video_id=ONE, limit=2), Range(video_id=ONE, limit=3)]
    kept.answers.ask(CAPTIONS, ranges[:1])
    asked: list[int] = []

    def changing(sources: Sources, questions: list[Range]) -> Any:
        asked.append(len(questions))
        if len(asked) == 1:
            kept.commit("one", " again")
        return CAPTIONS.ask(sources, questions)

    found = kept.answers.ask(replace(CAPTIONS, ask=changing), ranges)
    assert asked == [1, 2], "the one that was not in memory, and then both"
    assert [page.source.version for page in found.values] == [2, 2]


def test_a_batch_has_its_answers_in_order_and_asks_only_for_what_is_missing(kept: Kept) -> None:
    kept.answers.ask(FACTS, [TWO])
    asked: list[list[str]] = []

    def noting(sources: Sources, video_ids: list[str]) -> Any:
        asked.append(video_ids)
        return FACTS.ask(sources, video_ids)

    found = kept.answers.ask(replace(FACTS, ask=noting), [ONE, TWO, ONE])
    assert [facts.source.video_id for facts in found.values] == [ONE, TWO, ONE]
    assert asked == [[ONE]]
    assert found.level == "store"


def test_of_those_who_ask_the_same_at_once_one_asks_the_store(kept: Kept) -> None:
    asked, begun, go_on = [], threading.Event(), threading.Event()

    def slow(sources: Sources, video_ids: list[str]) -> Any:
        asked.append(video_ids)
        begun.set()
        assert go_on.wait(20)
        return FACTS.ask(sources, video_ids)

    read = replace(FACTS, ask=slow)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(kept.answers.ask, read, [ONE])
        assert begun.wait(20)
        others = [threads.submit(kept.answers.ask, read, [ONE]) for _ in range(3)]
        until = time.monotonic() + 20
        while not all(other.running() for other in others) and time.monotonic() < until:
            time.sleep(0.01)
        go_on.set()
        bodies = {found.result(20).one for found in (first, *others)}
    assert bodies == set(kept.uncached(FACTS, [ONE]))
    assert asked == [[ONE]]


def test_one_that_fails_lets_the_others_ask_for_themselves(kept: Kept) -> None:
    asked, begun, go_on = [], threading.Event(), threading.Event()

    def failing(sources: Sources, video_ids: list[str]) -> Any:
        asked.append(video_ids)
        if len(asked) == 1:
            begun.set()
            assert go_on.wait(20)
            raise VideoNotFound(ONE, "is not there for the first who asks.")
        return FACTS.ask(sources, video_ids)

    read = replace(FACTS, ask=failing)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(kept.answers.ask, read, [ONE])
        assert begun.wait(20)
        second = threads.submit(kept.answers.ask, read, [ONE])
        go_on.set()
        with pytest.raises(VideoNotFound):
            first.result(20)
        assert second.result(20).one == kept.uncached(FACTS, [ONE])[0]


def test_memory_is_bounded_and_may_be_none(kept: Kept) -> None:
    small, none = kept.another(cache_mb=0.02), kept.another(cache_mb=0)
    for index in range(50):
        question = Moment(video_id=ONE, at_s=index / 10)
        small.ask(AROUND, [question])
        none.ask(AROUND, [question])
        assert none.ready(AROUND, [question]) is None
    kept_ones = [small.ready(AROUND, [Moment(video_id=ONE, at_s=index / 10)]) for index in range(50)]
    held = sum(len(found.one) for found in kept_ones if found)
    assert 0 < held <= 20_000


def test_an_answer_is_kept_for_no_longer_than_it_may_be(kept: Kept) -> None:
    short = kept.another(cache_ttl_s=0.3)
    short.ask(FACTS, [ONE])
    until = time.monotonic() + 20
    while short.ready(FACTS, [ONE]) is not None:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert short.ask(FACTS, [ONE]).level == "store"


def test_what_is_forgotten_is_in_memory_no_more(kept: Kept) -> None:
    for read, question in ((FACTS, ONE), (FACTS, TWO), (ALL_COUNTS, None)):
        kept.answers.ask(read, [question])
    kept.answers.forget(ONE)
    assert kept.answers.ready(FACTS, [ONE]) is None
    assert kept.answers.ready(ALL_COUNTS, [None]) is None
    assert kept.answers.ready(FACTS, [TWO]) is not None


def test_what_is_hidden_is_in_memory_no_more(kept: Kept) -> None:
    for read, question in ((FACTS, ONE), (FACTS, TWO), (ALL_COUNTS, None)):
        kept.answers.ask(read, [question])
    kept.answers.forget_hidden()
    assert kept.answers.ready(FACTS, [ONE]) is not None
    kept.of(Deletion).delete(ONE, channel="test")
    kept.answers.forget_hidden()
    kept.of(Deletion).undelete(ONE, channel="test")
    assert kept.answers.ask(FACTS, [TWO]).level == "process"
    assert kept.answers.ask(FACTS, [ONE]).level == "store"


def test_a_search_without_a_whole_index_is_not_kept(kept: Kept) -> None:
    asked = SearchRequest(text="picture", mode="keyword")
    for _ in range(2):
        found = kept.answers.ask(SEARCH, [asked])
        assert found.value.index.state == "missing"
        assert found.level == "store"
    assert found.value.hits
