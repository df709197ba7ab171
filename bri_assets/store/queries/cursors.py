"""Cursors of pages: where the next page begins, which version is read, and of which question it is.

They are opaque to who gets them. What they hold is checked, for they come back from outside. What does not belong
here: the rows of a page (``ranges``, ``objects``, ``library``).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from bri_assets.errors import CursorWrong
from bri_assets.files import sha256_bytes
from bri_assets.store.queries.model import Model

__all__ = ["AtRow", "AtVideo", "decode", "encode"]

_MOST = 2**62
_LONGEST = 2000
_CHECKED = 16


class AtRow(Model):
    """The last row of a page, of one version."""

    version_id: int = Field(strict=True, ge=1, le=_MOST)
    index: int = Field(strict=True, ge=0, le=_MOST)
    rank: int = Field(0, strict=True, ge=0, le=_MOST)


class AtVideo(Model):
    """The last video or upload that was looked at: when it arrived, in microseconds of the epoch, and its id."""

    arrived_us: int = Field(strict=True, ge=-_MOST, le=_MOST)
    identity: str = Field(strict=True, max_length=500)


P = TypeVar("P", AtRow, AtVideo)


def encode(question: dict[str, Any], place: AtRow | AtVideo) -> str:
    """The cursor of a place.

    Args:
        question: what was asked, but for how many rows a page has; plain values.
        place: where the page ended.
    """
    held = place.model_dump()
    text = json.dumps([held, _check(question, held)], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, question: dict[str, Any], kind: type[P]) -> P:
    """The place that a cursor holds.

    Raises:
        CursorWrong: it is not one that was given out for this question.
    """
    if len(cursor) > _LONGEST:
        raise wrong(cursor, "is longer than any cursor.")
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        held, check = json.loads(text)
        place = kind.model_validate(held)
    except (ValueError, TypeError, RecursionError, binascii.Error, ValidationError) as error:
        raise wrong(cursor, "is no cursor of this question.") from error
    if check != _check(question, held):
        raise wrong(cursor, "was given out for another question.")
    return place


def wrong(cursor: str, what: str) -> CursorWrong:
    """That a cursor cannot be used, and what to do."""
    return CursorWrong(f"cursor {cursor[:40]}", what, "Ask again without a cursor, for the first page.")


def _check(question: dict[str, Any], held: dict[str, Any]) -> str:
    text = json.dumps([question, held], sort_keys=True, default=str)
    return sha256_bytes(text.encode(errors="surrogatepass"))[:_CHECKED]
