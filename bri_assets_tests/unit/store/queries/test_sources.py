"""Which videos reads are of: names, versions, what a cache is told; and that no read knows a deleted one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bri_assets.errors import VideoNotFound
from bri_assets.store import NewUpload, Queries, Store
from bri_assets.store.queries.model import FrameKey, LibraryFilter, Moment, Range
from bri_assets_tests.unit.store.queries.worlds import World, id_of

#: Every read of videos that are named, asked about one.
READS: dict[str, Callable[[Queries, str], object]] = {
    "resolve": lambda queries, video: queries.resolve([video]),
    "facts": lambda queries, video: queries.facts([video]),
    "counts": lambda queries, video: queries.counts([video]),
    "around": lambda queries, video: queries.around([Moment(video_id=video, at_s=1)]),
    "segments_at": lambda queries, video: queries.segments_at([Moment(video_id=video, at_s=1)]),
    "frames": lambda queries, video: queries.frames([Range(video_id=video)]),
    "captions": lambda queries, video: queries.captions([Range(video_id=video)]),
    "segments": lambda queries, video: queries.segments([Range(video_id=video)]),
    "detections": lambda queries, video: queries.detections([Range(video_id=video)]),
    "frame": lambda queries, video: queries.frame(video, 0),
    "objects": lambda queries, video: queries.objects(["dog"], [video]),
    "scenes": lambda queries, video: queries.scenes([video]),
}


def test_a_video_is_meant_by_its_id_the_beginning_of_it_or_its_file_name(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second = world.commit("holiday"), world.commit("holidays")
    names = [first, "holidays.mp4", "holidays-", "holiday.mp4", first]
    assert world.queries.resolve(names) == {
        first: first,
        "holidays.mp4": second,
        "holidays-": second,
        "holiday.mp4": first,
    }
    assert world.queries.resolve([]) == {}


@pytest.mark.parametrize("name", ["", "nobody.mp4", "%", "HOLIDAY.mp4"])
def test_what_means_no_video_is_said(tmp_path: Path, name: str) -> None:
    world = World(tmp_path)
    world.commit("holiday")
    with pytest.raises(VideoNotFound, match="no committed video has this id or file name") as caught:
        world.queries.resolve(["holiday.mp4", name])
    assert caught.value.subject == name


def test_a_name_of_two_videos_names_both(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second = world.commit("holiday"), world.commit("holidays")
    with pytest.raises(VideoNotFound, match="means more than one video") as caught:
        world.queries.resolve(["holi"])
    assert first in caught.value.what
    assert second in caught.value.what
    world.delete(second)
    assert world.queries.resolve(["holi"]) == {"holi": first}


def test_a_video_goes_by_the_names_of_all_its_uploads(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    upload = NewUpload("/a/copy.mp4", "copy.mp4", "1", 1000, world.queries.facts([video])[0].sha256, video)
    world.of(Store).claim(upload, requested_by="cli")
    assert world.queries.resolve(["copy.mp4"]) == {"copy.mp4": video}


@pytest.mark.parametrize("name", sorted(READS))
def test_no_read_knows_a_video_that_is_deleted_or_never_was(tmp_path: Path, name: str) -> None:
    world, read = World(tmp_path), READS[name]
    video, other = world.commit("holiday"), world.commit("other")
    read(world.queries, video)
    world.delete(video)
    for missing in (video, id_of("nobody")):
        with pytest.raises(VideoNotFound) as caught:
            read(world.queries, missing)
        assert caught.value.subject == missing
    read(world.queries, other)
    world.undelete(video)
    read(world.queries, video)


def test_reads_of_all_videos_leave_deleted_ones_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    video, other = world.commit("holiday"), world.commit("other")
    world.delete(video)
    queries = world.queries
    assert [found.source.video_id for found in queries.counts()] == [other]
    assert [found.video_id for found in queries.visible()] == [other]
    assert [found.source.video_id for found in queries.objects(["dog"]).items] == [other]
    assert [entry.video_id for entry in queries.library(LibraryFilter()).items] == [other]
    assert [found.video_id for found in queries.texts([1, 2])] == [other]
    assert set(queries.versions_of([1, 2])) == {2}
    assert [bool(found) for found in queries.evidence([FrameKey(version_id=v, frame_index=0) for v in (1, 2)])] == [
        False,
        True,
    ]
    assert queries.state([video, other]).versions == {other: 2}


def test_several_missing_videos_are_named_together(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    with pytest.raises(VideoNotFound, match="2 videos are not shown") as caught:
        world.queries.facts(["a", video, "b"])
    assert caught.value.subject == "a, b"


# Versions


def test_what_is_visible_follows_commits_rollbacks_and_deletes(tmp_path: Path) -> None:
    world = World(tmp_path)
    video, other = world.commit("holiday"), world.commit("other")
    world.recommit("holiday")
    queries = world.queries

    def shown() -> list[tuple[str, int, int, str]]:
        return [(one.video_id, one.version_id, one.version, one.filename) for one in queries.visible()]

    assert shown() == [(other, 2, 1, "other.mp4"), (video, 3, 2, "holiday.mp4")]
    assert set(queries.versions_of([1, 2, 3, 4])) == {2, 3}
    world.rollback(video, 1)
    assert shown() == [(video, 1, 1, "holiday.mp4"), (other, 2, 1, "other.mp4")]
    assert queries.versions_of([1, 3])[1].model_dump() == {
        "video_id": video,
        "filename": "holiday.mp4",
        "version": 1,
        "version_id": 1,
    }
    assert queries.versions_of([]) == {}
    world.delete(video)
    assert shown() == [(other, 2, 1, "other.mp4")]


def test_texts_are_those_of_the_versions_that_were_named(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    world.recommit("holiday")
    first, second = world.queries.texts([1, 2, 99, 1])
    assert [first.version_id, first.version, second.version] == [1, 1, 2]
    assert (first.video_id, first.filename) == (video, "holiday.mp4")
    assert [text.text for text in first.texts] == [
        *(f"a picture {index}" for index in range(4)),
        *(f"words {index}" for index in range(3)),
    ]
    assert second.texts[0].text == "a better picture"
    caption, segment = first.texts[1], first.texts[6]
    assert (caption.kind, caption.row_index, caption.start_s, caption.end_s) == ("caption", 1, 2.0, 2.0)
    assert (segment.kind, segment.row_index, segment.start_s, segment.end_s) == ("segment", 2, 3.0, 4.25)
    assert caption.evidence.frame_index == segment.evidence.frame_index == 1
    assert world.queries.texts([]) == []
    world.archive()
    assert [found.version_id for found in world.queries.texts([1, 2])] == [2]


# What a cache is told


def test_the_state_moves_with_everything_that_is_shown_and_with_nothing_else(tmp_path: Path) -> None:
    world = World(tmp_path)
    empty = world.queries.state([])
    assert (empty.versions, empty.event_id) == ({}, 0)
    video = world.commit("holiday")
    first = world.queries.state([video, id_of("nobody")])
    assert first.versions == {video: 1}
    assert first == world.queries.state([video, id_of("nobody")])
    assert first.event_id > 0
    seen = {empty.library, first.library}
    for change in (
        lambda: world.recommit("holiday"),
        lambda: world.rollback(video, 1),
        lambda: world.delete(video),
        lambda: world.undelete(video),
    ):
        before = world.queries.state([video])
        change()
        after = world.queries.state([video])
        assert after.event_id > before.event_id
        assert after.library != before.library
        assert after.store == first.store
        seen.add(after.library)
    assert len(seen) == 3, "what is shown again has the fingerprint that it had; nothing shown is like an empty store"


def test_two_stores_have_two_names(tmp_path: Path) -> None:
    stores = set()
    for name in ("one", "two"):
        world = World(tmp_path / name)
        world.commit("holiday")
        stores.add(world.queries.state([]).store)
    assert len(stores) == 2
