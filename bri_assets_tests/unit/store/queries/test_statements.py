"""However long a list is, a read costs the same few statements: no caller has a reason to ask one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bri_assets.store import Queries
from bri_assets.store.access.operations import OPERATIONS
from bri_assets.store.queries.model import FrameKey, LibraryFilter, Moment, Range
from bri_assets_tests.unit.store.queries.worlds import CountedFile, World

#: Every read, asked about some videos and their versions, and the most statements that it may cost.
READS: dict[str, tuple[Callable[[Queries, list[str], list[int]], object], int]] = {
    "resolve": (lambda queries, videos, _: queries.resolve(videos), 1),
    "state": (lambda queries, videos, _: queries.state(videos), 1),
    "visible": (lambda queries, _videos, _versions: queries.visible(), 1),
    "versions_of": (lambda queries, _, versions: queries.versions_of(versions), 1),
    "shown_versions": (lambda queries, videos, _: queries.shown_versions(videos), 1),
    "facts": (lambda queries, videos, _: queries.facts(videos), 3),
    "counts": (lambda queries, videos, _: queries.counts(videos), 1),
    "around": (lambda queries, videos, _: queries.around([Moment(video_id=one, at_s=1) for one in videos]), 7),
    "segments_at": (
        lambda queries, videos, _: queries.segments_at([Moment(video_id=one, at_s=1) for one in videos]),
        3,
    ),
    "frames": (lambda queries, videos, _: second_pages(queries.frames, videos), 5),
    "captions": (lambda queries, videos, _: second_pages(queries.captions, videos), 4),
    "segments": (lambda queries, videos, _: second_pages(queries.segments, videos), 4),
    "detections": (lambda queries, videos, _: second_pages(queries.detections, videos), 5),
    "frame": (lambda queries, videos, _: queries.frame(videos[0], 0), 4),
    "evidence": (
        lambda queries, _, versions: queries.evidence([FrameKey(version_id=one, frame_index=0) for one in versions]),
        2,
    ),
    "objects": (lambda queries, videos, _: queries.objects(["dog", "horse"], videos), 3),
    "scenes": (lambda queries, videos, _: queries.scenes(videos), 7),
    "library": (lambda queries, _videos, _versions: queries.library(LibraryFilter(text="picture")), 2),
    "texts_like": (lambda queries, _, versions: queries.texts_like(versions, ["pic", "wor"], 5), 4),
    "texts": (lambda queries, _, versions: queries.texts(versions), 3),
}


def second_pages(read: Callable[[list[Range]], list[object]], videos: list[str]) -> None:
    """The second page of each, which knows its version from its cursor; statements of the first do not count."""
    counted: CountedFile = read.__self__.file  # type: ignore[attr-defined]
    first = read([Range(video_id=one, limit=1) for one in videos])
    counted.statements.clear()
    cursors = [page.next_cursor for page in first]  # type: ignore[attr-defined]
    read([Range(video_id=one, limit=2, cursor=cursor) for one, cursor in zip(videos, cursors, strict=True)])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with 20 videos."""
    home = tmp_path_factory.mktemp("statements")
    for number in range(20):
        World(home).commit(f"video-{number}")
    return home


def test_every_read_is_counted() -> None:
    assert set(READS) == {name.split(".")[1] for name in OPERATIONS if name.startswith("Queries.")}


@pytest.mark.parametrize("name", sorted(READS))
def test_twenty_videos_cost_as_many_statements_as_one(home: Path, name: str) -> None:
    read, most = READS[name]
    visible = World(home).queries.visible()
    costs = {}
    for number in (1, 20):
        counted = CountedFile(home)
        read(counted.queries, [one.video_id for one in visible[:number]], [one.version_id for one in visible[:number]])
        costs[number] = len(counted.statements)
    assert costs[1] == costs[20] == most
