"""Tools for what is seen and said at a time, or in a stretch, and for pictures of frames.

Docstrings of tools are what an agent reads. What does not belong here: finding the time (``finding``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from bri_assets.errors import RangeWrong
from bri_assets.serve.answers.questions import (
    AROUND,
    CAPTIONS,
    DETECTIONS,
    FRAME,
    FRAMES,
    SEGMENTS,
    SEGMENTS_AT,
    FrameQuestion,
    Read,
)
from bri_assets.serve.mcp import reading
from bri_assets.serve.mcp.arguments import Cursor, VideoName, VideoNames
from bri_assets.serve.mcp.desk import Desk, answer, head, images_of
from bri_assets.serve.mcp.images import LONGEST_SIDE, picture
from bri_assets.serve.mcp.model import FrameImage, Moments, MomentShown, Rows, RowsOfVideo
from bri_assets.serve.mcp.rows import CaptionShown, DetectionShown, FrameShown, SegmentShown, Shows
from bri_assets.serve.mcp.text import at, lines, span, taken
from bri_assets.store.queries.model import Around, Moment, Page, Range, Segment, SegmentAt

__all__ = ["LookingTools"]

S = TypeVar("S", bound=BaseModel)

_MOST_MOMENTS, _MOST_PICTURES, _MOST_PAGES = 10, 4, 10

Table = Literal["frames", "captions", "segments", "detections"]

#: Of each table: the read, the row as it is shown, and as it reads.
_TABLES: dict[str, tuple[Read[Range, Page[Any]], Callable[[Any], Any], Callable[[Any], str]]] = {
    "frames": (FRAMES, FrameShown.of, reading.frame),
    "captions": (CAPTIONS, CaptionShown.of, reading.caption),
    "segments": (SEGMENTS, SegmentShown.of, reading.segment),
    "detections": (DETECTIONS, DetectionShown.of, reading.detection),
}

Time = Annotated[float, Field(ge=0)]


class LookingTools:
    """The tools, at a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def look_at_time(
        self,
        video: VideoNames,
        at_s: Annotated[Time | list[Time], Field(description="The time in seconds from the start; or several times.")],
        within_s: Annotated[float, Field(ge=0, le=600, description="How far around it to look, in seconds.")] = 5.0,
        with_image: Annotated[bool, Field(description="Give the nearest frame's picture too (at most 4).")] = False,
    ) -> Annotated[CallToolResult, Moments]:
        """Get everything that is seen and said around a time: use it for "what happens at 0:45?" (at_s=45).

        Gives the nearest frame with caption and objects, what is being said then (or just before and after), and the
        frames and speech of the stretch. Several videos and times (up to 10 pairs) can be asked at once. For a longer
        stretch use `read_rows`. Example: look_at_time(video="tour.mp4", at_s=45, within_s=10, with_image=true).
        """
        times = at_s if isinstance(at_s, list) else [at_s]
        ids = self._desk.videos(video, most=_MOST_MOMENTS)
        moments = [Moment(video_id=one, at_s=time, within_s=within_s) for one in ids for time in times]
        if not 1 <= len(moments) <= _MOST_MOMENTS:
            what = f"{len(moments)} pairs of video and time were named; from 1 to {_MOST_MOMENTS} can be."
            raise RangeWrong("at_s", what, "Ask in several calls.")
        arounds, said = self._desk.ask(AROUND, moments), self._desk.ask(SEGMENTS_AT, moments)
        shown = [_moment(*pair, len(moments)) for pair in zip(arounds, said, strict=True)]
        pictures = [picture(self._desk.home, one.nearest.evidence) for one in arounds[:_MOST_PICTURES] if with_image]
        note = "There is more in the stretch: read_rows gives all of it." if any(one.cut for one in shown) else None
        text = lines(map(_moment_text, shown), note or "")
        return answer(Moments(moments=shown, note=note), text, [one.content for one in pictures])

    def read_rows(
        self,
        video: VideoNames,
        table: Annotated[
            Table,
            Field(description="`frames`: caption and objects by frame; `segments`: speech; `detections`: with boxes."),
        ],
        from_s: Annotated[float, Field(ge=0, description="Start of the stretch in seconds, included.")] = 0.0,
        to_s: Annotated[
            float | None, Field(ge=0, description="Its end in seconds, included; default: the end.")
        ] = None,
        class_name: Annotated[
            str | None, Field(max_length=100, description="Only detections of this class, as `dog`.")
        ] = None,
        limit: Annotated[int, Field(ge=1, le=200, description="Most rows of a video on a page.")] = 50,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, Rows]:
        """Read every row of a stretch of a video in its order, page by page, when you need all of it and not the best.

        Use it to read a whole transcript (`segments`), to go through captions, or for boxes (`detections`). To find
        something use `search` or `find_objects`. A page is cut to a readable length; go on with its `next_cursor`. A
        list of videos (up to 10) gives one page of each. Example: read_rows(video="tour.mp4", table="segments").
        """
        ids = self._desk.videos(video, most=_MOST_PAGES)
        if cursor is not None and len(ids) > 1:
            raise RangeWrong("cursor", "belongs to one video, and several are named.", "Name the one to go on with.")
        if class_name is not None and table != "detections":
            what = f"goes with the table `detections`, not `{table}`."
            raise RangeWrong("class_name", what, "Leave it out, or use find_objects.")
        ranges = [
            Range(video_id=one, from_s=from_s, to_s=to_s, limit=limit, cursor=cursor, class_name=class_name)
            for one in ids
        ]
        pages = self._pages(table, ranges)
        further = [page for page in pages if page.next_cursor]
        note = "\n".join(f'More of {page.source.video_id}: cursor="{page.next_cursor}"' for page in further) or None
        text = lines((_page(table, page) for page in pages), note or "")
        return answer(Rows(table=table, pages=pages, note=note), text)

    def show_frame(
        self,
        video: VideoName,
        at_s: Annotated[
            float | None, Field(ge=0, description="The time in seconds: the nearest frame is shown.")
        ] = None,
        frame_index: Annotated[int | None, Field(ge=0, description="The frame, as evidence names it.")] = None,
        version_id: Annotated[
            int | None, Field(ge=1, description="The version that the evidence is of; default: the one shown now.")
        ] = None,
        longest_side: Annotated[int, Field(ge=64, le=1568, description="Of the picture, in pixels.")] = LONGEST_SIDE,
    ) -> Annotated[CallToolResult, FrameImage]:
        """Look at a frame yourself: gives its picture (JPEG), for what captions and objects do not tell, as colours.

        Name a frame by `frame_index`, as evidence does, or by time; one of the two. Example:
        show_frame(video="tour.mp4", frame_index=22).
        """
        if (at_s is None) == (frame_index is None):
            raise RangeWrong("frame", "is named by a time or by its index.", "Give one of at_s and frame_index.")
        [video_id] = self._desk.videos(video, most=1)
        if at_s is not None:
            [around] = self._desk.ask(AROUND, [Moment(video_id=video_id, at_s=at_s, within_s=0)])
            source, frame = around.source, around.nearest
        else:
            asked = FrameQuestion(video_id=video_id, frame_index=frame_index or 0, version_id=version_id)
            [found] = self._desk.ask(FRAME, [asked])
            source, frame = found.source, found.frame
        made = picture(self._desk.home, frame.evidence, longest_side)
        shown = FrameShown.of(frame)
        image = FrameImage(
            source=source,
            evidence=Shows.of(frame.evidence),
            caption=shown.caption,
            objects=shown.objects,
            width=frame.width,
            height=frame.height,
            shown_width=made.width,
            shown_height=made.height,
            note=None,
        )
        size = f"{made.width}×{made.height} of {frame.width}×{frame.height} pixels, {frame.evidence.image_path}"
        return answer(image, lines(head(source), reading.frame(shown), size), [made.content])

    def _pages(self, table: Table, ranges: list[Range]) -> list[RowsOfVideo]:
        read, shown, line = _TABLES[table]
        pages = self._desk.ask(read, ranges)
        fits = [len(taken([shown(row) for row in page.items], line, share=1 / len(pages))) for page in pages]
        short = [(n, fits[n]) for n, page in enumerate(pages) if fits[n] < len(page.items)]
        if short:
            # A page's cursor leads past what is left out here; that of a shorter page does not.
            again = [ranges[n].model_copy(update={"limit": fit}) for n, fit in short]
            for (n, _), page in zip(short, self._desk.ask(read, again), strict=True):
                pages[n] = page
        return [
            RowsOfVideo(
                source=page.source,
                next_cursor=page.next_cursor,
                **{table: [shown(row) for row in page.items]},
            )
            for page in pages
        ]


