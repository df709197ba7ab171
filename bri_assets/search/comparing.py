"""Whether index and store agree, row by row.

What does not belong here: bringing them together again (``index``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from bri_assets.search.model import Disagreement
from bri_assets.search.reading import Opened
from bri_assets.search.rows import Row, digest, rows_of
from bri_assets.store.queries.model import VisibleVersion
from bri_assets.store.queries.queries import Queries

__all__ = ["disagreements"]

_AT_ONCE = 32
#: How far the length of a vector may be from 1.
_TOLERANCE = 1e-3


def disagreements(
    opened: Opened, visible: Sequence[VisibleVersion], queries: Queries, *, everything: bool
) -> list[Disagreement]:
    """Compare.

    Args:
        opened: the index.
        visible: what is shown.
        queries: reads the store's texts.
        everything: ``visible`` is all that is shown, so what else is in the index is too much.

    Raises:
        IndexUnusable: the index cannot be read.
    """
    held = opened.held.versions
    found = [
        Disagreement(video_id=one.video_id, version_id=one.version_id, what="is shown and is not in the index.")
        for one in visible
        if one.version_id not in held
    ]
    shown = {one.version_id: one.video_id for one in visible}
    if everything:
        found += [
            Disagreement(video_id=one.video_id, version_id=number, what="is in the index and is not shown.")
            for number, one in held.items()
            if number not in shown
        ]
    both = sorted(number for number in shown if number in held)
    for start in range(0, len(both), _AT_ONCE):
        some = both[start : start + _AT_ONCE]
        found += [
            Disagreement(video_id=shown[number], version_id=number, what=what)
            for number, what in _differences(opened, some, queries)
        ]
    return found


def _differences(opened: Opened, version_ids: Sequence[int], queries: Queries) -> Iterator[tuple[int, str]]:
    where = f"version_id IN ({', '.join(map(str, version_ids))})"
    indexed: dict[int, list[Row]] = defaultdict(list)
    for row in opened.table.rows(where):
        indexed[row.version_id].append(row)
    bent = _bent(opened, where)
    stored = {version.version_id: rows_of(version) for version in queries.texts(list(version_ids))}
    for number in version_ids:
        if number not in stored:
            continue  # it was taken back while we looked
        there, here = indexed[number], stored[number]
        if len(there) != len(here):
            yield number, f"has {len(here)} texts in the store and {len(there)} in the index."
        elif digest(there) != digest(here):
            yield number, "has other texts in the store than in the index."
        elif number in bent:
            yield number, "has a vector in the index that is none."


def _bent(opened: Opened, where: str) -> set[int]:
    """Versions with a vector whose length is not 1."""
    found: set[int] = set()
    for batch in opened.table.batches(["version_id", "vector"], where):
        flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
        lengths = np.linalg.norm(flat.reshape(-1, opened.made.dimension), axis=1)
        wrong = ~(np.abs(lengths - 1.0) < _TOLERANCE)
        found |= set(batch.column("version_id").to_numpy()[wrong].tolist())
    return found
