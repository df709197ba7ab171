"""The reads over the sample clip, ingested by the real job with real models; what is in it is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bri_assets.store import Queries
from bri_assets.store.queries.model import LibraryFilter, Moment, Range
from bri_assets_tests.clips import SAMPLE, make_clip
from bri_assets_tests.pipeline import Pipeline, pipeline


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory, light: dict[str, Any]) -> Iterator[Pipeline]:
    """A home in which the sample clip is committed, and a silent one."""
    home = tmp_path_factory.mktemp("tour")
    uploads = home / "uploads"
    uploads.mkdir()
    tour = uploads / "tour.mp4"
    tour.write_bytes(SAMPLE.read_bytes())
    with pipeline(home, **light) as made:
        for path in (tour, make_clip(uploads / "numbers.mp4", seconds=6)):
            assert made.run(made.accept(path).video_id).success
        yield made


@pytest.fixture
def queries(ingested: Pipeline) -> Queries:
    """The reads."""
    return Queries.of(ingested.settings)


@pytest.fixture
def tour(queries: Queries) -> str:
    """The id of the sample clip."""
    return queries.resolve(["tour.mp4"])["tour.mp4"]


def test_scenes_are_cut_where_the_pictures_change(queries: Queries, tour: str) -> None:
    (found,) = queries.scenes([tour])
    assert [(one.start_s, one.end_s) for one in found.scenes] == [
        (0.0, pytest.approx(8, abs=0.1)),
        (pytest.approx(8, abs=0.1), pytest.approx(16, abs=0.1)),
        (pytest.approx(16, abs=0.1), pytest.approx(24, abs=0.2)),
    ]
    for scene, seen in zip(found.scenes, ("person", "cat", "cup"), strict=True):
        assert scene.classes[seen] == scene.frames
        assert seen in scene.caption
        assert scene.start_s <= scene.evidence.timestamp_s < scene.end_s
    assert "leisure to consider" in found.scenes[0].words
    assert "3 scenes" in found.summary
    assert "cat 8.0–16.0 s" in found.summary
    assert "Spoken (en): “And Mr. John Dashwood" in found.summary


def test_scenes_of_any_clip_follow_one_another_from_its_start_to_its_end(queries: Queries) -> None:
    (found,) = queries.scenes([queries.resolve(["numbers.mp4"])["numbers.mp4"]])
    edges = [0.0, *(one.end_s for one in found.scenes)]
    assert [one.start_s for one in found.scenes] == edges[:-1]
    assert edges[-1] == found.duration_s == pytest.approx(6, abs=0.1)
    assert found.summary.endswith("Nothing is said: it has no sound.")


def test_objects_are_where_they_are(queries: Queries, tour: str) -> None:
    for name, start_s, end_s in (("person", 0, 8), ("cat", 8, 16), ("cup", 16, 24)):
        (found,) = queries.objects([name], min_confidence=0.4).items
        assert found.source.video_id == tour
        (interval,) = found.intervals
        assert (interval.start_s, interval.end_s) == (pytest.approx(start_s, abs=0.1), pytest.approx(end_s, abs=0.2))
        assert interval.start_s <= interval.best.timestamp_s < interval.end_s
    assert [one.source.video_id for one in queries.objects(["cup", "dining table"]).items] == [tour]
    assert queries.objects(["cat", "cup"]).items == []


def test_what_is_there_and_said_at_a_time(queries: Queries, tour: str, ingested: Pipeline) -> None:
    (found,) = queries.around([Moment(video_id=tour, at_s=12)])
    assert "cat" in found.nearest.objects
    assert abs(found.nearest.evidence.timestamp_s - 12) <= 1.1
    assert (ingested.settings.home / found.nearest.evidence.image_path).is_file()
    (said,) = queries.segments_at([Moment(video_id=tour, at_s=23.5)])
    assert said.segment is None
    assert said.before is not None
    assert said.before.text.endswith("was.")
    assert said.before.end_s < 23.5


def test_pages_of_the_real_rows_are_the_real_rows(queries: Queries, tour: str, ingested: Pipeline) -> None:
    (facts,) = queries.facts([tour])
    (frames,) = queries.frames([Range(video_id=tour, limit=500)])
    (segments,) = queries.segments([Range(video_id=tour)])
    stored = ingested.store.video(tour)
    assert [one.caption for one in frames.items] == [row["text"] for row in stored["captions"]]
    assert [one.text for one in segments.items] == [row["text"] for row in stored["transcripts"]]
    assert (facts.frames, facts.transcript_segments) == (len(frames.items), len(segments.items))
    assert facts.languages == ["en"]
    assert queries.counts([tour])[0].complete
    assert queries.library(LibraryFilter(text="Dashwood")).items[0].video_id == tour
