"""Every read gives the same through a real owner's socket as it gives directly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bri_assets.errors import BriError, CursorWrong, FrameNotFound, RangeWrong, VideoNotFound
from bri_assets.settings import Settings
from bri_assets.store import Queries
from bri_assets.store.access.operations import OPERATIONS
from bri_assets.store.queries.model import FrameKey, LibraryFilter, Moment, Range
from bri_assets_tests.commands import Bri
from bri_assets_tests.unit.store.queries.test_facts import silent, with_a_gap
from bri_assets_tests.unit.store.queries.worlds import World, id_of

SECONDS = 60.0
ONE, TWO = id_of("one"), id_of("two")
HERE, LATER = Moment(video_id=ONE, at_s=1.5), Moment(video_id=TWO, at_s=7, within_s=0.25)
PAGE, WHOLE = Range(video_id=ONE, from_s=0.5, limit=1, class_name="dog"), Range(video_id=TWO)

#: Each read once, with arguments of every kind.
READS: dict[str, Callable[[Queries], object]] = {
    "resolve": lambda queries: queries.resolve(["one.mp4", TWO]),
    "state": lambda queries: queries.state([ONE, TWO]),
    "visible": lambda queries: queries.visible(),
    "versions_of": lambda queries: queries.versions_of([1, 2, 3]),
    "shown_versions": lambda queries: queries.shown_versions([ONE, TWO]),
    "facts": lambda queries: queries.facts([TWO, ONE]),
    "counts": lambda queries: queries.counts(),
    "around": lambda queries: queries.around([HERE, LATER]),
    "segments_at": lambda queries: queries.segments_at([HERE, LATER]),
    "frames": lambda queries: queries.frames([PAGE, WHOLE]),
    "captions": lambda queries: queries.captions([PAGE, WHOLE]),
    "segments": lambda queries: queries.segments([PAGE, WHOLE]),
    "detections": lambda queries: queries.detections([PAGE, WHOLE]),
    "frame": lambda queries: queries.frame(ONE, 2, version_id=1),
    "evidence": lambda queries: queries.evidence(
        [FrameKey(version_id=9, frame_index=0), FrameKey(version_id=2, frame_index=0)]
    ),
    "objects": lambda queries: queries.objects(["dog", "horse"], min_confidence=0.1, limit=1),
    "scenes": lambda queries: queries.scenes([ONE, TWO]),
    "library": lambda queries: queries.library(
        LibraryFilter(text="picture", limit=1, arrived_after=queries.facts([ONE])[0].created_at)
    ),
    "texts": lambda queries: queries.texts([1, 2]),
    "texts_like": lambda queries: queries.texts_like([2, 3], ["pict", "word"], 5),
}

ERRORS: dict[type[BriError], Callable[[Queries], object]] = {
    VideoNotFound: lambda queries: queries.facts(["nobody"]),
    RangeWrong: lambda queries: queries.frames([Range(video_id=ONE, from_s=99)]),
    CursorWrong: lambda queries: queries.captions([Range(video_id=ONE, cursor="x")]),
    FrameNotFound: lambda queries: queries.frame(ONE, 99),
}


@contextmanager
def owning(home: Path) -> Iterator[None]:
    """A real process owns the store of a home for the time of the block."""
    owner = Bri(home).start("serve", "--store-only")
    try:
        deadline = time.monotonic() + SECONDS
        while Queries.of(Settings(home=home)).file.owner() is None:
            assert owner.poll() is None, "the owner ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield
    finally:
        owner.terminate()
        said, _ = owner.communicate(timeout=SECONDS)
    assert owner.returncode == 0, said


def test_every_read_is_here() -> None:
    assert set(READS) == {name.split(".")[1] for name in OPERATIONS if name.startswith("Queries.")}


def test_every_read_and_every_error_arrive_as_they_left(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.commit("one", change=with_a_gap)
    world.commit("two", change=silent)
    world.recommit("one")
    queries = Queries.of(Settings(home=tmp_path))
    direct = {name: read(queries) for name, read in READS.items()}
    with owning(tmp_path):
        assert queries.file.owner() is not None
        for name, read in READS.items():
            found = read(queries)
            assert found == direct[name], name
            assert type(found) is type(direct[name])
        for kind, ask in ERRORS.items():
            with pytest.raises(kind):
                ask(queries)
