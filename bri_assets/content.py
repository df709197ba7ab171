"""Hashes of content: the same for the same values, whether they come from Parquet, pandas, DuckDB or JSON.

What does not belong here: hashes of files' bytes (``files``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from functools import cache
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any

import pandas as pd

from bri_assets.files import sha256_bytes
from bri_assets.schemas import TableSpec

__all__ = ["canonical", "content_sha256", "rows_of"]

#: Made once: json.dumps makes one a call when it is given options, which costs as much as the row.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def rows_of(spec: TableSpec, rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    """The rows as tuples of plain Python values in the order of the table's columns; missing values as None."""
    return list(zip(*(_plain(rows[column.name]) for column in spec.columns), strict=True))


def _plain(values: pd.Series[Any]) -> list[Any]:
    plain = values.tolist()
    if not values.hasnans:
        return plain
    return [None if missing else value for value, missing in zip(plain, values.isna(), strict=True)]


def content_sha256(spec: TableSpec, rows: Iterable[tuple[Any, ...]]) -> str:
    """SHA-256 over the rows' canonical values, in the order of the table's key.

    Canonical is one JSON array a row, in the order of the columns, UTF-8, floats in the shortest form that reads back
    the same (Python's ``repr``): equal for the same values from Parquet, pandas and DuckDB.
    """
    ordered = sorted(rows, key=_by_key(spec))
    columns = [_texts(values) for values in zip(*ordered, strict=True)]
    lines = [f"[{','.join(values)}]" for values in zip(*columns, strict=True)]
    return sha256_bytes("\n".join(lines).encode())


@cache
def _by_key(spec: TableSpec) -> Callable[[tuple[Any, ...]], Any]:
    names = [column.name for column in spec.columns]
    return itemgetter(*(names.index(name) for name in spec.key))


def _texts(values: tuple[Any, ...]) -> Iterable[str]:
    """A column's values as JSON, each as the encoder would write it; most columns are of one plain type."""
    kinds = set(map(type, values))
    if kinds == {float} and all(map(math.isfinite, values)):
        return map(float.__repr__, values)
    if kinds == {int}:
        return map(int.__repr__, values)
    if kinds == {str}:
        return map(encode_basestring, values)
    return map(_ENCODER.encode, values)


def canonical(value: Any) -> bytes:
    """A value as canonical JSON: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: it holds a number that is not finite.
    """
    return _ENCODER.encode(value).encode()
