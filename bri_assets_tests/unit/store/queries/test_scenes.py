"""Scenes of a video and the video in short, of invented rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bri_assets.store.quality import CHANGED_BITS
from bri_assets.store.queries import scenes as module
from bri_assets_tests.bundles import Rows
from bri_assets_tests.unit.store.queries.test_facts import silent, with_a_gap
from bri_assets_tests.unit.store.queries.worlds import World, see


def looking(hashes: Sequence[int]) -> Callable[[Rows], None]:
    """Frames with these perceptual hashes."""

    def change(tables: Rows) -> None:
        for row, value in zip(tables["frames"], hashes, strict=True):
            row["phash"] = f"{value:016x}"

    return change


def bits(number: int) -> int:
    """A hash with so many bits."""
    return (1 << number) - 1


def test_a_scene_begins_where_the_picture_changes(tmp_path: Path) -> None:
    world, far = World(tmp_path), bits(64)
    video = world.commit("holiday", frames=6, change=looking([0, bits(3), far, far, far ^ bits(CHANGED_BITS), 0]))
    (found,) = world.queries.scenes([video])
    assert (found.source.video_id, found.source.version, found.duration_s, found.cut) == (video, 1, 12.0, False)
    assert [(one.scene_index, one.start_s, one.end_s, one.frames) for one in found.scenes] == [
        (0, 0.0, 4.0, 2),
        (1, 4.0, 10.0, 3),
        (2, 10.0, 12.0, 1),
    ]
    assert [one.evidence.frame_index for one in found.scenes] == [0, 3, 5], "the frame in the middle stands for it"
    assert [one.caption for one in found.scenes] == ["a picture 0", "a picture 3", "a picture 5"]
    assert found.scenes[1].evidence == world.queries.frame(video, 3).frame.evidence


@pytest.mark.parametrize(("changed", "scenes"), [(0, 1), (CHANGED_BITS, 1), (CHANGED_BITS + 1, 2), (64, 2)])
def test_the_picture_changed_where_more_bits_differ_than_the_threshold(
    tmp_path: Path, changed: int, scenes: int
) -> None:
    world = World(tmp_path)
    video = world.commit("holiday", change=looking([0, 0, bits(changed), bits(changed)]))
    assert len(world.queries.scenes([video])[0].scenes) == scenes


def test_a_scene_says_what_is_seen_and_said_in_it(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        looking([0, 0, bits(64), bits(64)])(tables)
        see(tables, {0: [("cat", 0.9), ("cat", 0.8)], 1: [("dog", 0.9), ("cat", 0.5)], 3: [("dog", 0.7)]})
        tables["transcripts"][2] |= {"start_s": 3.0, "end_s": 5.0, "text": " across the cut "}

    (found,) = world.queries.scenes([world.commit("holiday", change=change)])
    first, second = found.scenes
    assert first.classes == {"cat": 2, "dog": 1}
    assert list(first.classes) == ["cat", "dog"]
    assert second.classes == {"dog": 1}
    assert (first.words, second.words) == ("words 0 words 1", "across the cut"), "each segment is in one scene only"


def test_a_first_scene_begins_with_the_video_and_gaps_cut_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        with_a_gap(tables)
        tables["source_video"][0]["first_frame_s"] = 1.0
        tables["frames"][0]["timestamp_s"] = 1.0

    (found,) = world.queries.scenes([world.commit("holiday", change=change)])
    assert [(one.start_s, one.end_s, one.frames) for one in found.scenes] == [(0.0, 8.0, 3)]


def test_of_too_many_scenes_the_first_are_given(tmp_path: Path) -> None:
    world, frames = World(tmp_path), module.MOST + 5
    video = world.commit("holiday", frames=frames, change=looking([bits(64) * (i % 2) for i in range(frames)]))
    (found,) = world.queries.scenes([video])
    assert (len(found.scenes), found.cut) == (module.MOST, True)
    assert found.scenes[-1].end_s == 2.0 * module.MOST
    assert f"{frames} scenes" in found.summary


def test_long_speech_is_cut_short(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        for row in tables["transcripts"]:
            row["text"] = "word " * 100

    (found,) = world.queries.scenes([world.commit("holiday", change=change)])
    assert len(found.scenes[0].words) == 500
    assert len(found.summary.splitlines()[-1]) < 250
    assert found.summary.endswith("word …”")


def test_a_summary_is_made_of_facts(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        looking([0, 0, bits(64), bits(64)])(tables)
        see(tables, {0: [("cat", 0.9)], 1: [("dog", 0.9), ("cat", 0.5)], 3: [("dog", 0.7)]})

    (found,) = world.queries.scenes([world.commit("holiday", change=change)])
    assert found.summary.splitlines() == [
        "holiday.mp4 is 8.0 s long, 64x48 pixels, with sound; 4 frames sampled every 2 s, 2 scenes.",
        "Seen: cat 0.0–4.0 s; dog 2.0–8.0 s.",
        "Spoken (en): “words 0 words 1 words 2”",
    ]


def test_a_summary_names_what_comes_most_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        rare = [(f"class {number}", 0.5) for number in range(7)]
        see(tables, {index: [("dog", 0.9), *(rare if index == 0 else [])] for index in range(0, 15, 3)})

    (found,) = world.queries.scenes([world.commit("holiday", frames=15, change=change)])
    seen = found.summary.splitlines()[1]
    assert seen.startswith(
        "Seen: dog 0.0–2.0 s, 6.0–8.0 s, 12.0–14.0 s and 2 more times up to 26.0 s; class 0 0.0–2.0 s;"
    )
    assert seen.endswith("; class 4 0.0–2.0 s; and 2 other classes.")


def test_a_summary_of_a_video_without_sound_and_of_one_without_words(tmp_path: Path) -> None:
    world = World(tmp_path)

    def mute(tables: Rows) -> None:
        silent(tables)
        tables["detections"] = []

    def wordless(tables: Rows) -> None:
        tables["transcripts"] = []

    found = world.queries.scenes([world.commit("mute", change=mute), world.commit("wordless", change=wordless)])
    assert found[0].summary.splitlines()[1:] == [
        "The detector sees no objects in it.",
        "Nothing is said: it has no sound.",
    ]
    assert found[1].summary.splitlines()[-1] == "Nothing is said in it."
    assert found[0].scenes[0].words == found[1].scenes[0].words == ""
    assert found[0].scenes[0].classes == {}


def test_a_batch_answers_in_its_order(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second = world.commit("one"), world.commit("two", frames=6)
    found = world.queries.scenes([second, first, second])
    assert [(one.source.video_id, one.duration_s) for one in found] == [(second, 12.0), (first, 8.0), (second, 12.0)]
    assert world.queries.scenes([]) == []
