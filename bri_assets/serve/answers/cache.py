"""Answers that were given before, and are given again for as long as they are true: in this process, then in a Redis.

**Why an answer is never of before a commit.** It is kept under what it hangs on (``questions``): numbers of versions,
whose rows never change, a fingerprint of all of them, or the number of the newest event. So a commit, rollback, delete
or purge does not make an answer untrue; it makes it one that nobody asks for.

**Why it is kept under the right key.** The state of the store is read before the answer is made and again after; it is
kept only where both name the same newest event. Whatever changes writes its event in the same transaction, and events
are numbered by a sequence that only grows: equal numbers at both ends mean that nothing was committed in between, not
even something that was taken back (A, B, A writes two events). So what was read in between is of that state.

In the process that owns the store, the state is remembered for as long as the database's ``generation`` stands still,
which rises with each write before the writer hears that it is done: an answer from memory asks the database for
nothing. Nor does keeping one, where the database's ``moment`` was the same before and after: then no write was even
begun in between. (The generation alone would not do: a read may see a write before that number rises.)

What does not belong here: what is asked (``questions``) and how Redis is spoken to (``shared``).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from typing import Any, Generic, Literal, TypeVar

from cachetools import TTLCache

from bri_assets import telemetry
from bri_assets.serve.answers.questions import Read, Sources
from bri_assets.serve.answers.shared import Shared
from bri_assets.serve.answers.states import Clock, States
from bri_assets.settings import Settings
from bri_assets.store.queries.model import State

__all__ = ["Answered", "Answers", "Level"]

Q = TypeVar("Q")
A = TypeVar("A")

#: Where an answer came from; of several, the one that cost most.
Level = Literal["process", "redis", "store"]

#: What an answer in memory costs besides its bytes, about.
_OVERHEAD = 600

#: A larger answer is not kept.
_LARGEST = 4_000_000

#: Answers of different packages never mix.
_PACKAGE = version("bri-assets")


@dataclass(frozen=True)
class Answered(Generic[A]):
    """Answers, one for each question in its order.

    Args:
        read: what was asked.
        bodies: the answers as JSON.
        level: where they came from.
    """

    read: Read[Any, A]
    bodies: tuple[bytes, ...]
    level: Level

    @property
    def values(self) -> list[A]:
        """The answers as objects: of the store's types, with ``image_url`` beside each image's path."""
        return [self.read.answer.validate_json(body) for body in self.bodies]

    @property
    def value(self) -> A:
        """The only answer."""
        (found,) = self.values
        return found

    @property
    def one(self) -> bytes:
        """The only answer, as JSON."""
        (body,) = self.bodies
        return body

    @cached_property
    def all(self) -> bytes:
        """A JSON array of the answers."""
        return b"[" + b",".join(self.bodies) + b"]"


@dataclass(frozen=True)
class _Fetched:
    """What was not in memory, by key.

    Args:
        bodies: the answers; where it is not settled, only those that are of the same moment.
        level: from where.
        settled: whether they are of the state that their keys name.
    """

    bodies: Mapping[str, bytes]
    level: Level
    settled: bool


class Answers:
    """The way of every read and search of the API and of MCP; one object a process, safe for threads.

    Args:
        sources: whom to ask what is not known.
        states: what readers are shown.
        shared: the Redis, if there is one.
        most_bytes: most memory for answers, 0 for none.
        ttl_s: how long an answer is kept in memory, in seconds; one that came from Redis may be twice as old.
        model: of the search; answers of different models never mix.
    """

    def __init__(
        self, sources: Sources, states: States, shared: Shared | None, *, most_bytes: int, ttl_s: float, model: str
    ) -> None:
        self._sources, self._states, self._shared = sources, states, shared
        self._near: TTLCache[str, bytes] = TTLCache(most_bytes, ttl_s, getsizeof=_size)
        self._model = model
        self._lock = threading.Lock()
        self._flights: dict[tuple[str, ...], Future[_Fetched | None]] = {}

    @classmethod
    def of(cls, settings: Settings, sources: Sources, clock: Clock | None = None) -> Answers:
        """The answers of a process, by its settings; its Redis is not asked yet.

        Args:
            settings: of the process.
            sources: whom to ask what is not known.
            clock: of the database, in the process that owns it; else None.
        """
        return cls(
            sources,
            States(sources.queries, clock),
            Shared.of(settings),
            most_bytes=int(settings.cache_mb * 1_000_000),
            ttl_s=settings.cache_ttl_s,
            model=settings.embedder_model,
        )

    @property
    def redis(self) -> str | None:
        """State of the breaker before Redis (``Shared.state``); None where there is no Redis."""
        return None if self._shared is None else self._shared.state

    def ready(self, read: Read[Q, A], questions: Sequence[Q]) -> Answered[A] | None:
        """The answers where all of them are in memory and known to be true; never waits for anything."""
        state = self._states.known(_videos(read, questions))
        if state is None:
            return None
        keys = [self._key(read, question, state) for question in questions]
        found = self._in_memory(keys)
        if not all(key in found for key in keys):
            return None
        telemetry.read_from("process")
        return Answered(read, tuple(found[key] for key in keys if key is not None), "process")

    def ask(self, read: Read[Q, A], questions: Sequence[Q]) -> Answered[A]:
        """The answers, from wherever they are to be had; all of one moment.

        Raises:
            BriError: as the store's read or the search.
        """
        found = self.ready(read, questions)
        if found is None:
            found = self._ask(read, questions)
            telemetry.read_from(found.level)
        return found

    def forget(self, video_id: str) -> None:
        """Drop whatever may tell of a video: it was deleted or purged, and its content shall not outlive it here."""
        scopes = (_scope([video_id]), _scope([]))
        with self._lock:
            for key in [key for key in self._near if any(scope in key for scope in scopes)]:
                del self._near[key]
        if self._shared is not None:
            self._shared.forget(*(f"bri:*{scope}*" for scope in scopes))

    def forget_hidden(self) -> None:
        """Drop what is in memory of videos that are not shown any more; for whoever follows changes of the store.

        Raises:
            BriError: as ``Queries.state``.
        """
        with self._lock:
            self._near.expire()
            held = {video_id for key in self._near if (video_id := _video_of(key))}
        for video_id in held - self._states.now(sorted(held)).versions.keys():
            self.forget(video_id)

    def close(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            self._shared.close()

    def _ask(self, read: Read[Q, A], questions: Sequence[Q]) -> Answered[A]:
        moment = self._states.moment
        state = self._states.settled(_videos(read, questions), moment)
        keyed = {self._key(read, question, state): question for question in questions}
        if None in keyed:
            return self._from_store(read, questions)
        asked = {key: question for key, question in keyed.items() if key is not None}
        found = self._in_memory(list(asked))
        missing = {key: question for key, question in asked.items() if key not in found}
        fetched = self._together(read, missing, state, moment) if missing else _Fetched({}, "process", settled=True)
        if not fetched.settled and len(fetched.bodies) < len(asked):
            # The rest was kept at a moment before: all of it once more, so that all of it is of one.
            return self._from_store(read, questions)
        bodies = {**found, **fetched.bodies}
        return Answered(read, tuple(bodies[str(self._key(read, one, state))] for one in questions), fetched.level)

    def _from_store(self, read: Read[Q, A], questions: Sequence[Q]) -> Answered[A]:
        made = read.ask(self._sources, list(questions))
        return Answered(read, tuple(map(read.written, made)), "store")

    def _together(self, read: Read[Q, A], missing: Mapping[str, Q], state: State, moment: int | None) -> _Fetched:
        """Fetch answers; of those who ask the same at once, one does."""
        flight = tuple(missing)
        with self._lock:
            others = self._flights.get(flight)
            if others is None:
                own = self._flights[flight] = Future()
        if others is not None:
            theirs = others.result()
            # What is not settled may be of a moment before this question was asked, and is not for it.
            return theirs if theirs is not None and theirs.settled else self._fetch(read, missing, state, moment)
        fetched = None
        try:
            fetched = self._fetch(read, missing, state, moment)
        finally:
            with self._lock:
                del self._flights[flight]
            own.set_result(fetched)
        return fetched

    def _fetch(self, read: Read[Q, A], missing: Mapping[str, Q], state: State, moment: int | None) -> _Fetched:
        shared = self._shared.many(list(missing)) if self._shared is not None else {}
        self._remember(shared)
        rest = {key: question for key, question in missing.items() if key not in shared}
        if not rest:
            return _Fetched(shared, "redis", settled=True)
        made = dict(zip(rest, read.ask(self._sources, list(rest.values())), strict=True))
        bodies = {key: read.written(answer) for key, answer in made.items()}
        if not self._still(state, moment):
            return _Fetched(bodies, "store", settled=False)
        lasting = {key: body for key, body in bodies.items() if read.lasts(made[key]) and len(body) <= _LARGEST}
        self._remember(lasting)
        if self._shared is not None and lasting:
            self._shared.keep(lasting)
        return _Fetched({**shared, **bodies}, "store", settled=True)

    def _still(self, state: State, moment: int | None) -> bool:
        """Whether nothing was committed since the state was read, at that moment."""
        if moment is not None and self._states.moment == moment:
            return True
        after = self._states.now([])
        return (after.event_id, after.store) == (state.event_id, state.store)

    def _remember(self, answers: Mapping[str, bytes]) -> None:
        with self._lock:
            for key, body in answers.items():
                if _size(body) <= self._near.maxsize:
                    self._near[key] = body

    def _in_memory(self, keys: Sequence[str | None]) -> dict[str, bytes]:
        with self._lock:
            found = {key: self._near.get(key) for key in keys if key is not None}
        return {key: body for key, body in found.items() if body is not None}

    def _key(self, read: Read[Q, A], question: Q, state: State) -> str | None:
        hangs_on = read.hangs_on(question, state)
        if hangs_on is None:
            return None
        # Not as JSON, which has one word for what is not given and for what is infinite.
        said = (read.name, hangs_on, self._model, repr(read.question.dump_python(question)))
        videos = [video_id for video_id in read.videos(question) if video_id in state.versions]
        return f"bri:{_PACKAGE}:{state.store}{_scope(videos)}{sha256(chr(0).join(said).encode()).hexdigest()}"


def _scope(videos: Sequence[str]) -> str:
    """The part of a key by which answers of one video are found, and those that may tell of any."""
    return f":video:{videos[0]}:" if len(videos) == 1 else ":all:"


def _video_of(key: str) -> str | None:
    scope, name, _ = key.rsplit(":", 2)
    return name if scope.endswith(":video") else None


def _videos(read: Read[Q, A], questions: Sequence[Q]) -> list[str]:
    return [video_id for question in questions for video_id in read.videos(question)]


def _size(body: bytes) -> int:
    return len(body) + _OVERHEAD
