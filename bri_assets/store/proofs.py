"""Proofs: invariants across tables, as named SQL that returns the rows which break them; none returned means proven.

Each runs over the rows of one version, inside the transaction that inserted them, beside three registered tables:

* ``manifests``: one row a staged table, shaped like ``lineage``;
* ``read_back``: ``table_name, row_count, content_sha256`` of the rows as the database holds them;
* ``image_hashes``: ``frame_index, image_sha256`` of the images as they lie on disk.

One invariant, one proof, one test that breaks it. Times are float64 seconds made from exact fractions: the 1e-6 in some
of them is far above their rounding and far below a frame. What does not belong here: what a single row must look like,
which the schemas and the database's constraints say, and what follows from a failed proof (``commit``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import duckdb

__all__ = ["PROOFS", "Proof", "ProofResult", "kept_proofs", "prove"]

#: Offending rows that are kept of one proof.
MOST_ROWS = 100


@dataclass(frozen=True)
class Proof:
    """An invariant: its name, what it says, and the SQL that returns the rows breaking it (``$version_id`` bound)."""

    name: str
    meaning: str
    sql: str


@dataclass(frozen=True)
class ProofResult:
    """How a proof came out: ``observed`` offending rows, of which at most 100 are kept, in ``seconds``."""

    proof: Proof
    observed: int
    rows: list[dict[str, Any]]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing offends."""
        return self.observed == 0


