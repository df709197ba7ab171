"""Clients of the server as agents are: what they ask, how often, and how long each answer took.

Every client asks, waits for the answer, thinks for a moment, and asks again. What does not belong here: the server, the
pipeline beside it, and what the times are held against (``load``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from bri_assets.store.queries.model import VisibleVersion

__all__ = ["KINDS", "Asked", "Kind", "Run", "ask_for"]

_LAST_S = 170.0
_CLASSES = ("person", "bicycle", "car", "dog", "horse", "bottle", "chair", "laptop", "book", "clock")
_WORDS = [
    "small",
    "large",
    "red",
    "green",
    "quiet",
    "old",
    "open",
    "wooden",
    "street",
    "table",
    "window",
    "river",
    "garden",
    "picture",
    "lamp",
    "bridge",
]
_THINGS = ("a lamp beside the river", "people who walk over a bridge", "an old wooden table", "water in the morning")


@dataclass(frozen=True)
class Asked:
    """One request: method, path, query or body."""

    path: str
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of question.

    Args:
        name: of it.
        share: how often it is asked, beside the others' shares.
        make: one of its questions, about a video.
    """

    name: str
    share: float
    make: Callable[[random.Random, VisibleVersion], Asked]


def _at(chance: random.Random) -> float:
    return round(chance.uniform(0, _LAST_S), 1)


def _rows(table: str) -> Callable[[random.Random, VisibleVersion], Asked]:
    def make(chance: random.Random, video: VisibleVersion) -> Asked:
        start = _at(chance)
        return Asked(f"/v1/videos/{video.video_id}/{table}", {"from_s": start, "to_s": start + 20})

    return make


def _search(mode: str, *, inside: bool = False) -> Callable[[random.Random, VisibleVersion], Asked]:
    def make(chance: random.Random, video: VisibleVersion) -> Asked:
        words = chance.choice(_THINGS) if mode == "semantic" else " ".join(chance.sample(_WORDS, 2))
        # A number makes every question one that nobody asked before.
        text = f"{words} {chance.randrange(10_000)}" if mode != "keyword" else words
        where = {"video_ids": [video.video_id]} if inside else {}
        return Asked("/v1/search", {"text": text, "mode": mode, **where})

    return make


def _turn(chance: random.Random, video: VisibleVersion) -> Asked:
    said = {"user": "When is the dog on screen?", "assistant": "From 0:12 to 0:31.5.", "video_id": video.video_id}
    return Asked(f"/v1/conversations/load-{chance.randrange(200)}/turns", body=said)


#: What agents ask: mostly about a time or a word of one video, sometimes across all.
KINDS = (
    Kind("around a time", 18, lambda c, v: Asked(f"/v1/videos/{v.video_id}/around", {"at_s": _at(c)})),
    Kind("segment at a time", 6, lambda c, v: Asked(f"/v1/videos/{v.video_id}/segment", {"at_s": _at(c)})),
    Kind("facts", 6, lambda _, v: Asked(f"/v1/videos/{v.video_id}")),
    Kind("timeline", 5, lambda _, v: Asked(f"/v1/videos/{v.video_id}/timeline")),
    Kind("frames of 20 s", 4, _rows("frames")),
    Kind("captions of 20 s", 4, _rows("captions")),
    Kind("segments of 20 s", 4, _rows("segments")),
    Kind("detections of 20 s", 4, _rows("detections")),
    Kind("frame", 3, lambda c, v: Asked(f"/v1/videos/{v.video_id}/frames/{c.randrange(100)}")),
    Kind(
        "objects of a class",
        8,
        lambda c, v: Asked(f"/v1/videos/{v.video_id}/objects", {"class_name": c.choice(_CLASSES)}),
    ),
    Kind(
        "objects together",
        3,
        lambda c, v: Asked(f"/v1/videos/{v.video_id}/objects", {"class_name": c.sample(_CLASSES, 2)}),
    ),
    Kind("objects everywhere", 3, lambda c, _: Asked("/v1/objects", {"class_name": c.choice(_CLASSES), "limit": 20})),
    Kind("library", 3, lambda _, __: Asked("/v1/videos")),
    Kind("library with a class", 2, lambda c, _: Asked("/v1/videos", {"class_name": c.choice(_CLASSES)})),
    Kind("search by words, all videos", 6, _search("keyword")),
    Kind("search by meaning, all videos", 6, _search("semantic")),
    Kind("search by both, all videos", 6, _search("hybrid")),
    Kind("search by both, one video", 5, _search("hybrid", inside=True)),
    Kind("remember a turn", 3, _turn),
    Kind("recall", 3, lambda c, _: Asked(f"/v1/conversations/load-{c.randrange(200)}/messages")),
)


@dataclass
class Run:
    """What came of a run.

    Args:
        taken: seconds of each answer, by kind.
        errors: what went wrong, by what was said.
        retried: requests that were sent again since the connection broke; an agent's HTTP client does that.
        answered_from: how often each level of the cache answered.
    """

    taken: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    retried: int = 0
    answered_from: dict[str, int] = field(default_factory=dict)


def ask_for(url: str, videos: list[VisibleVersion], *, seconds: float, clients: int, think_s: float, seed: int) -> Run:
    """Have clients ask for a time.

    Args:
        url: of the server.
        videos: that are asked about.
        seconds: how long, > 0.
        clients: how many at once.
        think_s: mean time between an answer and the next question, exponential; 0: none.
        seed: chooses the questions.
    """
    return asyncio.run(_all(url, videos, seconds, clients, think_s, seed))


async def _all(url: str, videos: list[VisibleVersion], seconds: float, clients: int, think_s: float, seed: int) -> Run:
    run, until = Run(), time.monotonic() + seconds
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as http, asyncio.TaskGroup() as group:
        for number in range(clients):
            chance = random.Random(f"{seed}-{number}")  # noqa: S311 - no secret
            group.create_task(_client(http, run, videos, chance, until, think_s))
    return run


async def _client(
    http: httpx.AsyncClient,
    run: Run,
    videos: list[VisibleVersion],
    chance: random.Random,
    until: float,
    think_s: float,
) -> None:
    shares = [kind.share for kind in KINDS]
    while time.monotonic() < until:
        if think_s:
            await asyncio.sleep(chance.expovariate(1 / think_s))
        [kind] = chance.choices(KINDS, shares)
        asked = kind.make(chance, chance.choice(videos))
        started = time.perf_counter()
        answer = await _sent(http, run, asked)
        run.taken.setdefault(kind.name, []).append(time.perf_counter() - started)
        if not answer.is_success:
            said = f"{kind.name}: {answer.status_code} {answer.text[:200]}"
            run.errors[said] = run.errors.get(said, 0) + 1
        level = answer.headers.get("x-cache", "none")
        run.answered_from[level] = run.answered_from.get(level, 0) + 1


async def _sent(http: httpx.AsyncClient, run: Run, asked: Asked) -> httpx.Response:
    while True:
        try:
            if asked.body is not None:
                return await http.post(asked.path, json=asked.body)
            return await http.get(asked.path, params=asked.query)
        except httpx.TransportError:
            # A turn without an id of its own that is sent twice is kept twice: here nobody minds.
            run.retried += 1
            await asyncio.sleep(0.05)
