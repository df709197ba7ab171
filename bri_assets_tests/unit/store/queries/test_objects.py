"""When objects are seen, alone and together, in one video and across all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bri_assets.errors import CursorWrong, RangeWrong
from bri_assets.store.queries import intervals as merging
from bri_assets.store.queries import objects as module
from bri_assets.store.queries.model import Interval, ObjectsInVideo
from bri_assets_tests.bundles import Rows
from bri_assets_tests.unit.store.queries.test_facts import with_a_gap
from bri_assets_tests.unit.store.queries.worlds import World, see

Seen = dict[int, list[tuple[str, float]]]


def seeing(seen: Seen) -> Callable[[Rows], None]:
    return lambda tables: see(tables, seen)


def at(class_name: str, frames: Sequence[int]) -> Seen:
    return {index: [(class_name, 0.5)] for index in frames}


def spans(found: ObjectsInVideo) -> list[tuple[float, float]]:
    return [(interval.start_s, interval.end_s) for interval in found.intervals]


def merged(frames: Sequence[int], length: int) -> list[tuple[float, float]]:
    """What the intervals of a class have to be, of a frame every two seconds: said plainly."""
    runs: list[list[int]] = []
    for index in sorted(frames):
        if runs and index - runs[-1][-1] <= merging.MISSED + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return [(2.0 * run[0], 2.0 * (run[-1] + 1)) for run in runs if run[-1] < length]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([0], [(0, 2)]),
        ([9], [(18, 20)]),
        ([2, 3, 4], [(4, 10)]),
        ([2, 4], [(4, 10)]),
        ([2, 5], [(4, 6), (10, 12)]),
        ([0, 2, 4, 7, 9], [(0, 10), (14, 20)]),
        (range(10), [(0, 20)]),
    ],
)
def test_frames_are_merged_and_one_missed_sample_does_not_count(
    tmp_path: Path, frames: Sequence[int], expected: list[tuple[float, float]]
) -> None:
    world = World(tmp_path)
    world.commit("holiday", frames=10, change=seeing(at("dog", frames)))
    (found,) = world.queries.objects(["dog"]).items
    assert spans(found) == expected == merged(frames, 10)
    assert found.frames == len(frames)
    assert not found.cut


@settings(max_examples=6, deadline=None)
@given(st.lists(st.sets(st.integers(0, 19)), min_size=6, max_size=6))
def test_intervals_of_any_pattern_are_as_said_plainly(
    tmp_path_factory: pytest.TempPathFactory, patterns: list[set[int]]
) -> None:
    world, seen = World(tmp_path_factory.mktemp("intervals")), Seen()
    for number, pattern in enumerate(patterns):
        for index in pattern:
            seen.setdefault(index, []).append((f"class {number}", 0.5))
    world.commit("holiday", frames=20, change=seeing(seen))
    for number, pattern in enumerate(patterns):
        items = world.queries.objects([f"class {number}"]).items
        assert [span for one in items for span in spans(one)] == merged(sorted(pattern), 20)
    together = patterns[0] & patterns[1]
    items = world.queries.objects(["class 0", "class 1"]).items
    assert [span for one in items for span in spans(one)] == merged(sorted(together), 20)


def test_an_interval_says_what_shows_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    seen = {
        1: [("dog", 0.5)],
        2: [("dog", 0.9), ("dog", 0.3), ("cat", 0.95)],
        3: [("dog", 0.9)],
        4: [("dog", 0.4)],
    }
    video = world.commit("holiday", frames=7, change=seeing(seen))
    (found,) = world.queries.objects(["dog"]).items
    assert (found.source.video_id, found.class_names, found.frames) == (video, ["dog"], 4)
    shots = {index: world.queries.frame(video, index).frame.evidence for index in range(5)}
    assert found.intervals == [
        Interval(
            start_s=2.0,
            end_s=10.0,
            frames=4,
            most_at_once=2,
            confidence=0.9,
            first=shots[1],
            best=shots[2],
            last=shots[4],
        )
    ]


def test_an_interval_of_the_last_frame_ends_with_the_video(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        see(tables, at("dog", [3]))
        tables["source_video"][0]["duration_s"] = 8.75

    world.commit("holiday", change=change)
    assert spans(world.queries.objects(["dog"]).items[0]) == [(6.0, 8.75)]


def test_a_slot_without_a_frame_ends_no_interval(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        see(tables, at("dog", [0, 3]))
        with_a_gap(tables)

    world.commit("holiday", change=change)
    (found,) = world.queries.objects(["dog"]).items
    assert (spans(found), found.frames) == ([(0.0, 8.0)], 2)


def test_together_means_in_the_same_frame(tmp_path: Path) -> None:
    world = World(tmp_path)
    seen = {
        0: [("person", 0.9)],
        1: [("person", 0.9), ("cat", 0.4), ("person", 0.8)],
        2: [("person", 0.7), ("cat", 0.6)],
        5: [("cat", 0.9)],
    }
    video = world.commit("both", frames=6, change=seeing(seen))
    world.commit("apart", change=seeing({0: [("person", 0.9)], 1: [("cat", 0.9)]}))
    page = world.queries.objects(["person", "cat", "person"])
    assert page.next_cursor is None
    (found,) = page.items
    assert (found.source.video_id, found.class_names, found.frames) == (video, ["person", "cat"], 2)
    (interval,) = found.intervals
    assert (interval.start_s, interval.end_s, interval.most_at_once) == (2.0, 6.0, 3)
    assert interval.confidence == 0.6, "a frame is as sure as the class that is seen worst in it"
    assert interval.best.frame_index == 2


def test_detections_below_the_confidence_do_not_count(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.commit("holiday", change=seeing({0: [("dog", 0.5)], 1: [("dog", 0.49)]}))
    assert spans(world.queries.objects(["dog"], min_confidence=0.5).items[0]) == [(0.0, 2.0)]
    assert world.queries.objects(["dog"], min_confidence=0.51).items == []
    assert world.queries.objects(["Dog"]).items == world.queries.objects(["o"]).items == []


def test_of_too_many_intervals_the_first_are_given_and_that_there_are_more(tmp_path: Path) -> None:
    world, times = World(tmp_path), merging.MOST + 5
    world.commit("holiday", frames=3 * times, change=seeing(at("dog", range(0, 3 * times, 3))))
    (found,) = world.queries.objects(["dog"]).items
    assert (len(found.intervals), found.cut, found.frames) == (merging.MOST, True, times)
    assert found.intervals[-1].start_s == 2.0 * 3 * (merging.MOST - 1)


# Across videos


def videos_of(world: World, limit: int, between: Callable[[], None] = lambda: None, **wanted: object) -> list[str]:
    """The videos of every page, the first of which is followed by ``between``."""
    found, cursor = [], None
    while True:
        page = world.queries.objects(["dog"], limit=limit, cursor=cursor, **wanted)  # type: ignore[arg-type]
        assert len(page.items) <= limit
        found += [one.source.video_id for one in page.items]
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor
        between()


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_videos_come_newest_first_each_once(tmp_path: Path, limit: int) -> None:
    world = World(tmp_path)
    videos = [world.commit(f"video-{number}") for number in range(3)]
    world.commit("nothing", change=seeing({}))
    world.recommit("video-0")
    assert videos_of(world, limit) == videos[::-1]
    assert videos_of(world, limit, video_ids=[videos[0], videos[2]]) == [videos[2], videos[0]]


def test_what_happens_between_two_pages_neither_repeats_a_video_nor_skips_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    videos = [world.commit(f"video-{number}") for number in range(4)]
    deeds = [
        lambda: (world.recommit("video-3"), world.recommit("video-0"), world.commit("new")),
        lambda: (world.rollback(videos[0], 1), world.delete(videos[1])),
    ]
    assert videos_of(world, 1, lambda: deeds.pop(0)() if deeds else None) == [videos[3], videos[2], videos[0]]


def test_videos_that_never_have_them_together_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOKED_AT", 2)
    world = World(tmp_path)
    both = world.commit("both", change=seeing({0: [("dog", 0.9), ("cat", 0.9)]}))
    for number in range(3):
        world.commit(f"apart-{number}", change=seeing({0: [("dog", 0.9)], 1: [("cat", 0.9)]}))
    first = world.queries.objects(["dog", "cat"], limit=1)
    assert first.items == []
    assert first.next_cursor is not None
    second = world.queries.objects(["cat", "dog"], limit=1, cursor=first.next_cursor)
    assert [one.source.video_id for one in second.items] == [both]
    assert second.next_cursor is None


def test_a_cursor_is_of_one_question(tmp_path: Path) -> None:
    world = World(tmp_path)
    for number in range(3):
        world.commit(f"video-{number}")
    cursor = world.queries.objects(["dog"], limit=1).next_cursor
    assert len(world.queries.objects(["dog"], limit=2, cursor=cursor).items) == 2
    for classes, more in ((["horse"], {}), (["dog"], {"min_confidence": 0.1}), (["dog"], {"video_ids": []})):
        with pytest.raises(CursorWrong):
            world.queries.objects(classes, cursor=cursor, **more)  # type: ignore[arg-type]
    with pytest.raises(CursorWrong):
        world.queries.objects(["dog"], cursor="e30")


@pytest.mark.parametrize(
    "wanted",
    [
        {"class_names": []},
        {"class_names": [str(number) for number in range(21)]},
        {"min_confidence": -0.1},
        {"min_confidence": 1.1},
        {"min_confidence": float("nan")},
        {"limit": 0},
        {"limit": 201},
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path: Path, wanted: dict[str, object]) -> None:
    world = World(tmp_path)
    with pytest.raises(RangeWrong):
        world.queries.objects(**({"class_names": ["dog"]} | wanted))  # type: ignore[arg-type]


def test_of_no_videos_there_are_no_objects(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.queries.objects(["dog"]).items == []
    world.commit("holiday")
    assert world.queries.objects(["dog"], []).items == []
