"""Every read and search that can be asked over HTTP and MCP: how the store is asked, and what its answer hangs on.

An answer may be given again for as long as what it hangs on is the same: the version of one video that is shown, those
of all videos, or everything that is. What does not belong here: keeping answers (``cache``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bri_assets.search.model import SearchAnswer, SearchRequest
from bri_assets.serve.answers.read import Read, Sources, always
from bri_assets.serve.answers.served import served
from bri_assets.store.queries.model import (
    Around,
    Caption,
    Counts,
    Detection,
    Frame,
    FrameAt,
    Library,
    LibraryFilter,
    Moment,
    ObjectsPage,
    Page,
    Range,
    Segment,
    SegmentAt,
    State,
    Timeline,
    VideoFacts,
)

__all__ = [
    "ALL_COUNTS",
    "AROUND",
    "CAPTIONS",
    "COUNTS",
    "DETECTIONS",
    "FACTS",
    "FRAME",
    "FRAMES",
    "LIBRARY",
    "OBJECTS",
    "READS",
    "RESOLVE",
    "SCENES",
    "SEARCH",
    "SEGMENTS",
    "SEGMENTS_AT",
    "FrameQuestion",
    "ObjectsQuestion",
    "Read",
    "Sources",
]


class FrameQuestion(BaseModel):
    """Which frame is wanted; without a version, of the one that is shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    video_id: str
    frame_index: int = Field(ge=0, le=2**31 - 1)
    version_id: int | None = Field(None, ge=1, le=2**63 - 1)


