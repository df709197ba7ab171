"""Reads of what arrived and what became of it: single uploads, those of a video, and pages of all of them.

What does not belong here: rows of a video (``queries``), and how far an upload that is being ingested is, which the
staged manifests say.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any, Literal

import duckdb
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bri_assets.errors import CursorWrong, RangeWrong
from bri_assets.store.access.operations import Operations, operation

__all__ = ["Arrival", "ArrivalPage", "ArrivalState", "Arrivals"]

ArrivalState = Literal["waiting", "ingesting", "committed", "quarantined", "failed", "deleted"]

#: Most uploads of one question, and on one page.
_MOST = 500

_CURSOR = TypeAdapter(tuple[int, str])


class Arrival(BaseModel):
    """An upload and what became of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload_id: str = Field(description="The upload's id: `u-` and 16 hex digits.")
    video_id: str | None = Field(description="What it is, or shall become; null where it was refused.")
    filename: str
    size_bytes: int
    sha256: str | None = Field(description="SHA-256 of its bytes; null where they could not be read.")
    state: ArrivalState = Field(
        description="`waiting` for its run, `ingesting`, `committed`, `quarantined` (it is no video), `failed`, or"
        " `deleted` (its video is)."
    )
    code: str | None = Field(description="One word for why it was refused or failed.")
    reason: str | None = Field(description="Why it was refused or failed, for a person.")
    attempts: int = Field(description="How often it was tried.")
    run_id: str | None = Field(description="The Dagster run that worked on it last; null before one is known.")
    requested_by: str = Field(description="The way in by which it was asked for last, as `sensor` or `api/NAME`.")
    arrived_at: datetime
    changed_at: datetime = Field(description="When its state changed last.")
    version: int | None = Field(description="Number of the version that is shown of its video.")
    version_id: int | None
    committed_at: datetime | None = Field(description="When that version was committed.")


class ArrivalPage(BaseModel):
    """A page of uploads, newest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: list[Arrival]
    next_cursor: str | None = Field(description="For the next page; null on the last.")


class Arrivals(Operations):
    """Reads of uploads; each takes a list and costs one statement."""

    @operation()
    def uploads(self, upload_ids: list[str]) -> dict[str, Arrival]:
        """Uploads by their ids, as far as they are known.

        Raises:
            RangeWrong: more than 500 are asked about.
        """
        _require_few(upload_ids)
        with self.file.reading() as connection:
            found = _arrivals(connection, f"{_ARRIVALS} WHERE list_contains($ids, u.upload_id)", ids=upload_ids)
        return {one.upload_id: one for one in found}

    @operation()
    def of_videos(self, video_ids: list[str]) -> dict[str, Arrival]:
        """The upload of each video, as far as there is one: that which is being ingested, else the last one to change.

        Raises:
            RangeWrong: more than 500 are asked about.
        """
        _require_few(video_ids)
        with self.file.reading() as connection:
            found = _arrivals(connection, _OF_VIDEOS, ids=video_ids)
        return {one.video_id: one for one in found if one.video_id is not None}

    @operation()
    def page(self, state: ArrivalState | None = None, *, limit: int = 50, cursor: str | None = None) -> ArrivalPage:
        """A page of uploads, newest first.

        Of a path that was refused or failed and holds other content since, only what it holds now is there.

        Args:
            state: only these.
            limit: most on a page, 1 to 500.
            cursor: ``next_cursor`` of the page before.

        Raises:
            RangeWrong: the limit is out of bounds.
            CursorWrong: the cursor is none that was given out.
        """
        if not 1 <= limit <= _MOST:
            raise RangeWrong("limit", f"is {limit}.", f"Ask for 1 to {_MOST}.")
        at, upload_id = _position(cursor) if cursor is not None else (None, None)
        with self.file.reading() as connection:
            found = _arrivals(connection, _PAGE, state=state, at=at, upload_id=upload_id, most=limit + 1)
        items = found[:limit]
        return ArrivalPage(items=items, next_cursor=_cursor(items[-1]) if len(found) > limit else None)


def _arrivals(connection: duckdb.DuckDBPyConnection, query: str, **values: Any) -> list[Arrival]:
    names = list(Arrival.model_fields)
    rows = connection.execute(query, values).fetchall()
    return [Arrival(**dict(zip(names, row, strict=True))) for row in rows]


def _require_few(ids: list[str]) -> None:
    if len(ids) > _MOST:
        raise RangeWrong("ids", f"are {len(ids)}.", f"Ask for at most {_MOST} at once.")


def _cursor(last: Arrival) -> str:
    at_us = round((last.arrived_at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    return base64.urlsafe_b64encode(json.dumps([at_us, last.upload_id]).encode()).decode().rstrip("=")


def _position(cursor: str) -> tuple[int, str]:
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        at_us, upload_id = _CURSOR.validate_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValidationError, UnicodeEncodeError) as error:
        raise CursorWrong("cursor", "is none that was given out here.", "Begin with the first page.") from error
    if not 0 <= at_us < 2**62:
        raise CursorWrong("cursor", "is none that was given out here.", "Begin with the first page.")
    return at_us, upload_id


#: The columns are those of ``Arrival``, in its order.
_ARRIVALS = """
SELECT u.upload_id, u.video_id, u.filename, u.size_bytes, u.sha256,
       CASE WHEN v.deleted_at IS NOT NULL THEN 'deleted'
            WHEN u.state = 'ingesting' AND u.run_id IS NULL THEN 'waiting' ELSE u.state END AS shown_state,
       u.code, u.reason, u.attempts, u.run_id, u.requested_by, u.created_at, u.updated_at,
       n.version, n.version_id, n.committed_at
FROM uploads u
LEFT JOIN videos v ON v.video_id = u.video_id
LEFT JOIN current_versions c ON c.video_id = u.video_id AND v.deleted_at IS NULL
LEFT JOIN video_versions n ON n.version_id = c.version_id
"""

_OF_VIDEOS = f"""
{_ARRIVALS} WHERE list_contains($ids, u.video_id)
QUALIFY row_number() OVER (
    PARTITION BY u.video_id ORDER BY u.state = 'ingesting' DESC, u.updated_at DESC, u.upload_id) = 1
"""

_PAGE = f"""
WITH standing AS ({_ARRIVALS}
    QUALIFY u.state IN ('committed', 'ingesting') OR u.updated_at = max(u.updated_at) OVER (PARTITION BY u.path))
SELECT * FROM standing
WHERE ($state IS NULL OR shown_state = $state)
  AND ($at IS NULL OR (epoch_us(created_at), upload_id) < ($at::BIGINT, $upload_id::VARCHAR))
ORDER BY created_at DESC, upload_id DESC LIMIT $most
"""  # noqa: S608 - our own text