def _page(table: Table, page: RowsOfVideo) -> str:
    rows = getattr(page, table)
    return lines(
        head(page.source), map(_TABLES[table][2], rows) if rows else f"no {table} here", images_of(page.source)
    )


def _moment(around: Around, said: SegmentAt, among: int) -> MomentShown:
    frames = [FrameShown.of(frame) for frame in around.frames]
    segments = [SegmentShown.of(segment) for segment in around.segments]
    detections = [DetectionShown.of(found) for found in around.detections]
    few_frames = taken(frames, reading.frame, share=0.4 / among)
    few_segments = taken(segments, reading.segment, share=0.25 / among)
    few_detections = taken(detections, reading.detection, share=0.15 / among)
    left_out = len(frames) + len(segments) + len(detections) - len(few_frames) - len(few_segments) - len(few_detections)
    return MomentShown(
        source=around.source,
        at_s=around.at_s,
        from_s=around.from_s,
        to_s=around.to_s,
        nearest=FrameShown.of(around.nearest),
        detections=few_detections,
        said=_said(said.segment),
        said_before=_said(said.before),
        said_after=_said(said.after),
        frames=few_frames,
        segments=few_segments,
        cut=around.cut or left_out > 0,
    )


def _said(segment: Segment | None) -> SegmentShown | None:
    return None if segment is None else SegmentShown.of(segment)


def _moment_text(moment: MomentShown) -> str:
    boxes = "; ".join(f"{one.class_name} {one.confidence:.2f} at {one.box}" for one in moment.detections)
    return lines(
        head(moment.source),
        f"at {at(moment.at_s)}, looked from {span(moment.from_s, moment.to_s)}",
        f"nearest {reading.frame(moment.nearest).strip()} · {moment.nearest.evidence.image_path}",
        f"objects in it (x1, y1, x2, y2): {boxes}" if boxes else "no object in it",
        f"being said: {reading.segment(moment.said).strip()}" if moment.said else "nothing is being said then",
        f"said before: {reading.segment(moment.said_before).strip()}" if moment.said_before else "",
        f"said after: {reading.segment(moment.said_after).strip()}" if moment.said_after else "",
        ["frames:", *map(reading.frame, moment.frames)] if moment.frames else "",
        ["speech:", *map(reading.segment, moment.segments)] if moment.segments else "",
        images_of(moment.source),
    )
