"""Tools that find times: objects by class, and captions and speech by words and by meaning.

Docstrings of tools are what an agent reads. What does not belong here: reading what is at a time (``looking``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from bri_assets.search.model import Kind, Mode, SearchAnswer, SearchHit, SearchRequest
from bri_assets.serve.answers.questions import OBJECTS, SEARCH, ObjectsQuestion
from bri_assets.serve.mcp.arguments import Cursor, VideoNames
from bri_assets.serve.mcp.desk import Desk, answer, head, images_of, listed
from bri_assets.serve.mcp.model import Hit, Objects, ObjectsShown, Searched, Searches
from bri_assets.serve.mcp.reading import evidence
from bri_assets.serve.mcp.rows import IntervalShown, Shows
from bri_assets.serve.mcp.text import clipped, lines, number, span, taken
from bri_assets.store.queries.model import ObjectsInVideo

__all__ = ["FindingTools"]

_MOST_CLASSES, _MOST_VIDEOS, _MOST_TEXTS = 10, 100, 5

ClassName = Annotated[str, Field(min_length=1, max_length=100)]
Text = Annotated[str, Field(min_length=1, max_length=500)]


class FindingTools:
    """The tools, at a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def find_objects(
        self,
        class_name: Annotated[
            ClassName | list[ClassName],
            Field(description="A class of the detector, as `dog`; or several that must be in the same frame."),
        ],
        video: Annotated[VideoNames | None, Field(description="Only in these videos; default: in all.")] = None,
        min_confidence: Annotated[float, Field(ge=0, le=1, description="Least confidence of what counts.")] = 0.0,
        from_s: Annotated[float, Field(ge=0, description="Only what ends after this time, in seconds.")] = 0.0,
        to_s: Annotated[float | None, Field(ge=0, description="Only what begins before this time.")] = None,
        limit: Annotated[int, Field(ge=1, le=50, description="Most videos.")] = 10,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, Objects]:
        """Find when an object is on screen ("when is the dog on screen?"), or several together (person with cat).

        Gives stretches of time, merged from the sampled frames, with first, best and last frame as evidence, in the
        newest videos first. Only classes that the detector knows are found (describe_video lists those of a video); for
        anything else (a colour, an action, a rare thing) use `search` with kinds=["caption"]. No stretch means that the
        detector saw none. Example: find_objects(class_name=["person", "cat"], video="tour.mp4").
        """
        classes = listed(class_name, "class_name", _MOST_CLASSES)
        ids = None if video is None else self._desk.videos(video, most=_MOST_VIDEOS)
        asked = ObjectsQuestion(
            class_names=classes, video_ids=ids, min_confidence=min_confidence, limit=limit, cursor=cursor
        )
        [page] = self._desk.ask(OBJECTS, [asked])
        shown = [_seen(one, from_s, to_s, len(page.items)) for one in page.items]
        fit = taken(shown, _objects)
        if len(fit) < len(shown):
            # The page's cursor leads past the videos that are left out here; that of a shorter page does not.
            [page] = self._desk.ask(OBJECTS, [asked.model_copy(update={"limit": len(fit)})])
        note = _further(fit, page.next_cursor)
        found = Objects(videos=fit, next_cursor=page.next_cursor, note=note)
        nothing = f"The detector saw no {' with '.join(classes)} there."
        return answer(found, lines(map(_objects, fit) if fit else nothing, note or ""))

    def search(
        self,
        text: Annotated[
            Text | list[Text], Field(description='What to look for; "quoted words" are a phrase. Or up to 5 texts.')
        ],
        mode: Annotated[
            Mode, Field(description="`keyword`: words and phrases; `semantic`: meaning; `hybrid`: both, merged.")
        ] = "hybrid",
        video: Annotated[VideoNames | None, Field(description="Only in these videos; default: in all.")] = None,
        kinds: Annotated[
            list[Kind] | None, Field(description="`caption`: what is seen; `segment`: what is said. Default: both.")
        ] = None,
        from_s: Annotated[float | None, Field(ge=0, description="Only what ends at or after this time, s.")] = None,
        to_s: Annotated[float | None, Field(ge=0, description="Only what begins at or before this time, s.")] = None,
        committed_after: Annotated[datetime | None, Field(description="ISO 8601, UTC unless it says.")] = None,
        committed_before: Annotated[datetime | None, Field(description="ISO 8601, UTC unless it says.")] = None,
        limit: Annotated[int, Field(ge=1, le=50, description="Most hits for each text.")] = 10,
    ) -> Annotated[CallToolResult, Searches]:
        """Find where something is said or shown ("where do they talk about money?"), in one video or in all.

        Gives captions and speech, best first, each with its time in seconds and its frame. Use `find_objects` for a
        plain class of object (it is exact there), `list_videos` to find videos and not times. A semantic hit is only
        near in meaning: read it before you rely on it. Example: search(text="money", kinds=["segment"]).
        """
        texts = listed(text, "text", _MOST_TEXTS)
        ids = None if video is None else self._desk.videos(video, most=_MOST_VIDEOS)
        asked = [
            SearchRequest(
                text=one,
                mode=mode,
                video_ids=ids,
                kinds=kinds or None,
                from_s=from_s,
                to_s=to_s,
                committed_after=committed_after,
                committed_before=committed_before,
                limit=limit,
            )
            for one in texts
        ]
        answers = self._desk.ask(SEARCH, asked)
        shown = [_searched(*pair, len(texts)) for pair in zip(texts, answers, strict=True)]
        left_out = sum(len(full.hits) for full in answers) - sum(len(one.hits) for one in shown)
        note = f"{left_out} weaker hits are left out: narrow by video, kinds or time." if left_out else None
        return answer(Searches(answers=shown, note=note), lines(map(_search, shown), note or ""))


