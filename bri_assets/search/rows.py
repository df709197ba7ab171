"""What is a row of the index: a text with its times and with the frame that shows it.

A caption that stays the same from frame to frame is one row, from its first frame to its last; otherwise ten hits could
be one moment. Each row carries a seal over itself, so that a damaged file never becomes an answer. What does not belong
here: the table that holds rows (``tables``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from bri_assets.search.model import Kind
from bri_assets.store.queries.model import Evidence, Text, VersionTexts

__all__ = ["Row", "digest", "rows_of", "sealed", "unsealed"]


class Row(NamedTuple):
    """A row of the index, without its vector. ``frame_index`` to ``image_sha256`` are its evidence."""

    version_id: int
    video_id: str
    kind: str
    row_index: int
    start_s: float
    end_s: float
    text: str
    frame_index: int
    timestamp_s: float
    image_path: str
    image_sha256: str

    @property
    def key(self) -> tuple[int, str, int]:
        """What no other row has."""
        return self.version_id, self.kind, self.row_index

    @property
    def evidence(self) -> Evidence:
        """The frame that shows it."""
        return Evidence(
            frame_index=self.frame_index,
            timestamp_s=self.timestamp_s,
            image_path=self.image_path,
            image_sha256=self.image_sha256,
        )

    @property
    def what(self) -> Kind:
        """``kind`` as its type."""
        return cast("Kind", self.kind)

    @property
    def seal(self) -> int:
        """64 bits over all of it."""
        data = "\x1f".join(repr(value) for value in self).encode()
        return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), signed=True)


def rows_of(version: VersionTexts) -> list[Row]:
    """The rows of a version: captions that last as one row each, then segments."""
    captions = sorted((text for text in version.texts if text.kind == "caption"), key=lambda text: text.row_index)
    segments = sorted((text for text in version.texts if text.kind == "segment"), key=lambda text: text.row_index)
    return [*_lasting(version, captions), *(_row(version, segment, segment.end_s) for segment in segments)]


def _lasting(version: VersionTexts, captions: Iterable[Text]) -> Iterator[Row]:
    first: Text | None = None
    last: Text | None = None
    for caption in captions:
        if first is not None and last is not None:
            # A slot without a frame ends it too: nobody saw what was there.
            if caption.text == first.text and caption.row_index == last.row_index + 1:
                last = caption
                continue
            yield _row(version, first, last.end_s)
        first = last = caption
    if first is not None and last is not None:
        yield _row(version, first, last.end_s)


def _row(version: VersionTexts, text: Text, end_s: float) -> Row:
    shown = text.evidence
    return Row(
        version.version_id,
        version.video_id,
        text.kind,
        text.row_index,
        text.start_s,
        end_s,
        text.text,
        shown.frame_index,
        shown.timestamp_s,
        shown.image_path,
        shown.image_sha256,
    )


def sealed(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows as records for the table, each with its seal."""
    return [row._asdict() | {"seal": row.seal} for row in rows]


def unsealed(record: Mapping[str, Any]) -> Row | None:
    """The row of a record; None where it is not what it was when it was sealed."""
    row = Row(**{name: record[name] for name in Row._fields})
    return row if row.seal == record["seal"] else None


def digest(rows: Iterable[Row]) -> str:
    """One hash over rows, whatever their order."""
    seals = sorted(row.seal for row in rows)
    return hashlib.blake2b(repr(seals).encode(), digest_size=16).hexdigest()
