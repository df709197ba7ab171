"""Frames, captions, segments and detections of a stretch, page by page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bri_assets.errors import CursorWrong, RangeWrong, VideoNotFound
from bri_assets.store import Queries
from bri_assets.store.queries.model import Box, Page, Range
from bri_assets_tests.bundles import Rows
from bri_assets_tests.unit.store.queries.test_facts import with_a_gap
from bri_assets_tests.unit.store.queries.worlds import World, see

#: Every paged read, and the key of a row of it.
PAGED: dict[str, tuple[Callable[[Queries, list[Range]], list[Page[Any]]], Callable[[Any], object]]] = {
    "frames": (Queries.frames, lambda frame: frame.evidence.frame_index),
    "captions": (Queries.captions, lambda caption: caption.evidence.frame_index),
    "segments": (Queries.segments, lambda segment: segment.segment_index),
    "detections": (Queries.detections, lambda found: (found.frame_index, found.detection_index)),
}


def pages(world: World, kind: str, wanted: Range, between: Callable[[], None] = lambda: None) -> list[Page[Any]]:
    """Every page of a question."""
    read, found = PAGED[kind][0], []
    while True:
        (page,) = read(world.queries, [wanted])
        found.append(page)
        if page.next_cursor is None:
            return found
        wanted = wanted.model_copy(update={"cursor": page.next_cursor})
        between()


def keys(kind: str, found: list[Page[Any]]) -> list[object]:
    return [PAGED[kind][1](item) for page in found for item in page.items]


# What a page says


def test_a_frame_says_all_that_is_known_of_it(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        see(tables, {1: [("cat", 0.9), ("dog", 0.8), ("dog", 0.7), ("ant", 0.6)]})

    video = world.commit("holiday", change=change)
    (page,) = world.queries.frames([Range(video_id=video, from_s=1, to_s=2)])
    assert (page.source.video_id, page.source.version, page.next_cursor) == (video, 1, None)
    (frame,) = page.items
    path = frame.evidence.image_path
    assert (tmp_path / path).is_file()
    assert frame.model_dump() == {
        "evidence": {
            "frame_index": 1,
            "timestamp_s": 2.0,
            "image_path": path,
            "image_sha256": frame.evidence.image_sha256,
        },
        "width": 64,
        "height": 48,
        "caption": "a picture 1",
        "caption_confidence": 0.1,
        "objects": {"dog": 2, "ant": 1, "cat": 1},
    }
    assert list(frame.objects) == ["dog", "ant", "cat"]
    assert world.queries.frames([Range(video_id=video, to_s=0)])[0].items[0].objects == {}


def test_captions_segments_and_detections_say_all_that_is_known_of_them(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    wanted = Range(video_id=video, from_s=2, to_s=3)
    (captions,) = world.queries.captions([wanted])
    (frames,) = world.queries.frames([wanted])
    (caption,) = captions.items
    assert (caption.text, caption.confidence) == ("a picture 1", 0.1)
    assert caption.evidence == frames.items[0].evidence
    (segments,) = world.queries.segments([wanted])
    assert [segment.segment_index for segment in segments.items] == [1, 2]
    assert segments.items[0].model_dump(exclude={"evidence"}) == {
        "segment_index": 1,
        "start_s": 1.5,
        "end_s": 2.75,
        "text": "words 1",
        "confidence": 0.75,
        "language": "en",
        "no_speech_prob": 0.01,
    }
    assert [segment.evidence.frame_index for segment in segments.items] == [0, 1]
    (detections,) = world.queries.detections([wanted])
    assert [(one.class_name, one.detection_index, one.confidence) for one in detections.items] == [
        ("dog", 0, 0.9),
        ("horse", 1, pytest.approx(0.8)),
    ]
    assert {(one.frame_index, one.timestamp_s) for one in detections.items} == {(1, 2.0)}
    assert detections.items[0].box == Box(x1=1.5, y1=2.5, x2=30.25, y2=48.0)


def test_detections_of_one_class(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    (found,) = world.queries.detections([Range(video_id=video, class_name="horse")])
    assert [(one.frame_index, one.class_name) for one in found.items] == [(index, "horse") for index in range(4)]
    (nothing,) = world.queries.detections([Range(video_id=video, class_name="Horse")])
    assert (nothing.items, nothing.next_cursor) == ([], None)


@pytest.mark.parametrize(
    ("from_s", "to_s", "frames", "segments"),
    [
        (0, None, [0, 1, 2, 3], [0, 1, 2]),
        (2, 4, [1, 2], [1, 2]),
        (2.01, 3.99, [], [1, 2]),
        (0, 0, [0], [0]),
        (1.25, 1.25, [], []),
        (1.25, 1.5, [], [1]),
        (8, 8, [], []),
    ],
)
def test_both_ends_of_a_stretch_belong_to_it(
    tmp_path: Path, from_s: float, to_s: float | None, frames: list[int], segments: list[int]
) -> None:
    world = World(tmp_path)
    wanted = Range(video_id=world.commit("holiday"), from_s=from_s, to_s=to_s)
    assert keys("frames", world.queries.frames([wanted])) == frames  # type: ignore[arg-type]
    assert keys("segments", world.queries.segments([wanted])) == segments  # type: ignore[arg-type]


def test_a_slot_without_a_frame_is_in_no_stretch(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday", change=with_a_gap)
    assert keys("frames", pages(world, "frames", Range(video_id=video, limit=1))) == [0, 2, 3]
    (found,) = world.queries.segments([Range(video_id=video)])
    assert [segment.evidence.frame_index for segment in found.items] == [0, 0, 0]


def test_speech_before_the_first_frame_is_shown_by_that(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        tables["source_video"][0]["first_frame_s"] = 1.0
        tables["frames"][0]["timestamp_s"] = 1.0

    video = world.commit("holiday", change=change)
    (found,) = world.queries.segments([Range(video_id=video)])
    assert [(one.start_s, one.evidence.frame_index, one.evidence.timestamp_s) for one in found.items] == [
        (0.0, 0, 1.0),
        (1.5, 0, 1.0),
        (3.0, 1, 2.0),
    ]


def test_each_range_of_a_batch_has_its_own_bounds_and_page(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second = world.commit("one"), world.commit("two", frames=6)
    (later,) = world.queries.frames([Range(video_id=second, limit=2)])
    found = world.queries.frames(
        [
            Range(video_id=second, from_s=4, limit=2),
            Range(video_id=first, to_s=2),
            Range(video_id=second, limit=2, cursor=later.next_cursor),
            Range(video_id=first, to_s=2),
        ]
    )
    assert [keys("frames", [page]) for page in found] == [[2, 3], [0, 1], [2, 3], [0, 1]]
    assert [page.source.video_id for page in found] == [second, first, second, first]
    assert [page.next_cursor is None for page in found] == [False, True, False, True]
    assert [read(world.queries, []) for read, _ in PAGED.values()] == [[]] * 4


# Bounds


@pytest.mark.parametrize("kind", sorted(PAGED))
@pytest.mark.parametrize(("from_s", "to_s"), [(9.5, None), (0, 9.5), (9.5, 20), (0, float("inf"))])
def test_a_stretch_beyond_the_video_names_its_length(
    tmp_path: Path, kind: str, from_s: float, to_s: float | None
) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    with pytest.raises(RangeWrong, match=r"is 8\.000 s long"):
        PAGED[kind][0](world.queries, [Range(video_id=video, from_s=from_s, to_s=to_s)])


def test_the_length_may_be_rounded_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    assert keys("frames", world.queries.frames([Range(video_id=video, from_s=6, to_s=9)])) == [3]  # type: ignore[arg-type]
    assert keys("frames", world.queries.frames([Range(video_id=video, from_s=8.5)])) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", sorted(PAGED))
def test_a_stretch_that_ends_before_it_begins_is_refused(tmp_path: Path, kind: str) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    with pytest.raises(RangeWrong, match="from 3 s to 2 s ends before it begins"):
        PAGED[kind][0](world.queries, [Range(video_id=video, from_s=3, to_s=2)])


# Pages and cursors


@pytest.mark.parametrize("kind", sorted(PAGED))
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 500])
def test_pages_give_each_row_once_in_its_order(tmp_path: Path, kind: str, limit: int) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    whole = keys(kind, pages(world, kind, Range(video_id=video)))
    found = pages(world, kind, Range(video_id=video, limit=limit))
    assert keys(kind, found) == whole == sorted(whole)  # type: ignore[type-var]
    assert [len(page.items) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert 1 <= len(found[-1].items) <= limit


DEEDS: dict[str, Callable[[World, str], object]] = {
    "recommit": lambda world, _: world.recommit("holiday"),
    "go back": lambda world, video: world.rollback(video, 1),
    "hide and show": lambda world, video: (world.delete(video), world.undelete(video)),
    "another": lambda world, _: world.commit("another"),
    "nothing": lambda *_: None,
}


@settings(max_examples=4, deadline=None)
@given(st.lists(st.sampled_from(sorted(DEEDS)), min_size=1, max_size=4), st.sampled_from(sorted(PAGED)))
def test_pages_stay_with_their_version_whatever_happens_between_them(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[str], kind: str
) -> None:
    world = World(tmp_path_factory.mktemp("pages"))
    video = world.commit("holiday")
    whole = [item for page in pages(world, kind, Range(video_id=video)) for item in page.items]
    todo = list(deeds)

    def between() -> None:
        if todo:
            DEEDS[todo.pop()](world, video)

    found = pages(world, kind, Range(video_id=video, limit=1), between)
    assert [item for page in found for item in page.items] == whole
    assert {page.source.version for page in found} == {1}


def test_a_cursor_whose_rows_are_archived_says_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    wanted = Range(video_id=video, limit=1)
    (page,) = world.queries.frames([wanted])
    world.recommit("holiday")
    again = wanted.model_copy(update={"cursor": page.next_cursor})
    assert world.queries.frames([again])[0].source.version == 1
    world.archive()
    with pytest.raises(CursorWrong, match="whose rows are in the archive") as caught:
        world.queries.frames([again])
    assert "Ask again without a cursor" in caught.value.remedy


def test_a_cursor_of_a_deleted_video_says_that_there_is_no_such_video(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    (page,) = world.queries.frames([Range(video_id=video, limit=1)])
    world.delete(video)
    with pytest.raises(VideoNotFound):
        world.queries.frames([Range(video_id=video, limit=1, cursor=page.next_cursor)])


def test_a_cursor_is_of_one_question(tmp_path: Path) -> None:
    world = World(tmp_path)
    video, other = world.commit("one"), world.commit("two")
    (page,) = world.queries.detections([Range(video_id=video, limit=1)])
    same = Range(video_id=video, limit=3, cursor=page.next_cursor)
    assert len(world.queries.detections([same])[0].items) == 3, "how many rows a page has is no part of the question"
    for change in ({"video_id": other}, {"from_s": 1.0}, {"to_s": 7.0}, {"class_name": "dog"}):
        with pytest.raises(CursorWrong, match="another question"):
            world.queries.detections([same.model_copy(update=change)])
    with pytest.raises(CursorWrong, match="another question"):
        world.queries.frames([same])


def _forged(held: object) -> str:
    return base64.urlsafe_b64encode(json.dumps([held, "0" * 16]).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "ü",
        "e30",
        "!" * 50,
        "A" * 5000,
        base64.urlsafe_b64encode(b"[" * 1400).decode(),
        _forged({"version_id": 1, "index": 0, "rank": 0}),
        _forged({"version_id": "1", "index": 0, "rank": 0}),
        _forged({"version_id": 1, "index": 2**70, "rank": 0}),
        _forged({"version_id": 1, "index": float("nan"), "rank": 0}),
        _forged([]),
        _forged(None),
    ],
)
def test_what_is_no_cursor_is_refused(tmp_path: Path, cursor: str) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    with pytest.raises(CursorWrong) as caught:
        world.queries.frames([Range(video_id=video, cursor=cursor)])
    assert len(caught.value.subject) < 60