def _seen(found: ObjectsInVideo, from_s: float, to_s: float | None, among: int) -> ObjectsShown:
    intervals = [
        IntervalShown.of(one) for one in found.intervals if one.end_s > from_s and (to_s is None or one.start_s < to_s)
    ]
    fit = taken(intervals, _interval, share=1 / min(among, 3))
    return ObjectsShown(
        source=found.source,
        class_names=found.class_names,
        intervals=fit,
        next_from_s=intervals[len(fit)].start_s if len(fit) < len(intervals) else None,
        cut=found.cut,
    )


def _further(shown: Sequence[ObjectsShown], cursor: str | None) -> str | None:
    said = [
        f'More stretches of {one.source.video_id}: video="{one.source.video_id}", from_s={one.next_from_s}.'
        for one in shown
        if one.next_from_s is not None
    ]
    said += [
        f"{one.source.video_id} has more than its first 200 stretches: "
        f'read_rows(table="detections", class_name=…, from_s=…) gives what follows.'
        for one in shown
        if one.cut and one.next_from_s is None
    ]
    said += [f'More videos: cursor="{cursor}".'] if cursor else []
    return "\n".join(said) or None


def _objects(found: ObjectsShown) -> str:
    named = " with ".join(found.class_names)
    seen = map(_interval, found.intervals) if found.intervals else "  not in this stretch"
    return lines(f"{named} in {head(found.source)}", seen, images_of(found.source))


def _interval(seen: IntervalShown) -> str:
    frames = number(seen.frames, "frame")
    most = f", up to {seen.most_at_once} at once" if seen.most_at_once > 1 else ""
    return (
        f"  {span(seen.start_s, seen.end_s)}: {frames}{most}, confidence {seen.confidence:.2f}"
        f" | best {evidence(seen.best)} | frames {seen.first.frame_index}–{seen.last.frame_index}"
    )


def _searched(text: str, found: SearchAnswer, among: int) -> Searched:
    hits = taken([_hit(hit) for hit in found.hits], _hit_line, share=1 / among)
    return Searched(
        text=text,
        mode=found.mode,
        hits=hits,
        complete=found.complete,
        index=found.index.state,
        said=found.index.said,
    )


def _hit(hit: SearchHit) -> Hit:
    return Hit(
        source=hit.source,
        kind=hit.kind,
        row_index=hit.row_index,
        start_s=hit.start_s,
        end_s=hit.end_s,
        text=clipped(hit.text, 600),
        score=hit.score,
        matched_by=hit.matched_by,
        evidence=Shows.of(hit.evidence),
    )


def _search(found: Searched) -> str:
    state = "" if found.complete and found.index == "current" else f" · index {found.index}: {found.said}"
    return lines(
        f'"{clipped(found.text, 100)}" ({found.mode}): {number(len(found.hits), "hit")}{state}',
        map(_hit_line, found.hits),
    )


def _hit_line(hit: Hit) -> str:
    verb = "said" if hit.kind == "segment" else "seen"
    return (
        f"  {hit.source.filename} ({hit.source.video_id}, version {hit.source.version}) {verb} "
        f'{span(hit.start_s, hit.end_s)}: "{hit.text}" | {evidence(hit.evidence)} | by {", ".join(hit.matched_by)}'
    )
