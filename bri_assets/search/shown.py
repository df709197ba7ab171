"""What the store shows at this moment; a hit is only ever given of it.

What does not belong here: what is in the index.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from bri_assets.errors import RangeWrong, VideoNotFound
from bri_assets.search.model import SearchRequest
from bri_assets.store.queries.model import Source, VisibleVersion
from bri_assets.store.queries.queries import Queries

__all__ = ["Shown", "source_of", "within"]

Versions = Mapping[int, VisibleVersion]


class Shown:
    """What is shown, read anew when it changes. Thread-safe.

    Args:
        queries: the reads of the store.
        moment: a number that is the same again only where nothing was written in between, or None where that is not
            known; so that an owner of the store need not ask it each time.
    """

    def __init__(self, queries: Queries, moment: Callable[[], int | None] = lambda: None) -> None:
        self._queries, self._moment = queries, moment
        self._at: int | None = None
        self._lock = threading.Lock()
        self._key: tuple[str, str] | None = None
        self._now: dict[int, VisibleVersion] = {}

    def now(self) -> Versions:
        """Every version that is shown, by ``version_id``."""
        at = self._moment()
        if at is not None and at == self._at:
            return self._now
        # The state is read first: what changes between the two reads is in the second, and noticed by the next call.
        state = self._queries.state([])
        key = (state.store, state.library)
        with self._lock:
            if key != self._key:
                self._now = {one.version_id: one for one in self._queries.visible()}
                self._key = key
            self._at = at if at == self._moment() else None
            return self._now


def within(versions: Versions, request: SearchRequest) -> Versions:
    """The versions that a question is about.

    Raises:
        VideoNotFound: it names a video that is not shown.
        RangeWrong: it names a time that ends before it begins.
    """
    _require_order(request.from_s, request.to_s, "from_s", "to_s")
    after, before = _aware(request.committed_after), _aware(request.committed_before)
    _require_order(after, before, "committed_after", "committed_before")
    if request.video_ids is not None:
        known = {one.video_id: number for number, one in versions.items()}
        unknown = [video_id for video_id in request.video_ids if video_id not in known]
        if unknown:
            raise VideoNotFound(", ".join(unknown[:5]), "no committed video has this id.", "See `bri status`.")
        versions = {known[video_id]: versions[known[video_id]] for video_id in request.video_ids}
    if after is None and before is None:
        return versions
    return {
        number: one
        for number, one in versions.items()
        if (after is None or one.committed_at > after) and (before is None or one.committed_at < before)
    }


def source_of(version: VisibleVersion) -> Source:
    """The version as an answer names it."""
    return Source(
        video_id=version.video_id,
        filename=version.filename,
        version=version.version,
        version_id=version.version_id,
    )


def _require_order(first: float | datetime | None, last: float | datetime | None, low: str, high: str) -> None:
    if first is not None and last is not None and first > last:  # type: ignore[operator]  # both are of one kind
        raise RangeWrong(f"{low} {first}", f"lies after {high} {last}.", "Exchange them.")


def _aware(time: datetime | None) -> datetime | None:
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)
