"""Tools for what there is: the list of videos, a video in short, and how many rows there are.

Docstrings of tools are what an agent reads. What does not belong here: what is seen or said at a time (``looking``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import Field

from bri_assets.serve.answers.questions import ALL_COUNTS, COUNTS, FACTS, LIBRARY, SCENES
from bri_assets.serve.mcp.arguments import Cursor, VideoNames
from bri_assets.serve.mcp.desk import Desk, answer, head, images_of
from bri_assets.serve.mcp.model import TableCounts, Videos, VideosDescribed, VideoShown
from bri_assets.serve.mcp.rows import SceneShown
from bri_assets.serve.mcp.text import at, clipped, counted, lines, span, taken
from bri_assets.store.queries.model import Counts, LibraryEntry, LibraryFilter, Timeline, VideoFacts

__all__ = ["LibraryTools"]

_MOST_DESCRIBED, _MOST_COUNTED = 10, 200

#: Longest summary and most classes of a video that is described alone.
_SUMMARY, _CLASSES = 1_000, 20

States = Literal["committed", "ingesting", "quarantined", "failed", "deleted", "any"]


class LibraryTools:
    """The tools, at a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def list_videos(
        self,
        text: Annotated[
            str | None,
            Field(max_length=200, description="Only where this is part of the file name, a caption or the speech."),
        ] = None,
        class_name: Annotated[
            str | None, Field(max_length=100, description="Only where the detector saw this class, as `dog`.")
        ] = None,
        state: Annotated[
            States,
            Field(
                description="`committed`: can be asked about. `quarantined` and `failed` say why; `ingesting` is not "
                "ready yet; `any`: all."
            ),
        ] = "committed",
        arrived_after: Annotated[datetime | None, Field(description="ISO 8601, UTC unless it says.")] = None,
        arrived_before: Annotated[datetime | None, Field(description="ISO 8601, UTC unless it says.")] = None,
        limit: Annotated[int, Field(ge=1, le=100, description="Most videos on a page.")] = 20,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, Videos]:
        """Find out which videos there are, newest first. Use it first when you do not know the video's name.

        To find a moment rather than a video use `search` (words, meaning) or `find_objects` (a class). Gives id, file
        name, state, duration in seconds and counts of each video. Example: list_videos(class_name="dog", limit=5).
        """
        wanted = LibraryFilter(
            state=None if state == "any" else state,
            arrived_after=arrived_after,
            arrived_before=arrived_before,
            class_name=class_name,
            text=text,
            limit=limit,
            cursor=cursor,
        )
        [page] = self._desk.ask(LIBRARY, [wanted])
        fit = taken(page.items, _entry)
        if len(fit) < len(page.items):
            # Its cursor leads past what is left out; that of a shorter page does not.
            [page] = self._desk.ask(LIBRARY, [wanted.model_copy(update={"limit": len(fit)})])
        note = f'More follow: call again with cursor="{page.next_cursor}".' if page.next_cursor else None
        found = Videos(items=page.items, next_cursor=page.next_cursor, note=note)
        return answer(found, lines(map(_entry, page.items) if page.items else "No video fits.", note or ""))

    def describe_video(
        self,
        video: VideoNames,
        from_s: Annotated[float, Field(ge=0, description="Only scenes that end after this time, in seconds.")] = 0.0,
    ) -> Annotated[CallToolResult, VideosDescribed]:
        """Get an overview of a video (or of up to 10): facts, what is seen, languages, summary, scenes in order.

        Use it for "what is this video about?" and before detailed questions. For one time use `look_at_time`, for every
        row `read_rows`. Times are seconds from the start. Example: describe_video(video="tour.mp4").
        """
        ids = self._desk.videos(video, most=_MOST_DESCRIBED)
        facts, timelines = self._desk.ask(FACTS, ids), self._desk.ask(SCENES, ids)
        made = [_described(*pair, from_s, len(ids)) for pair in zip(facts, timelines, strict=True)]
        note = lines(map(_further, made))
        return answer(VideosDescribed(videos=made, note=note or None), lines(map(_overview, made), note))

    def count_rows(
        self,
        videos: Annotated[VideoNames | None, Field(description="Videos to count; default: all.")] = None,
        after: Annotated[str | None, Field(description="`next_after` of the call before.")] = None,
    ) -> Annotated[CallToolResult, TableCounts]:
        """Count frames, captions, segments of speech and detections, by video and in all; tells what is incomplete.

        Use it for "how many …?" and to learn whether an empty answer can be trusted: a complete video has a caption for
        every frame. Example: count_rows(videos=["tour.mp4", "cat.mp4"]).
        """
        if videos is None:
            [counted_rows] = self._desk.ask(ALL_COUNTS, [None])
        else:
            counted_rows = self._desk.ask(COUNTS, self._desk.videos(videos, most=_MOST_COUNTED))
        counts = sorted(counted_rows, key=lambda one: one.source.video_id)
        rest = [one for one in counts if after is None or one.source.video_id > after]
        fit = taken(rest, _counts)
        next_after = fit[-1].source.video_id if len(fit) < len(rest) else None
        note = f'{len(rest) - len(fit)} more videos: call again with after="{next_after}".' if next_after else None
        found = TableCounts(
            videos=fit,
            total_videos=len(counts),
            total_frames=sum(one.frames for one in counts),
            total_captions=sum(one.captions for one in counts),
            total_transcript_segments=sum(one.transcript_segments for one in counts),
            total_detections=sum(one.detections for one in counts),
            incomplete_videos=sum(not one.complete for one in counts),
            next_after=next_after,
            note=note,
        )
        total = (
            f"In all {found.total_videos} videos: {found.total_frames} frames, {found.total_captions} captions, "
            f"{found.total_transcript_segments} segments, {found.total_detections} detections; "
            f"{found.incomplete_videos} incomplete."
        )
        return answer(found, lines(total, map(_counts, fit), note or ""))


