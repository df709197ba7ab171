"""Where objects are seen: in some videos or across all of them, the newest video first.

Videos come in the order in which they were committed first, which never changes: commits, rollbacks and deletes between
two pages neither repeat a video nor skip one. What does not belong here: merging frames into intervals (``intervals``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from bri_assets.errors import RangeWrong
from bri_assets.store.queries import intervals
from bri_assets.store.queries.cursors import AtVideo, decode, encode
from bri_assets.store.queries.model import ObjectsPage
from bri_assets.store.queries.rows import Row, records, source
from bri_assets.store.queries.sources import Shown, shown

__all__ = ["MOST_CLASSES", "MOST_VIDEOS", "objects"]

#: Classes that may be asked for together, and videos on a page.
MOST_CLASSES, MOST_VIDEOS = 20, 200

#: Videos that are looked at for a page of fewer, where not all that have the classes have them together or so surely.
_LOOKED_AT = 50

#: Videos that have every class, by what was counted when they were committed: detections are not touched.
_CANDIDATES = """
SELECT v.video_id, v.filename, v.duration_s, n.version, n.version_id, epoch_us(v.created_at) AS arrived_us
FROM videos v JOIN current_versions c USING (video_id) JOIN video_versions n ON n.version_id = c.version_id
SEMI JOIN (SELECT version_id FROM video_class_stats WHERE list_contains($class_names::VARCHAR[], class_name)
           GROUP BY version_id HAVING count(*) = len($class_names)) s ON s.version_id = c.version_id
WHERE v.deleted_at IS NULL AND ($video_ids IS NULL OR v.video_id IN (SELECT unnest($video_ids::VARCHAR[])))
  AND ($arrived_us IS NULL OR (epoch_us(v.created_at), v.video_id) < ($arrived_us::BIGINT, $identity::VARCHAR))
ORDER BY arrived_us DESC, v.video_id DESC LIMIT $most
"""


def objects(
    connection: duckdb.DuckDBPyConnection,
    class_names: Sequence[str],
    video_ids: Sequence[str] | None,
    *,
    min_confidence: float,
    limit: int,
    cursor: str | None,
) -> ObjectsPage:
    """Where classes are seen; see ``Queries.objects``."""
    classes = list(dict.fromkeys(class_names))
    _require_sane(classes, min_confidence, limit)
    if video_ids is not None:
        shown(connection, video_ids)
    question = _question(classes, video_ids, min_confidence)
    place = None if cursor is None else decode(cursor, question, AtVideo)
    most = limit if len(classes) == 1 and min_confidence == 0 else max(limit, _LOOKED_AT)
    asked = {
        "class_names": classes,
        "video_ids": None if video_ids is None else list(set(video_ids)),
        "arrived_us": place and place.arrived_us,
        "identity": place and place.identity,
        "most": most + 1,
    }
    candidates = records(connection.execute(_CANDIDATES, asked))
    videos = [Shown(source(row), row["duration_s"], row) for row in candidates[:most]]
    found = intervals.together(connection, videos, classes, min_confidence)
    last = _last(candidates, [one.source.video_id for one in found], limit, most)
    return ObjectsPage(items=found[:limit], next_cursor=None if last is None else encode(question, last))


def _last(candidates: Sequence[Row], seen_in: Sequence[str], limit: int, most: int) -> AtVideo | None:
    """Where the page ends: at its last video if there are more, else at the last that was looked at."""
    if len(seen_in) > limit:
        end = next(row for row in candidates if row["video_id"] == seen_in[limit - 1])
    elif len(candidates) > most:
        end = candidates[most - 1]
    else:
        return None
    return AtVideo(arrived_us=end["arrived_us"], identity=end["video_id"])


def _question(classes: Sequence[str], video_ids: Sequence[str] | None, min_confidence: float) -> dict[str, Any]:
    videos = None if video_ids is None else sorted(set(video_ids))
    return {"kind": "objects", "classes": sorted(classes), "videos": videos, "min_confidence": float(min_confidence)}


def _require_sane(classes: Sequence[str], min_confidence: float, limit: int) -> None:
    if not 1 <= len(classes) <= MOST_CLASSES:
        raise RangeWrong("class_names", f"{len(classes)} classes were asked for.", f"Name 1 to {MOST_CLASSES}.")
    if not 0 <= min_confidence <= 1:
        raise RangeWrong("min_confidence", f"{min_confidence} is no confidence.", "It is from 0 to 1.")
    if not 1 <= limit <= MOST_VIDEOS:
        raise RangeWrong("limit", f"{limit} videos were asked for.", f"A page has 1 to {MOST_VIDEOS}.")
