"""Every read with the bare DuckDB query of the same rows: what is asked of both, one after the other.

The bare query knows beforehand which versions to read and gives rows as DuckDB gives them. What does not belong here:
taking the time of either (``reads``).
"""

# ruff: noqa: S608 - our own names and numbers

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import duckdb

from bri_assets.store import Queries
from bri_assets.store.queries.model import FrameKey, LibraryFilter, Moment, Range, VisibleVersion

__all__ = ["Ask", "asks"]

_STRETCH_S, _LAST_S = 20.0, 170.0
_CLASSES = ("person", "dog", "car")
_ABSENT, _PRESENT = "xyzzy", "garden picture"

Rows = list[tuple[object, ...]]


@dataclass(frozen=True)
class Ask:
    """A read, and what it is held against.

    Args:
        name: of the read, and how it is asked.
        read: it.
        bare: the same rows by a plain query.
    """

    name: str
    read: Callable[[Queries], object]
    bare: Callable[[duckdb.DuckDBPyConnection], object]


def asks(visible: list[VisibleVersion], chance: random.Random, count: int) -> Iterator[Ask]:
    """Every read of some videos, chosen anew each time.

    Args:
        visible: every version that is shown.
        chance: what chooses.
        count: how many videos are asked about at once.
    """
    chosen = chance.sample(visible, count)
    yield from _whole(chosen)
    yield from _at(chosen, chance.uniform(0, _LAST_S))
    yield from _stretches(chosen, chance.uniform(0, _LAST_S))
    if count == 1:
        yield from _across()


def _bare(statement: str) -> Callable[[duckdb.DuckDBPyConnection], Rows]:
    return lambda connection: connection.execute(statement).fetchall()


def _of(chosen: list[VisibleVersion]) -> str:
    return f"version_id IN ({', '.join(str(one.version_id) for one in chosen)})"


def _named(chosen: list[VisibleVersion]) -> str:
    return f"video_id IN ({', '.join(repr(one.video_id) for one in chosen)})"


def _whole(chosen: list[VisibleVersion]) -> Iterator[Ask]:
    ids, here, named = [one.video_id for one in chosen], _of(chosen), _named(chosen)
    versions = [one.version_id for one in chosen]
    both = f"FROM videos JOIN video_versions USING (video_id) WHERE {named}"
    frames = f"(SELECT * FROM frames WHERE {here})"
    yield Ask("resolve", lambda queries: queries.resolve(ids), _bare(f"SELECT video_id FROM videos WHERE {named}"))
    yield Ask(
        "state",
        lambda queries: queries.state(ids),
        _bare(
            f"SELECT *, (SELECT max(event_id) FROM audit_log), (SELECT bit_xor(hash(video_id, version_id))"
            f" FROM current_versions) FROM current_versions WHERE {named}"
        ),
    )
    yield Ask("facts", lambda queries: queries.facts(ids), _bare(f"SELECT * {both} AND {here}"))
    yield Ask("counts", lambda queries: queries.counts(ids), _bare(f"SELECT * {both}"))
    yield Ask(
        "scenes",
        lambda queries: queries.scenes(ids),
        lambda connection: [
            connection.execute(f"SELECT * FROM {table} WHERE {here}").fetchall()
            for table in ("frames", "captions", "transcripts", "detections")
        ],
    )
    yield Ask(
        "objects of a class",
        lambda queries: queries.objects([_CLASSES[0]], ids),
        _bare(
            f"SELECT * FROM detections JOIN {frames} USING (version_id, frame_index)"
            f" WHERE {here} AND class_name = '{_CLASSES[0]}'"
        ),
    )
    yield Ask(
        "objects together",
        lambda queries: queries.objects(list(_CLASSES[:2]), ids),
        _bare(
            f"SELECT * FROM detections JOIN {frames} USING (version_id, frame_index)"
            f" WHERE {here} AND class_name IN {_CLASSES[:2]}"
        ),
    )
    yield Ask(
        "texts",
        lambda queries: queries.texts(versions),
        lambda connection: [
            connection.execute(f"SELECT * FROM {table} WHERE {here}").fetchall()
            for table in ("captions", "transcripts", "frames")
        ],
    )
    keys = [FrameKey(version_id=version, frame_index=7) for version in versions]
    yield Ask(
        "evidence",
        lambda queries: queries.evidence(keys),
        _bare(f"SELECT * FROM frames WHERE {here} AND frame_index = 7"),
    )