PROOFS = (
    Proof(
        "every_frame_has_a_caption",
        "Every frame has a caption.",
        """SELECT frame_index, timestamp_s FROM frames WHERE version_id = $version_id
           AND frame_index NOT IN (SELECT frame_index FROM captions WHERE version_id = $version_id)""",
    ),
    Proof(
        "no_more_captions_than_frames",
        "There are no more captions than frames.",
        """SELECT * FROM (SELECT (SELECT count(*) FROM captions WHERE version_id = $version_id) AS captions,
                                 (SELECT count(*) FROM frames WHERE version_id = $version_id) AS frames)
           WHERE captions > frames""",
    ),
    Proof(
        "every_caption_has_its_frame",
        "Every caption has its frame.",
        """SELECT frame_index, text FROM captions WHERE version_id = $version_id
           AND frame_index NOT IN (SELECT frame_index FROM frames WHERE version_id = $version_id)""",
    ),
    Proof(
        "every_detection_has_its_frame",
        "Every detection has its frame.",
        """SELECT frame_index, detection_index, class_name FROM detections WHERE version_id = $version_id
           AND frame_index NOT IN (SELECT frame_index FROM frames WHERE version_id = $version_id)""",
    ),
    Proof(
        "there_is_a_frame",
        "A video has at least one frame.",
        "SELECT 0 AS frames WHERE NOT EXISTS (FROM frames WHERE version_id = $version_id)",
    ),
    Proof(
        "frame_times_strictly_increase",
        "Frame times strictly increase.",
        """SELECT * FROM (SELECT frame_index, timestamp_s, lag(timestamp_s) OVER (ORDER BY frame_index) AS before_s
                          FROM frames WHERE version_id = $version_id) WHERE timestamp_s <= before_s""",
    ),
    Proof(
        "frame_times_lie_within_the_duration",
        "Frame times lie within the duration.",
        """SELECT f.frame_index, f.timestamp_s, v.duration_s
           FROM frames f JOIN video_versions n USING (version_id) JOIN videos v USING (video_id)
           WHERE f.version_id = $version_id AND f.timestamp_s > v.duration_s""",
    ),
    Proof(
        "every_slot_has_a_frame_or_is_recorded_as_empty",
        "Every sample slot has a frame or is recorded as empty, and never both.",
        """WITH slots AS (SELECT unnest(range(sample_slots))::INTEGER AS slot
                          FROM video_versions WHERE version_id = $version_id),
                empty AS (SELECT unnest(empty_slots) AS slot FROM video_versions WHERE version_id = $version_id),
                filled AS (SELECT frame_index AS slot FROM frames WHERE version_id = $version_id)
           SELECT slot, slot IN (FROM filled) AS has_frame, slot IN (FROM empty) AS recorded_as_empty
           FROM (FROM slots UNION FROM empty UNION FROM filled)
           WHERE slot NOT IN (FROM slots) OR (slot IN (FROM filled)) = (slot IN (FROM empty))""",
    ),
    Proof(
        "slots_cover_the_video",
        "There are as many sample slots as the time of the last video frame asks for.",
        """SELECT n.sample_slots, n.sample_interval_s, v.last_frame_s
           FROM video_versions n JOIN videos v USING (video_id) WHERE n.version_id = $version_id
           AND NOT ((n.sample_slots - 1) * n.sample_interval_s <= v.last_frame_s + 1e-6
                    AND n.sample_slots * n.sample_interval_s > v.last_frame_s - 1e-6)""",
    ),
    Proof(
        "every_frame_lies_in_its_slot",
        "A frame's time lies in its slot: at or after k × interval, before the next.",
        """SELECT f.frame_index, f.timestamp_s, n.sample_interval_s
           FROM frames f JOIN video_versions n USING (version_id) WHERE f.version_id = $version_id
           AND NOT (f.timestamp_s >= f.frame_index * n.sample_interval_s - 1e-6
                    AND f.timestamp_s < (f.frame_index + 1) * n.sample_interval_s + 1e-6)""",
    ),
    Proof(
        "transcript_segments_are_ordered",
        "Transcript segments are numbered from 0 without gaps, and none starts before the one before it.",
        """SELECT * FROM (SELECT segment_index, start_s, lag(start_s) OVER by_index AS before_s,
                                 row_number() OVER by_index - 1 AS position
                          FROM transcripts WHERE version_id = $version_id WINDOW by_index AS (ORDER BY segment_index))
           WHERE segment_index <> position OR start_s < before_s""",
    ),
    Proof(
        "transcript_segments_end_within_the_duration",
        "Transcript segments end within the duration.",
        """SELECT t.segment_index, t.end_s, v.duration_s
           FROM transcripts t JOIN video_versions n USING (version_id) JOIN videos v USING (video_id)
           WHERE t.version_id = $version_id AND t.end_s > v.duration_s""",
    ),
    Proof(
        "audio_has_a_transcript_result",
        "Audio means that a transcriber ran (an empty result is one); no audio means that there are no segments.",
        """SELECT v.has_audio, n.transcript_outcome, n.transcript_segments
           FROM video_versions n JOIN videos v USING (video_id) WHERE n.version_id = $version_id
           AND (v.has_audio <> (n.transcript_outcome = 'transcribed')
                OR (NOT v.has_audio AND EXISTS (FROM transcripts WHERE version_id = $version_id)))""",
    ),
    Proof(
        "boxes_lie_inside_their_frame",
        "Boxes lie inside their frame.",
        """SELECT d.frame_index, d.detection_index, d.x1, d.y1, d.x2, d.y2, f.width, f.height
           FROM detections d JOIN frames f USING (version_id, frame_index)
           WHERE d.version_id = $version_id AND (d.x1 < 0 OR d.y1 < 0 OR d.x2 > f.width OR d.y2 > f.height)""",
    ),
    Proof(
        "row_counts_equal_the_manifests",
        "Row counts equal those of the staged manifests, and the version says the same.",
        """SELECT m.table_name, r.row_count AS rows, m.row_count AS staged,
                  CASE m.table_name WHEN 'frames' THEN n.frames WHEN 'captions' THEN n.captions
                       WHEN 'transcripts' THEN n.transcript_segments WHEN 'detections' THEN n.detections
                       ELSE m.row_count END AS recorded
           FROM manifests m LEFT JOIN read_back r USING (table_name)
           JOIN video_versions n ON n.version_id = $version_id
           WHERE rows IS DISTINCT FROM staged OR recorded <> staged""",
    ),
    Proof(
        "content_hashes_equal_the_manifests",
        "The rows, read back, have the content hash of the staged manifests.",
        """SELECT m.table_name, r.content_sha256 AS rows, m.content_sha256 AS staged
           FROM manifests m LEFT JOIN read_back r USING (table_name)
           WHERE r.content_sha256 IS DISTINCT FROM m.content_sha256""",
    ),
    Proof(
        "all_tables_come_from_the_same_source",
        "All tables were made from the bytes of this video, none is missing.",
        """SELECT t.table_name, m.source_sha256, v.sha256 AS video_sha256
           FROM (SELECT unnest(['source_video', 'frames', 'captions', 'transcripts', 'detections']) AS table_name) t
           LEFT JOIN manifests m USING (table_name)
           JOIN video_versions n ON n.version_id = $version_id JOIN videos v USING (video_id)
           WHERE m.source_sha256 IS DISTINCT FROM v.sha256""",
    ),
    Proof(
        "inputs_are_the_staged_tables",
        "What a table was made from is what is committed beside it: no captions of an earlier run's frames.",
        """SELECT m.table_name, i.key AS input, i.value ->> '$' AS made_from, s.content_sha256 AS staged
           FROM manifests m, json_each(m.inputs) i LEFT JOIN manifests s ON s.table_name = i.key
           WHERE made_from IS DISTINCT FROM staged""",
    ),
    Proof(
        "every_image_is_the_staged_one",
        "Every frame's image on disk has the hash that was staged.",
        """SELECT f.frame_index, f.image_path, f.image_sha256 AS staged, i.image_sha256 AS on_disk
           FROM frames f LEFT JOIN image_hashes i USING (frame_index)
           WHERE f.version_id = $version_id AND i.image_sha256 IS DISTINCT FROM f.image_sha256""",
    ),
    Proof(
        "class_statistics_equal_the_detections",
        "The statistics of classes are those of the detections.",
        """WITH counted AS (SELECT class_name, count(DISTINCT frame_index) AS frames, count(*) AS detections
                            FROM detections WHERE version_id = $version_id GROUP BY class_name),
                kept AS (SELECT class_name, frames, detections FROM video_class_stats WHERE version_id = $version_id)
           SELECT class_name, c.frames AS frames, k.frames AS recorded_frames, c.detections AS detections,
                  k.detections AS recorded_detections
           FROM counted c FULL JOIN kept k USING (class_name)
           WHERE c.frames IS DISTINCT FROM k.frames OR c.detections IS DISTINCT FROM k.detections""",
    ),
)


