"""What a question is about, as a filter of rows.

What does not belong here: which versions a question is about (``shown``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bri_assets.search.model import SearchRequest
from bri_assets.search.rows import Row

__all__ = ["clause", "wanted"]


def clause(request: SearchRequest, inside: Collection[int], held: Mapping[int, object]) -> str | None:
    """The filter in LanceDB's SQL; None where every row of the index is meant.

    Args:
        request: the question.
        inside: versions of the index that it is about.
        held: all versions of the index.
    """
    parts = []
    if len(inside) < len(held):
        outside = [number for number in held if number not in inside]
        # Whichever list is shorter.
        some, verb = (inside, "IN") if len(inside) <= len(outside) else (outside, "NOT IN")
        parts.append(f"version_id {verb} ({', '.join(map(str, sorted(some)))})")
    return " AND ".join([*parts, *_of_rows(request)]) or None


def _of_rows(request: SearchRequest) -> list[str]:
    parts = []
    if request.kinds is not None and len(set(request.kinds)) == 1:
        parts.append(f"kind = '{request.kinds[0]}'")
    if request.from_s is not None:
        parts.append(f"end_s >= {request.from_s!r}")
    if request.to_s is not None:
        parts.append(f"start_s <= {request.to_s!r}")
    return parts


def wanted(request: SearchRequest, row: Row) -> bool:
    """Whether a row is one that the question is about; the version is not looked at."""
    return (
        (request.kinds is None or row.kind in request.kinds)
        and (request.from_s is None or row.end_s >= request.from_s)
        and (request.to_s is None or row.start_s <= request.to_s)
    )