def _described(facts: VideoFacts, timeline: Timeline, from_s: float, among: int) -> VideoShown:
    scenes = [SceneShown.of(scene) for scene in timeline.scenes if scene.end_s > from_s]
    fit = taken(scenes, _scene, share=0.6 / among)
    return VideoShown(
        **facts.model_dump(include=set(VideoShown.model_fields) - {"source", "classes"}),
        source=facts.source,
        classes=facts.classes[: max(_CLASSES // among, 3)],
        summary=clipped(timeline.summary, max(_SUMMARY // among, 150)),
        scenes=fit,
        next_from_s=scenes[len(fit)].start_s if len(fit) < len(scenes) else None,
        cut=timeline.cut,
    )


def _further(video: VideoShown) -> str:
    named = f'video="{video.source.video_id}"'
    if video.next_from_s is not None:
        return f"There are more scenes: describe_video({named}, from_s={video.next_from_s})."
    if video.cut:
        return f'It has more scenes than can be listed: read_rows({named}, table="frames", from_s=…) goes on.'
    return ""


def _overview(video: VideoShown) -> str:
    seen = {one.class_name: one.frames for one in video.classes}
    sound = f"{video.transcript_segments} segments of speech" if video.has_audio else "no sound"
    spoken = f" in {', '.join(video.languages)}" if video.languages else f" ({video.transcript_outcome})"
    return lines(
        head(video.source),
        f"{at(video.duration_s)} long, {video.width}×{video.height}, {video.fps:g} fps, committed "
        f"{video.committed_at:%Y-%m-%d %H:%M} UTC",
        f"{video.frames} frames, one each {video.sample_interval_s:g} s; {sound}{spoken}; "
        f"{video.detections} detections",
        f"seen, in frames: {counted(seen, _CLASSES)}" if seen else "seen: no object of a known class",
        video.summary,
        map(_scene, video.scenes),
        images_of(video.source),
    )


def _scene(scene: SceneShown) -> str:
    said = f' | said: "{scene.words}"' if scene.words else ""
    seen = f" | {counted(scene.classes, 6)}" if scene.classes else ""
    frame = scene.evidence.frame_index
    return (
        f"  scene {scene.scene_index}, {span(scene.start_s, scene.end_s)}: {scene.caption}{seen}{said} | frame {frame}"
    )


def _entry(entry: LibraryEntry) -> str:
    known: Iterable[str] = (
        f"{entry.filename}",
        f"video {entry.video_id}" if entry.video_id else "no video",
        entry.state if entry.version is None else f"{entry.state} (version {entry.version})",
        f"arrived {entry.arrived_at:%Y-%m-%d %H:%M} UTC",
        at(entry.duration_s) if entry.duration_s is not None else "",
        f"{entry.frames} frames, {entry.transcript_segments} segments, {entry.detections} detections"
        if entry.frames is not None
        else "",
        clipped(entry.reason, 300) if entry.reason else "",
    )
    return " · ".join(part for part in known if part)


def _counts(counts: Counts) -> str:
    whole = "complete" if counts.complete else "NOT complete"
    return (
        f"{counts.source.filename} ({counts.source.video_id}): {counts.frames} frames, {counts.captions} captions, "
        f"{counts.transcript_segments} segments ({counts.transcript_outcome}), {counts.detections} detections, {whole}"
    )
