"""Facts and counts of videos."""

from __future__ import annotations

from pathlib import Path

from bri_assets.store.queries.model import ClassSeen
from bri_assets_tests.bundles import Rows
from bri_assets_tests.unit.store.queries.worlds import World, see


def silent(tables: Rows) -> None:
    tables["source_video"][0] |= {"has_audio": False, "audio_codec": None}
    tables["transcripts"] = []


def with_a_gap(tables: Rows) -> None:
    """Slot 1 holds no frame."""
    for name in ("frames", "captions", "detections"):
        tables[name] = [row for row in tables[name] if row["frame_index"] != 1]


def test_facts_are_those_of_the_file_and_of_the_version(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        see(tables, {0: [("dog", 0.9)], 2: [("dog", 0.5), ("dog", 0.8), ("cat", 0.3)], 3: [("ant", 0.7)]})
        tables["transcripts"][2]["language"] = "de"

    video = world.commit("holiday", change=change)
    (found,) = world.queries.facts([video])
    assert found.source.model_dump() == {
        "video_id": video,
        "filename": "holiday.mp4",
        "version": 1,
        "version_id": 1,
    }
    said = found.model_dump(exclude={"source", "committed_at", "created_at", "sha256", "classes"})
    assert said == {
        "duration_s": 8.0,
        "fps": 25.0,
        "width": 64,
        "height": 48,
        "has_audio": True,
        "size_bytes": 1000,
        "sample_interval_s": 2.0,
        "sample_slots": 4,
        "empty_slots": [],
        "frames": 4,
        "captions": 4,
        "transcript_segments": 3,
        "detections": 5,
        "transcript_outcome": "transcribed",
        "languages": ["en", "de"],
    }
    assert video.endswith(found.sha256[:12])
    assert found.committed_at >= found.created_at
    assert found.created_at.utcoffset() is not None
    assert found.classes == [
        ClassSeen(class_name="dog", frames=2, detections=3, first_s=0.0, last_s=4.0),
        ClassSeen(class_name="ant", frames=1, detections=1, first_s=6.0, last_s=6.0),
        ClassSeen(class_name="cat", frames=1, detections=1, first_s=4.0, last_s=4.0),
    ]


def test_facts_of_a_video_in_which_nothing_is_seen_or_said(tmp_path: Path) -> None:
    world = World(tmp_path)

    def change(tables: Rows) -> None:
        silent(tables)
        with_a_gap(tables)
        see(tables, {})

    (found,) = world.queries.facts([world.commit("holiday", change=change)])
    assert (found.classes, found.languages, found.transcript_outcome) == ([], [], "no_audio")
    assert (found.frames, found.sample_slots, found.empty_slots) == (3, 4, [1])


def test_answers_come_in_the_order_of_the_list_and_as_often(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second = world.commit("one"), world.commit("two")
    asked = [second, first, second]
    assert [found.source.video_id for found in world.queries.facts(asked)] == asked
    assert [found.source.video_id for found in world.queries.counts(asked)] == asked
    assert world.queries.facts([]) == world.queries.counts([]) == []


def test_counts_of_every_video_newest_commit_first(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second = world.commit("one", change=silent), world.commit("two", change=with_a_gap)
    newest, oldest = world.queries.counts()
    assert [newest.source.video_id, oldest.source.video_id] == [second, first]
    assert newest.model_dump(exclude={"source"}) == {
        "frames": 3,
        "captions": 3,
        "transcript_segments": 3,
        "detections": 6,
        "transcript_outcome": "transcribed",
        "complete": True,
    }
    assert (oldest.transcript_segments, oldest.transcript_outcome, oldest.complete) == (0, "no_audio", True)
    world.recommit("one")
    assert [found.source.video_id for found in world.queries.counts()] == [first, second]


def test_a_version_that_lost_a_caption_is_not_complete(tmp_path: Path) -> None:
    world = World(tmp_path)
    video = world.commit("holiday")
    with world.queries.writing() as connection:
        connection.execute("UPDATE video_versions SET captions = 3")
    assert not world.queries.counts([video])[0].complete