def prove(connection: duckdb.DuckDBPyConnection, version_id: int) -> list[ProofResult]:
    """Run every proof over one version's rows; the three tables above must be registered.

    Returns:
        One result a proof, in order; it raises for no failed proof.
    """
    return [_prove(connection, proof, version_id) for proof in PROOFS]


def kept_proofs(connection: duckdb.DuckDBPyConnection, version_id: int) -> list[ProofResult]:
    """How the proofs of a version came out when it was committed, but for those that this program does not know."""
    kept = "SELECT proof, observed, seconds FROM proofs WHERE version_id = ?"
    found = connection.execute(kept, [version_id]).fetchall()
    known = {proof.name: proof for proof in PROOFS}
    return [ProofResult(known[name], observed, [], seconds) for name, observed, seconds in found if name in known]


def _prove(connection: duckdb.DuckDBPyConnection, proof: Proof, version_id: int) -> ProofResult:
    started = time.perf_counter()
    parameters = {"version_id": version_id} if "$version_id" in proof.sql else None
    cursor = connection.execute(proof.sql, parameters)
    names = [column[0] for column in cursor.description or ()]
    found = cursor.fetchall()
    rows = [dict(zip(names, row, strict=True)) for row in found[:MOST_ROWS]]
    return ProofResult(proof, len(found), rows, time.perf_counter() - started)
