"""Reads of what is committed: each answers for a whole list at once, in the same few statements however long it is.

All that one call says is of one moment. Only versions that are shown are read, but for pages, which stay with the
version that they began on. What does not belong here: how an answer is found (the modules beside).
"""

from __future__ import annotations

from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.queries import facts as _facts
from bri_assets.store.queries import library as _library
from bri_assets.store.queries import likely as _likely
from bri_assets.store.queries import moments as _moments
from bri_assets.store.queries import objects as _objects
from bri_assets.store.queries import ranges as _ranges
from bri_assets.store.queries import scenes as _scenes
from bri_assets.store.queries import sources
from bri_assets.store.queries import texts as _texts
from bri_assets.store.queries.model import (
    Around,
    Caption,
    Counts,
    Detection,
    Evidence,
    Frame,
    FrameAt,
    FrameKey,
    Library,
    LibraryFilter,
    Moment,
    ObjectsPage,
    Page,
    Range,
    Segment,
    SegmentAt,
    Source,
    State,
    Timeline,
    VersionTexts,
    VideoFacts,
    VisibleVersion,
)

__all__ = ["Queries"]


class Queries(Operations):
    """What an agent asks of the videos; nothing here changes a row.

    Answers come in the order of the list that was asked; of an empty list nothing comes. Videos go by their ids
    (``resolve`` finds them); one that is unknown, not committed yet or deleted raises ``VideoNotFound``, naming it.
    """

    @operation()
    def resolve(self, names: list[str]) -> dict[str, str]:
        """The id of the video that each name means: an id, the beginning of one, or a file name.

        Raises:
            VideoNotFound: a name means none that is shown, or more than one.
        """
        with self.file.reading() as connection:
            return sources.resolve(connection, names)

    @operation()
    def state(self, video_ids: list[str]) -> State:
        """What is shown at this moment, for a cache, in one statement.

        Args:
            video_ids: videos whose versions are told; those that are not shown are left out.
        """
        with self.file.reading() as connection:
            return sources.state(connection, video_ids, str(self.home))

    @operation()
    def visible(self) -> list[VisibleVersion]:
        """Every version that is shown, the oldest commit first."""
        with self.file.reading() as connection:
            return sources.visible(connection)

    @operation()
    def versions_of(self, version_ids: list[int]) -> dict[int, Source]:
        """What each version is, of those that are shown now; the others are left out."""
        with self.file.reading() as connection:
            return sources.of_versions(connection, version_ids)

    @operation()
    def shown_versions(self, video_ids: list[str]) -> dict[str, int]:
        """The ``version_id`` that is shown of each video; unknown and deleted ones are left out."""
        with self.file.reading() as connection:
            return sources.shown_versions(connection, video_ids)

    @operation()
    def facts(self, video_ids: list[str]) -> list[VideoFacts]:
        """The facts of each video's file and of its version."""
        with self.file.reading() as connection:
            return _facts.facts(connection, video_ids)

    @operation()
    def counts(self, video_ids: list[str] | None = None) -> list[Counts]:
        """Rows of each video by table; of None, of every video that is shown, the newest commit first."""
        with self.file.reading() as connection:
            return _facts.counts(connection, video_ids)

    @operation()
    def around(self, moments: list[Moment]) -> list[Around]:
        """Everything around each moment: frames, speech, and the objects of the frame that is nearest to it.

        Raises:
            RangeWrong: a time is beyond its video.
        """
        with self.file.reading() as connection:
            return _moments.around(connection, moments)

    @operation()
    def segments_at(self, moments: list[Moment]) -> list[SegmentAt]:
        """What is being said at each moment, and what before and after; a segment's end is no longer part of it.

        Raises:
            RangeWrong: a time is beyond its video.
        """
        with self.file.reading() as connection:
            return _moments.segments_at(connection, moments)

    @operation()
    def frames(self, ranges: list[Range]) -> list[Page[Frame]]:
        """Sampled frames of each range in their order, with captions and objects.

        Raises:
            RangeWrong: a range ends before it begins, or is beyond its video.
            CursorWrong: a cursor is not of this question, or its version's rows are in the archive.
        """
        with self.file.reading() as connection:
            return _ranges.frames(connection, ranges)

    @operation()
    def captions(self, ranges: list[Range]) -> list[Page[Caption]]:
        """Captions of the frames of each range in their order; raises as ``frames``."""
        with self.file.reading() as connection:
            return _ranges.captions(connection, ranges)

    @operation()
    def segments(self, ranges: list[Range]) -> list[Page[Segment]]:
        """Speech that touches each range, in its order; raises as ``frames``."""
        with self.file.reading() as connection:
            return _ranges.segments(connection, ranges)

    @operation()
    def detections(self, ranges: list[Range]) -> list[Page[Detection]]:
        """Objects in the frames of each range, by frame and confidence, of ``class_name`` only where it is given.

        Raises as ``frames``.
        """
        with self.file.reading() as connection:
            return _ranges.detections(connection, ranges)

    @operation()
    def frame(self, video_id: str, frame_index: int, version_id: int | None = None) -> FrameAt:
        """One frame of a video.

        Args:
            video_id: the video.
            frame_index: its sample slot, from 0.
            version_id: a version of the video whose rows are in the database; default: the one that is shown.

        Raises:
            FrameNotFound: that version has no such frame.
            VersionNotFound: the video has no such version, or its rows are in the archive.
        """
        with self.file.reading() as connection:
            return _moments.frame(connection, video_id, frame_index, version_id)

    @operation()
    def evidence(self, frames: list[FrameKey]) -> list[Evidence | None]:
        """The frame of each key; None where its version is not shown or has no such frame."""
        with self.file.reading() as connection:
            return _moments.evidence(connection, frames)

    @operation()
    def objects(
        self,
        class_names: list[str],
        video_ids: list[str] | None = None,
        *,
        min_confidence: float = 0.0,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ObjectsPage:
        """When objects of a class are seen, or of several classes together in the same frame.

        Args:
            class_names: 1 to 20, in the detector's words.
            video_ids: where to look; None for every video, the newest first.
            min_confidence: detections below it do not count, 0 to 1.
            limit: most videos on a page, 1 to 200.
            cursor: ``next_cursor`` of the page before. A page may have fewer videos than ``limit``, or none, and yet a
                cursor: videos that have all the classes, but never together, were looked at and left out.

        Raises:
            RangeWrong: an argument is out of its bounds.
            CursorWrong: the cursor is not of this question.
        """
        with self.file.reading() as connection:
            return _objects.objects(
                connection, class_names, video_ids, min_confidence=min_confidence, limit=limit, cursor=cursor
            )

    @operation()
    def scenes(self, video_ids: list[str]) -> list[Timeline]:
        """Each video in short: a summary, and its scenes with what is seen and said in them."""
        with self.file.reading() as connection:
            return _scenes.scenes(connection, video_ids)

    @operation()
    def library(self, wanted: LibraryFilter) -> Library:
        """A page of the library, newest arrival first.

        A text is looked for in 1000 entries a page: one may have fewer than ``limit``, or none, and yet a cursor.

        Raises:
            CursorWrong: the cursor is not of this question.
        """
        with self.file.reading() as connection:
            return _library.library(connection, wanted)

    @operation()
    def texts(self, version_ids: list[int]) -> list[VersionTexts]:
        """Every caption and segment of each version; versions of deleted videos and archived ones are left out."""
        with self.file.reading() as connection:
            return _texts.texts(connection, version_ids)

    @operation()
    def texts_like(self, version_ids: list[int], beginnings: list[str], limit: int) -> list[VersionTexts]:
        """Captions and segments that hold the beginning of a word somewhere; versions without any are left out.

        Args:
            version_ids: where to look.
            beginnings: in lower case, without accents; texts that hold most of them come first.
            limit: most texts in all; among equals the newest versions'.
        """
        with self.file.reading() as connection:
            return _likely.likely(connection, version_ids, beginnings, limit)
