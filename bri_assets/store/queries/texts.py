"""Everything that was put into words of some versions, for the index of the search.

What does not belong here: the index itself (``bri_assets.search``).
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from bri_assets.store.queries import rows
from bri_assets.store.queries.model import Text, VersionTexts
from bri_assets.store.queries.rows import EVIDENCE, Row, numbers, records
from bri_assets.store.queries.speech import spoken

__all__ = ["VERSIONS", "caption", "segment", "texts"]

#: What is told of each version beside its texts.
VERSIONS = """
SELECT n.version_id, video_id, filename, n.version, n.committed_at
FROM video_versions n JOIN videos v USING (video_id)
WHERE v.deleted_at IS NULL AND n.state = 'committed' AND n.version_id IN (SELECT unnest($version_ids::BIGINT[]))
"""

_CAPTIONS = f"""
SELECT version_id, {EVIDENCE}, text
FROM (SELECT version_id, frame_index, text FROM captions WHERE version_id IN ({{ids}}))
JOIN (SELECT version_id, {EVIDENCE} FROM frames WHERE version_id IN ({{ids}})) USING (version_id, frame_index)
ORDER BY version_id, frame_index
"""  # noqa: S608 - our own text

_SEGMENTS = """
WITH said AS (SELECT version_id, segment_index, start_s, end_s, text FROM transcripts WHERE version_id IN ({ids}))
{spoken} ORDER BY version_id, segment_index
"""


def texts(connection: duckdb.DuckDBPyConnection, version_ids: Sequence[int]) -> list[VersionTexts]:
    """The texts of each version; see ``Queries.texts``."""
    versions = records(connection.execute(VERSIONS, {"version_ids": list(set(version_ids))}))
    held = {row["version_id"]: row for row in versions}
    ids = numbers(held)
    found: dict[int, list[Text]] = {version_id: [] for version_id in held}
    for row in records(connection.execute(_CAPTIONS.format(ids=ids))):
        found[row["version_id"]].append(caption(row))
    for row in records(connection.execute(_SEGMENTS.format(ids=ids, spoken=spoken(held)))):
        found[row["version_id"]].append(segment(row))
    wanted = [version_id for version_id in dict.fromkeys(version_ids) if version_id in held]
    return [VersionTexts(**held[version_id], texts=found[version_id]) for version_id in wanted]


def caption(row: Row) -> Text:
    """A caption as the search finds it."""
    return Text(
        kind="caption",
        row_index=row["frame_index"],
        start_s=row["timestamp_s"],
        end_s=row["timestamp_s"],
        text=row["text"],
        evidence=rows.evidence(row),
    )


def segment(row: Row) -> Text:
    """A segment of speech as the search finds it."""
    return Text(
        kind="segment",
        row_index=row["segment_index"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        text=row["text"],
        evidence=rows.evidence(row),
    )