class ObjectsQuestion(BaseModel):
    """When objects are seen: of one class, or of several together in the same frames."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_names: list[str] = Field(
        min_length=1,
        max_length=10,
        description="One class, or several that must be seen in the same frame.",
        examples=[["person", "cat"]],
    )
    video_ids: list[str] | None = Field(
        None, min_length=1, max_length=100, description="Only in these videos; default: in all."
    )
    min_confidence: float = Field(0.0, ge=0, le=1, description="Least confidence of what counts, 0 to 1.")
    limit: int = Field(50, ge=1, le=200, description="Most videos on a page.")
    cursor: str | None = Field(None, max_length=2000, description="`next_cursor` of the page before.")


def _read(
    name: str,
    question: Any,
    answer: Any,
    ask: Callable[[Sources, list[Any]], Sequence[Any]],
    videos: Callable[[Any], list[str]],
    hangs_on: Callable[[Any, State], str | None],
    lasts: Callable[[Any], bool] = always,
) -> Read[Any, Any]:
    kind = served(answer)
    return Read(
        name=name,
        question=TypeAdapter(question),
        plain=TypeAdapter(answer),
        kind=kind,
        answer=TypeAdapter(kind),
        ask=ask,
        videos=videos,
        hangs_on=hangs_on,
        lasts=lasts,
    )


def _none(_question: Any) -> list[str]:
    return []


def _itself(question: str) -> list[str]:
    return [question]


def _of(question: Moment | Range | FrameQuestion) -> list[str]:
    return [question.video_id]


def _named(question: ObjectsQuestion) -> list[str]:
    return question.video_ids or []


def _everything(_question: Any, state: State) -> str:
    return f"event {state.event_id}"


def _library(_question: Any, state: State) -> str:
    return f"library {state.library}"


def _version(video_id: str, state: State) -> str | None:
    version_id = state.versions.get(video_id)
    return None if version_id is None else f"version {version_id}"


def _moment(question: Moment, state: State) -> str | None:
    return _version(question.video_id, state)


def _range(question: Range, state: State) -> str | None:
    # A cursor stays with its version, which need not be the one that is shown and may go to the archive.
    return _version(question.video_id, state) if question.cursor is None else _everything(question, state)


def _frame(question: FrameQuestion, state: State) -> str | None:
    shown = question.version_id in (None, state.versions.get(question.video_id))
    return _version(question.video_id, state) if shown else _everything(question, state)


def _objects(question: ObjectsQuestion, state: State) -> str | None:
    if question.cursor is not None:
        return _everything(question, state)
    if question.video_ids is None:
        return _library(question, state)
    versions = [_version(video_id, state) for video_id in question.video_ids]
    return None if None in versions else " ".join(map(str, versions))


def _objects_of(sources: Sources, questions: list[ObjectsQuestion]) -> list[ObjectsPage]:
    return [
        sources.queries.objects(
            one.class_names, one.video_ids, min_confidence=one.min_confidence, limit=one.limit, cursor=one.cursor
        )
        for one in questions
    ]


def _frames_of(sources: Sources, questions: list[FrameQuestion]) -> list[FrameAt]:
    return [sources.queries.frame(one.video_id, one.frame_index, one.version_id) for one in questions]


FACTS: Read[str, VideoFacts] = _read("facts", str, VideoFacts, lambda on, ids: on.queries.facts(ids), _itself, _version)
COUNTS: Read[str, Counts] = _read("counts", str, Counts, lambda on, ids: on.queries.counts(ids), _itself, _version)
#: The question is nothing; the answer has every video that is shown.
ALL_COUNTS: Read[None, list[Counts]] = _read(
    "all_counts", None, list[Counts], lambda on, asked: [on.queries.counts(None) for _ in asked], _none, _library
)
AROUND: Read[Moment, Around] = _read("around", Moment, Around, lambda on, at: on.queries.around(at), _of, _moment)
SEGMENTS_AT: Read[Moment, SegmentAt] = _read(
    "segments_at", Moment, SegmentAt, lambda on, at: on.queries.segments_at(at), _of, _moment
)
FRAMES: Read[Range, Page[Frame]] = _read(
    "frames", Range, Page[Frame], lambda on, ranges: on.queries.frames(ranges), _of, _range
)
CAPTIONS: Read[Range, Page[Caption]] = _read(
    "captions", Range, Page[Caption], lambda on, ranges: on.queries.captions(ranges), _of, _range
)
SEGMENTS: Read[Range, Page[Segment]] = _read(
    "segments", Range, Page[Segment], lambda on, ranges: on.queries.segments(ranges), _of, _range
)
DETECTIONS: Read[Range, Page[Detection]] = _read(
    "detections", Range, Page[Detection], lambda on, ranges: on.queries.detections(ranges), _of, _range
)
FRAME: Read[FrameQuestion, FrameAt] = _read("frame", FrameQuestion, FrameAt, _frames_of, _of, _frame)
OBJECTS: Read[ObjectsQuestion, ObjectsPage] = _read(
    "objects", ObjectsQuestion, ObjectsPage, _objects_of, _named, _objects
)
SCENES: Read[str, Timeline] = _read("scenes", str, Timeline, lambda on, ids: on.queries.scenes(ids), _itself, _version)
#: Uploads are in it that no version shows, so it hangs on everything.
LIBRARY: Read[LibraryFilter, Library] = _read(
    "library",
    LibraryFilter,
    Library,
    lambda on, asked: [on.queries.library(one) for one in asked],
    _none,
    _everything,
)
#: What a person says may be the name of an upload, so it hangs on everything.
RESOLVE: Read[str, str] = _read(
    "resolve",
    str,
    str,
    lambda on, names: [found[name] for found in (on.queries.resolve(names),) for name in names],
    _none,
    _everything,
)
#: An index that is behind catches up without any event, so only what a whole index answered is kept.
SEARCH: Read[SearchRequest, SearchAnswer] = _read(
    "search",
    SearchRequest,
    SearchAnswer,
    lambda on, asked: on.search.search(asked),
    _none,
    _library,
    lambda answer: answer.complete and answer.index.state == "current",
)

#: All of them by name.
READS: dict[str, Read[Any, Any]] = {
    read.name: read
    for read in (
        FACTS,
        COUNTS,
        ALL_COUNTS,
        AROUND,
        SEGMENTS_AT,
        FRAMES,
        CAPTIONS,
        SEGMENTS,
        DETECTIONS,
        FRAME,
        OBJECTS,
        SCENES,
        LIBRARY,
        RESOLVE,
        SEARCH,
    )
}
