"""Sequences of chance of whatever changes the store: after each, cached answers are those that the store gives now.

Asked are a server that keeps answers in memory, one that has a real Redis besides, and one that has that Redis alone.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pydantic import SecretStr

from bri_assets.errors import BriError
from bri_assets.search.model import SearchRequest
from bri_assets.serve.answers.cache import Answers
from bri_assets.serve.answers.questions import (
    ALL_COUNTS,
    AROUND,
    CAPTIONS,
    COUNTS,
    DETECTIONS,
    FACTS,
    FRAME,
    FRAMES,
    LIBRARY,
    OBJECTS,
    RESOLVE,
    SCENES,
    SEARCH,
    SEGMENTS,
    SEGMENTS_AT,
    FrameQuestion,
    ObjectsQuestion,
    Read,
)
from bri_assets.store.archives.archive import Archive
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.purge import Purge
from bri_assets.store.history import History
from bri_assets.store.memory import Memory, Turn
from bri_assets.store.queries.model import LibraryFilter, Moment, Range
from bri_assets_tests.redis_server import redis_server
from bri_assets_tests.unit.serve.caching import id_of, keeping

VIDEOS = ("one", "two", "three")

videos = st.sampled_from(VIDEOS)


def questions(video_id: str, cursors: list[str | None]) -> list[tuple[Read[Any, Any], list[Any]]]:
    """Everything that can be asked, about one video and about all."""
    whole, part = Range(video_id=video_id), Range(video_id=video_id, from_s=1.0, to_s=3.0, limit=1)
    pages = [Range(video_id=video_id, limit=2, cursor=cursor) for cursor in cursors]
    moment = Moment(video_id=video_id, at_s=2.5, within_s=1.0)
    return [
        (FACTS, [video_id]),
        (COUNTS, [video_id]),
        (ALL_COUNTS, [None]),
        (AROUND, [moment, Moment(video_id=video_id, at_s=0.0)]),
        (SEGMENTS_AT, [moment]),
        (FRAMES, [whole, part]),
        *((CAPTIONS, [page]) for page in pages),
        (SEGMENTS, [whole]),
        (DETECTIONS, [whole, part, Range(video_id=video_id, class_name="dog")]),
        (FRAME, [FrameQuestion(video_id=video_id, frame_index=1)]),
        (FRAME, [FrameQuestion(video_id=video_id, frame_index=1, version_id=1)]),
        (OBJECTS, [ObjectsQuestion(class_names=["dog"])]),
        (OBJECTS, [ObjectsQuestion(class_names=["dog", "horse"], video_ids=[video_id])]),
        (SCENES, [video_id]),
        (LIBRARY, [LibraryFilter()]),
        (LIBRARY, [LibraryFilter(state="deleted")]),
        (RESOLVE, [video_id]),
        (SEARCH, [SearchRequest(text="picture version", mode="keyword")]),
        (FACTS, [id_of(name) for name in VIDEOS]),
    ]


class CacheMachine(RuleBasedStateMachine):
    """A store that is changed, and servers that are asked after each change."""

    redis_url: ClassVar[str]

    @initialize()
    def begin(self) -> None:
        self.folder, self.stack = Path(tempfile.mkdtemp(prefix="bri-cache-")), ExitStack()
        self.kept = self.stack.enter_context(keeping(self.folder / "data"))
        url = SecretStr(self.redis_url)
        self.servers: list[Answers] = [
            self.kept.answers,
            self.kept.another(redis_url=url),
            self.kept.another(redis_url=url, cache_mb=0),
        ]
        self.committed: dict[str, int] = {}
        self.texts = self.looks = 0
        #: Cursors of pages that were begun, of whichever version was shown then.
        self.cursors: dict[str, list[str | None]] = {name: [None] for name in VIDEOS}
        for name in ("one", "one", "two"):
            self.commit(name, 4)

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            for server in self.servers:
                server.close()
            self.stack.close()
            shutil.rmtree(self.folder)

    def done(self, change: Any, *arguments: Any, **named: Any) -> Any:
        """Do something that the store may refuse, as it then stays as it is."""
        try:
            return change(*arguments, **named, channel="test")
        except BriError:
            return None

    @rule(video=videos, frames=st.integers(4, 6))
    def commit(self, video: str, frames: int) -> None:
        self.texts += 1
        try:
            version = self.kept.commit(video, f" of version {self.texts}", frames)
        except BriError:
            return
        self.committed[video] = version.version

    @rule(video=videos, version=st.integers(1, 3))
    def roll_back(self, video: str, version: int) -> None:
        self.done(self.kept.of(History).rollback, id_of(video), version)

    @rule(video=videos)
    def delete(self, video: str) -> None:
        self.done(self.kept.of(Deletion).delete, id_of(video))

    @rule(video=videos)
    def undelete(self, video: str) -> None:
        self.done(self.kept.of(Deletion).undelete, id_of(video))

    @rule(video=videos)
    def purge(self, video: str) -> None:
        self.done(self.kept.of(Purge).purge, id_of(video), reason="asked")

    @rule(version_id=st.integers(1, 8))
    def archive(self, version_id: int) -> None:
        self.done(self.kept.of(Archive).archive_version, version_id)

    @rule()
    def remember(self) -> None:
        """A change that no read shows."""
        self.done(self.kept.of(Memory).add, Turn(conversation_id="one", user="what?", assistant="that"))

    @rule(video=videos)
    def begin_a_page(self, video: str) -> None:
        """Whoever has a cursor goes on with it, whatever is done meanwhile."""
        try:
            page = self.kept.answers.ask(CAPTIONS, [Range(video_id=id_of(video), limit=2)]).value
        except BriError:
            return
        self.cursors[video] = [None, *self.cursors[video][1:][-2:], page.next_cursor]

    @invariant()
    def cached_answers_are_those_of_the_store(self) -> None:
        # One video a step, the next one after the next: some answers are old when they are asked for again.
        self.looks += 1
        video = VIDEOS[self.looks % 3]
        for read, asked in questions(id_of(video), self.cursors[video]):
            right = self.told(lambda read=read, asked=asked: self.kept.uncached(read, asked))
            for server in self.servers:
                found = self.told(lambda server=server, read=read, asked=asked: server.ask(read, asked).bodies)
                assert found == right, (read.name, asked)

    def told(self, ask: Any) -> Any:
        """The answers, or the error in its own words."""
        try:
            return ask()
        except BriError as error:
            return type(error).__name__, str(error)


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path / "redis") as server:
        yield server.url


def test_cached_and_uncached_answers_agree(redis_url: str) -> None:
    CacheMachine.redis_url = redis_url
    run_state_machine_as_test(
        CacheMachine,
        settings=settings(
            max_examples=3,
            stateful_step_count=10,
            deadline=None,
            # Seconds a step: a failure is told as it was found, not looked for in a shorter sequence.
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
            database=None,
            print_blob=True,
        ),
    )
