"""What is there around a time, what is being said at it, and single frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from bri_assets.errors import FrameNotFound, RangeWrong, VersionNotFound
from bri_assets.store.queries import moments as module
from bri_assets.store.queries.model import Around, FrameKey, Moment, Range, SegmentAt
from bri_assets_tests.bundles import Rows
from bri_assets_tests.unit.store.queries.test_facts import silent, with_a_gap
from bri_assets_tests.unit.store.queries.worlds import World


def around(world: World, video: str, at_s: float, within_s: float = 5.0) -> Around:
    return world.queries.around([Moment(video_id=video, at_s=at_s, within_s=within_s)])[0]


def indexes(found: Around) -> tuple[int, list[int], list[int]]:
    """The frames and segments of an answer, by their indexes."""
    frames = [frame.evidence.frame_index for frame in found.frames]
    return found.nearest.evidence.frame_index, frames, [segment.segment_index for segment in found.segments]


def test_everything_around_a_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    found = around(world, video, 2.9, 1.0)
    assert (found.source.video_id, found.at_s, found.from_s, found.to_s) == (video, 2.9, 1.9, 3.9)
    assert indexes(found) == (1, [1], [1, 2])
    assert found.nearest == found.frames[0] == world.queries.frame(video, 1).frame
    assert [(one.class_name, one.frame_index, one.timestamp_s) for one in found.detections] == [
        ("dog", 1, 2.0),
        ("horse", 1, 2.0),
    ]
    assert found.segments == world.queries.segments([Range(video_id=video, from_s=1.9, to_s=3.9)])[0].items
    assert not found.cut


@pytest.mark.parametrize(
    ("at_s", "within_s", "nearest", "frames", "segments"),
    [
        (0, 0, 0, [0], [0]),
        (1, 0.5, 0, [], [0, 1]),
        (3, 0, 1, [], [2]),
        (3, 1, 1, [1, 2], [1, 2]),
        (3.01, 0.5, 2, [], [1, 2]),
        (8, 1, 3, [], []),
        (9, 1, 3, [], []),
        (4, 600, 2, [0, 1, 2, 3], [0, 1, 2]),
    ],
)
def test_the_nearest_frame_is_there_even_where_the_stretch_has_none(
    tmp_path: Path, at_s: float, within_s: float, nearest: int, frames: list[int], segments: list[int]
) -> None:
    world = World(tmp_path)
    assert indexes(around(world, world.commit("holiday"), at_s, within_s)) == (nearest, frames, segments)


def test_in_a_gap_the_nearest_frame_is_the_earlier_of_two_as_near(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday", change=with_a_gap)
    assert indexes(around(world, video, 2, 1)) == (0, [], [0, 1, 2])


def test_where_nothing_is_said_or_seen_the_answer_is_empty_and_no_error(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        silent(tables)
        tables["detections"] = []

    video = world.commit("holiday", change=change)
    found = around(world, video, 4)
    assert (found.segments, found.detections, found.nearest.objects) == ([], [], {})
    (said,) = world.queries.segments_at([Moment(video_id=video, at_s=4)])
    assert (said.segment, said.before, said.after) == (None, None, None)


def test_of_too_much_the_nearest_is_given_and_that_it_was_cut(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday", frames=2 * module.MOST + 40)
    at_s = 2.0 * module.MOST + 1
    found = around(world, video, at_s, 600)
    frames = [frame.evidence.frame_index for frame in found.frames]
    assert found.cut
    assert len(frames) == module.MOST
    assert frames == list(range(frames[0], frames[0] + module.MOST))
    assert abs(frames[0] + frames[-1] - at_s) <= 1, "as many before the time as after it"


@pytest.mark.parametrize("read", ["around", "segments_at"])
@pytest.mark.parametrize("at_s", [9.1, 1e9, float("inf")])
def test_a_time_beyond_the_video_names_its_length(tmp_path: Path, read: str, at_s: float) -> None:
    world = World(tmp_path)
    moment = Moment(video_id=world.commit("holiday"), at_s=at_s)
    with pytest.raises(RangeWrong, match=r"is 8\.000 s long"):
        getattr(world.queries, read)([moment])


def test_a_batch_answers_in_its_order(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second = world.commit("one"), world.commit("two")
    asked = [Moment(video_id=video, at_s=at_s, within_s=0) for video, at_s in ((second, 6), (first, 0), (second, 2))]
    found = world.queries.around(asked)
    assert [(one.source.video_id, indexes(one)[0]) for one in found] == [(second, 3), (first, 0), (second, 1)]
    said = world.queries.segments_at(asked)
    assert [(one.source.video_id, one.at_s) for one in said] == [(second, 6), (first, 0), (second, 2)]
    assert world.queries.around([]) == world.queries.segments_at([]) == []


# What is being said


def three(found: SegmentAt) -> tuple[int | None, int | None, int | None]:
    before, at, after = found.before, found.segment, found.after
    return (
        before and before.segment_index,
        at and at.segment_index,
        after and after.segment_index,
    )


@pytest.mark.parametrize(
    ("at_s", "said"),
    [
        (0, (None, 0, 1)),
        (1.2, (None, 0, 1)),
        (1.25, (0, None, 1)),
        (1.4, (0, None, 1)),
        (1.5, (0, 1, 2)),
        (4.24, (1, 2, None)),
        (4.25, (2, None, None)),
        (8, (2, None, None)),
    ],
)
def test_a_segment_begins_with_its_start_and_ends_before_its_end(
    tmp_path: Path, at_s: float, said: tuple[int | None, int | None, int | None]
) -> None:
    world = World(tmp_path)
    (found,) = world.queries.segments_at([Moment(video_id=world.commit("holiday"), at_s=at_s)])
    assert three(found) == said


def test_where_one_segment_ends_the_next_begins(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        for row in tables["transcripts"]:
            row["end_s"] = row["start_s"] + 1.5

    (found,) = world.queries.segments_at([Moment(video_id=world.commit("holiday", change=change), at_s=1.5)])
    assert three(found) == (0, 1, 2)
    assert found.segment is not None
    assert (found.segment.text, found.segment.evidence.frame_index) == ("words 1", 0)


# Frames


def test_a_frame_of_the_version_that_is_shown_or_of_an_earlier_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    world.recommit("holiday")
    assert world.queries.frame(video, 0).frame.caption == "a better picture"
    earlier = world.queries.frame(video, 0, 1)
    assert (earlier.frame.caption, earlier.source.version, earlier.source.version_id) == ("a picture 0", 1, 1)
    assert earlier.frame.objects == {"dog": 1, "horse": 1}
    other = world.commit("other")
    for version_id in (3, 99, -1):
        with pytest.raises(VersionNotFound, match=f"no version with the number {version_id}"):
            world.queries.frame(video, 0, version_id)
    assert world.queries.frame(other, 0, 3).source.video_id == other
    world.archive()
    with pytest.raises(VersionNotFound):
        world.queries.frame(video, 0, 1)


@pytest.mark.parametrize("frame_index", [1, 4, -1, 2**31, 2**63, 2**70])
def test_a_frame_that_is_not_there_is_said(tmp_path: Path, frame_index: int) -> None:
    world = World(tmp_path)
    video = world.commit("holiday", change=with_a_gap)
    with pytest.raises(FrameNotFound, match=f"version 1 has no frame {frame_index}"):
        world.queries.frame(video, frame_index)


def test_evidence_is_given_for_each_key_in_its_order(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("one")
    world.commit("two")
    asked = [(2, 3), (1, 0), (1, 99), (9, 0), (2, 3)]
    found = world.queries.evidence([FrameKey(version_id=version, frame_index=index) for version, index in asked])
    assert [one and one.frame_index for one in found] == [3, 0, None, None, 3]
    assert found[1] == world.queries.frame(video, 0).frame.evidence
    assert world.queries.evidence([]) == []
