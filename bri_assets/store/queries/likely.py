"""The texts of many versions that may hold a word, for a search that has no index to look it up in.

What does not belong here: whether a word is really there (``bri_assets.search``), and all texts of a version
(``texts``).
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from bri_assets.store.queries.model import Text, VersionTexts
from bri_assets.store.queries.rows import EVIDENCE, numbers, records
from bri_assets.store.queries.speech import spoken
from bri_assets.store.queries.texts import VERSIONS, caption, segment

__all__ = ["likely"]

_MATCHES = "len(list_filter($beginnings::VARCHAR[], lambda part: contains(strip_accents(lower(text)), part)))"

#: Rows with the most beginnings first, then the newest.
_PICKED = f"""
SELECT kind, version_id, number FROM (
    SELECT 'caption' AS kind, version_id, frame_index AS number, {_MATCHES} AS matches
    FROM captions WHERE version_id IN ({{ids}})
    UNION ALL
    SELECT 'segment', version_id, segment_index, {_MATCHES} FROM transcripts WHERE version_id IN ({{ids}})
) WHERE matches > 0 ORDER BY matches DESC, version_id DESC, number LIMIT $most
"""  # noqa: S608 - our own text

_CAPTIONS = f"""
SELECT version_id, {EVIDENCE}, text
FROM (SELECT unnest($version_ids::BIGINT[]) AS version_id, unnest($numbers::INTEGER[]) AS frame_index)
JOIN (SELECT version_id, frame_index, text FROM captions WHERE version_id IN ({{ids}})) USING (version_id, frame_index)
JOIN (SELECT version_id, {EVIDENCE} FROM frames WHERE version_id IN ({{ids}})) USING (version_id, frame_index)
ORDER BY version_id, frame_index
"""  # noqa: S608 - our own text

_SEGMENTS = """
WITH said AS (
    SELECT version_id, segment_index, start_s, end_s, text
    FROM (SELECT unnest($version_ids::BIGINT[]) AS version_id, unnest($numbers::INTEGER[]) AS segment_index)
    JOIN (SELECT * FROM transcripts WHERE version_id IN ({ids})) USING (version_id, segment_index)
)
{spoken} ORDER BY version_id, segment_index
"""


def likely(
    connection: duckdb.DuckDBPyConnection, version_ids: Sequence[int], beginnings: Sequence[str], limit: int
) -> list[VersionTexts]:
    """The texts with the beginning of a word; see ``Queries.texts_like``."""
    told = records(connection.execute(VERSIONS, {"version_ids": list(set(version_ids))}))
    held = {row["version_id"]: row for row in told}
    asked = {"beginnings": list(beginnings), "most": limit}
    picked = connection.execute(_PICKED.format(ids=numbers(held)), asked).fetchall()
    found: dict[int, list[Text]] = {}
    for kind, statement, make in (("caption", _CAPTIONS, caption), ("segment", _SEGMENTS, segment)):
        some = [(version_id, number) for what, version_id, number in picked if what == kind]
        ids = [version_id for version_id, _ in some]
        wanted = {"version_ids": ids, "numbers": [number for _, number in some]}
        for row in records(connection.execute(statement.format(ids=numbers(ids), spoken=spoken(ids)), wanted)):
            found.setdefault(row["version_id"], []).append(make(row))
    return [VersionTexts(**held[version_id], texts=texts) for version_id, texts in sorted(found.items())]