def _at(chosen: list[VisibleVersion], at_s: float) -> Iterator[Ask]:
    moments, here = [Moment(video_id=one.video_id, at_s=at_s) for one in chosen], _of(chosen)
    near = f"timestamp_s BETWEEN {at_s - 5} AND {at_s + 5}"
    said = f"SELECT * FROM transcripts WHERE {here} AND start_s <= {at_s + 5} AND end_s > {at_s - 5}"
    seen = (
        f"SELECT * FROM frames JOIN captions USING (version_id, frame_index)"
        f" JOIN detections USING (version_id, frame_index)"
        f" WHERE {near} AND frames.{here} AND captions.{here} AND detections.{here}"
    )
    yield Ask(
        "around a time",
        lambda queries: queries.around(moments),
        lambda connection: [connection.execute(statement).fetchall() for statement in (seen, said)],
    )
    yield Ask("segment at a time", lambda queries: queries.segments_at(moments), _bare(said))
    if len(chosen) == 1:
        yield Ask(
            "frame",
            lambda queries: queries.frame(chosen[0].video_id, 7),
            _bare(
                f"SELECT * FROM frames JOIN captions USING (version_id, frame_index)"
                f" WHERE frames.{here} AND captions.{here} AND frame_index = 7"
            ),
        )


def _stretches(chosen: list[VisibleVersion], from_s: float) -> Iterator[Ask]:
    to_s, here = from_s + _STRETCH_S, _of(chosen)
    ranges = [Range(video_id=one.video_id, from_s=from_s, to_s=to_s) for one in chosen]
    frames = f"(SELECT * FROM frames WHERE {here} AND timestamp_s BETWEEN {from_s} AND {to_s})"
    with_captions = f"SELECT * FROM {frames} JOIN captions USING (version_id, frame_index) WHERE captions.{here}"
    with_detections = f"SELECT * FROM {frames} JOIN detections USING (version_id, frame_index) WHERE detections.{here}"
    yield Ask(
        "frames of 20 s",
        lambda queries: queries.frames(ranges),
        lambda connection: [connection.execute(one).fetchall() for one in (with_captions, with_detections)],
    )
    yield Ask("captions of 20 s", lambda queries: queries.captions(ranges), _bare(with_captions))
    yield Ask(
        "segments of 20 s",
        lambda queries: queries.segments(ranges),
        _bare(f"SELECT * FROM transcripts WHERE {here} AND start_s <= {to_s} AND end_s > {from_s}"),
    )
    yield Ask("detections of 20 s", lambda queries: queries.detections(ranges), _bare(with_detections))


def _across() -> Iterator[Ask]:
    """Reads that know no video: what is shown, the library, objects in all of them."""
    newest = "SELECT version_id FROM current_versions ORDER BY version_id DESC"
    for classes, name in ((_CLASSES[:1], "a class"), (_CLASSES, "three together")):
        yield Ask(
            f"objects everywhere, {name}, 20 videos",
            lambda queries, classes=classes: queries.objects(list(classes), limit=20),  # type: ignore[misc]
            _bare(
                f"SELECT * FROM detections WHERE version_id IN ({newest} LIMIT 20) AND class_name IN {(*classes, '')}"
            ),
        )
    uploads = "SELECT * FROM uploads LEFT JOIN videos USING (video_id) LEFT JOIN current_versions USING (video_id)"
    for name, wanted in (
        ("library", LibraryFilter()),
        ("library with a class", LibraryFilter(class_name=_CLASSES[1])),
        ("library with a text that is there", LibraryFilter(text=_PRESENT)),
        ("library with a text that is not", LibraryFilter(text=_ABSENT)),
    ):
        text = f" AND contains(lower(text), '{wanted.text}')" if wanted.text else " AND false"
        yield Ask(
            name,
            lambda queries, wanted=wanted: queries.library(wanted),  # type: ignore[misc]
            lambda connection, text=text: [  # type: ignore[misc]
                connection.execute(f"{uploads} ORDER BY uploads.created_at DESC LIMIT 20").fetchall(),
                connection.execute(
                    f"SELECT version_id FROM captions WHERE version_id IN ({newest} LIMIT 1000){text}"
                ).fetchall(),
            ],
        )
