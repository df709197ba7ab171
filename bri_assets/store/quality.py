"""Quality figures: what is measured of a version, by SQL over its rows, in the transaction that inserts them.

Only rows that belong to the version are read, and no setting: a figure is the same whenever and wherever it is measured
again, in a replay after a restore too. Shares and confidences run from 0 to 1. A figure is None where there is nothing
to measure. What does not belong here: what is too low or too high (``verdicts``), reads of the figures (``measured``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import duckdb

__all__ = ["FIGURES", "Figure", "Figures", "kept", "measure", "record"]

Figures = dict[str, float | None]

#: Below this a caption or detection is one of low confidence. The detector keeps nothing below it by default.
LOW_CONFIDENCE = 0.25
#: The same for words: exp(-1), where Whisper itself counts a decoding as failed and tries again.
LOW_WORDS_CONFIDENCE = 0.37
#: With more of the one and less of the other a segment was probably heard in silence. As ``models.transcriber`` says,
#: speech had a no_speech_prob of at most 0.28 where its confidence was below 0.75, and at most 0.42 where it was not.
SILENCE_NO_SPEECH_PROB, SILENCE_CONFIDENCE = 0.3, 0.75
#: Two frames whose perceptual hashes differ in more bits of 64 show other pictures: in the sample clip 26 and 28 do
#: where the scene changes, at most 10 within one.
CHANGED_BITS = 20
#: With fewer changes of the picture than these, that captions stay the same says nothing.
LEAST_CHANGES = 2
#: The same of segments that follow one another.
LEAST_PAIRS = 4
#: A caption of fewer letters and digits is as good as empty.
LEAST_LETTERS = 3
#: The tool that makes captions of detections: its confidence is theirs, and the same things are the same sentence.
SENTENCE_MAKER = "bri_assets.objects"

_DIGITS = 9


@dataclass(frozen=True)
class Figure:
    """A figure.

    Args:
        name: stable; what ``quality.figure`` holds.
        kind: ``completeness``, ``accuracy`` or ``volume``.
        table: whose rows it tells of; empty for all of them.
        meaning: as half a sentence.
        unit: `share`, `probability`, `rows/min`, `rows/frame`.
        better: the direction in which it is better; ``neither`` where it is neither.
        source: what it is read from.
        setting: field of ``Settings`` with its threshold; empty without one.
        least_spread: of a volume that is compared with others: the spread that videos have at least, in its unit, so
            that few who differ a little from many who are all alike are not far from them.
    """

    name: str
    kind: Literal["completeness", "accuracy", "volume"]
    table: str
    meaning: str
    unit: Literal["share", "probability", "rows/min", "rows/frame"]
    better: Literal["more", "less", "neither"]
    source: str
    setting: str = ""
    least_spread: float = 0.0

    @property
    def highest(self) -> float | None:
        """Its highest possible value; None where it has no limit. The lowest is 0."""
        return 1.0 if self.unit in ("share", "probability") else None


def _complete(name: str, table: str, meaning: str, source: str) -> Figure:
    return Figure(name, "completeness", table, meaning, "share", "more", source, "completeness_min")


def _confidence(table: str, what: str, source: str) -> Figure:
    name, meaning = f"{table}_confidence", f"mean confidence of the {what}"
    return Figure(name, "accuracy", table, meaning, "probability", "more", source, "confidence_min")


def _flaw(name: str, table: str, meaning: str, source: str, setting: str = "") -> Figure:
    return Figure(name, "accuracy", table, meaning, "share", "less", source, setting)


def _volume(name: str, table: str, meaning: str, unit: Literal["rows/min", "rows/frame"], spread: float = 0) -> Figure:
    setting = "volume_deviation_max" if spread else ""
    return Figure(name, "volume", table, meaning, unit, "neither", f"rows of `{table}`", setting, spread)


_FIGURES = (
    _complete("completeness", "", "least of the four below", "the four below"),
    _complete("frames_completeness", "frames", "frames for each sample slot", "`frames`, `sample_slots`"),
    _complete("captions_completeness", "captions", "frames that have a caption", "`captions`, `frames`"),
    _complete(
        "transcripts_completeness",
        "transcripts",
        "1 where the sound was transcribed or there is none, else 0",
        "the lineage of `transcripts`",
    ),
    _complete(
        "detections_completeness",
        "detections",
        "1 where the detector ran over these frames, else 0",
        "the lineage of `detections` and `frames`",
    ),
    _confidence("captions", "captions; none where they are made of detections", "`captions.confidence`"),
    _flaw(
        "captions_low_confidence_share",
        "captions",
        f"captions with a confidence below {LOW_CONFIDENCE}; none where they are made of detections",
        "`captions.confidence`",
        "low_confidence_share_max",
    ),
    _flaw(
        "captions_stuck_share",
        "captions",
        "captions that repeat the one before them though the picture changed, of all where it changed;"
        f" none where that is fewer than {LEAST_CHANGES} times or they are made of detections",
        f"`captions.text`, `frames.phash` (more than {CHANGED_BITS} bits of 64 differ)",
        "repeated_captions_max",
    ),
    _flaw("captions_repeated_share", "captions", "captions that repeat the one before them", "`captions.text`"),
    _flaw("captions_commonest_share", "captions", "captions that say what most of them say", "`captions.text`"),
    _flaw(
        "captions_empty_share",
        "captions",
        f"captions with fewer than {LEAST_LETTERS} letters or digits",
        "`captions.text`",
        "empty_captions_max",
    ),
    _confidence("transcripts", "segments", "`transcripts.confidence`"),
    _flaw(
        "transcripts_low_confidence_share",
        "transcripts",
        f"segments with a confidence below {LOW_WORDS_CONFIDENCE}",
        "`transcripts.confidence`",
        "low_confidence_share_max",
    ),
    _flaw(
        "transcripts_silence_share",
        "transcripts",
        "segments probably heard in silence:"
        f" no_speech_prob above {SILENCE_NO_SPEECH_PROB} and a confidence below {SILENCE_CONFIDENCE}",
        "`transcripts.no_speech_prob`, `transcripts.confidence`",
        "silence_share_max",
    ),
    _flaw(
        "transcripts_repeated_share",
        "transcripts",
        f"segments that repeat one of the two before them; none where there are not more than {LEAST_PAIRS}",
        "`transcripts.text`",
        "repeated_words_max",
    ),
    _confidence("detections", "detections", "`detections.confidence`"),
    _flaw(
        "detections_low_confidence_share",
        "detections",
        f"detections with a confidence below {LOW_CONFIDENCE}",
        "`detections.confidence`",
        "low_confidence_share_max",
    ),
    _volume("frames_per_minute", "frames", "frames a minute", "rows/min"),
    _volume("captions_per_minute", "captions", "captions a minute", "rows/min"),
    _volume("segments_per_minute", "transcripts", "segments a minute; none without sound", "rows/min", 5.0),
    _volume("detections_per_minute", "detections", "detections a minute", "rows/min"),
    _volume("detections_per_frame", "detections", "detections a frame", "rows/frame", 1.0),
)

#: Every figure by its name.
FIGURES = {figure.name: figure for figure in _FIGURES}

#: A minute is one of what was sampled, slots times interval: the file's duration stands in no row of the version. The
#: parts, of a row each, are put side by side: the planner takes 6 ms more over any other join of so many.
_MEASURE = rf"""
WITH version AS (
    SELECT sample_slots AS slots, sample_slots * sample_interval_s / 60 AS minutes,
           transcript_outcome = 'transcribed' AS has_sound
    FROM video_versions WHERE version_id = $version_id
), made AS (
    SELECT coalesce(bool_or(table_name = 'captions' AND tool = '{SENTENCE_MAKER}'), false) AS by_objects,
           coalesce(bool_or(table_name = 'transcripts'), false) AS heard,
           max(content_sha256) FILTER (table_name = 'frames') IS NOT DISTINCT FROM
               max(inputs ->> 'frames') FILTER (table_name = 'detections') AS searched
    FROM lineage WHERE version_id = $version_id
), frame AS (
    SELECT count(*) AS frames FROM frames WHERE version_id = $version_id
), caption AS (
    SELECT said, confidence, lag(said) OVER by_time AS before,
           bit_count(xor(picture, lag(picture) OVER by_time)) > {CHANGED_BITS} AS changed
    FROM (SELECT frame_index, confidence, lower(trim(text)) AS said, ('0x' || phash)::UBIGINT AS picture
          FROM captions JOIN frames USING (version_id, frame_index) WHERE version_id = $version_id)
    WINDOW by_time AS (ORDER BY frame_index)
), caption_counts AS (
    SELECT count(*) AS captions, favg(confidence) AS c_mean, count(*) FILTER (confidence < {LOW_CONFIDENCE}) AS c_low,
           count(before) AS c_pairs, count(*) FILTER (said = before) AS c_repeated,
           count(*) FILTER (changed) AS changes,
           count(*) FILTER (changed AND said = before) AS stuck,
           count(*) FILTER (length(regexp_replace(said, '[^\p{{L}}\p{{N}}]', '', 'g')) < {LEAST_LETTERS}) AS hollow
    FROM caption
), commonest_caption AS (
    SELECT max(same) AS commonest FROM (SELECT count(*) AS same FROM caption GROUP BY said)
), segment AS (
    SELECT confidence, no_speech_prob, lower(trim(text)) AS said, lag(lower(trim(text))) OVER in_order AS before,
           lag(lower(trim(text)), 2) OVER in_order AS earlier
    FROM transcripts WHERE version_id = $version_id WINDOW in_order AS (ORDER BY segment_index)
), segment_counts AS (
    SELECT count(*) AS segments, favg(confidence) AS t_mean,
           count(*) FILTER (confidence < {LOW_WORDS_CONFIDENCE}) AS t_low, count(before) AS t_pairs,
           count(*) FILTER (no_speech_prob > {SILENCE_NO_SPEECH_PROB} AND confidence < {SILENCE_CONFIDENCE}) AS silent,
           count(*) FILTER (said = before OR said = earlier) AS t_repeated
    FROM segment
), detection_counts AS (
    SELECT count(*) AS detections, favg(confidence) AS d_mean, count(*) FILTER (confidence < {LOW_CONFIDENCE}) AS d_low
    FROM detections WHERE version_id = $version_id
)
SELECT least(frames / slots, 1.0) AS frames_completeness,
       coalesce(least(captions / nullif(frames, 0), 1.0), 0.0) AS captions_completeness,
       heard::DOUBLE AS transcripts_completeness, searched::DOUBLE AS detections_completeness,
       least(frames_completeness, captions_completeness, transcripts_completeness, detections_completeness)
           AS completeness,
       CASE WHEN NOT by_objects THEN c_mean END AS captions_confidence,
       CASE WHEN NOT by_objects THEN c_low / nullif(captions, 0) END AS captions_low_confidence_share,
       CASE WHEN NOT by_objects AND changes >= {LEAST_CHANGES} THEN stuck / changes END AS captions_stuck_share,
       c_repeated / nullif(c_pairs, 0) AS captions_repeated_share,
       commonest / nullif(captions, 0) AS captions_commonest_share,
       hollow / nullif(captions, 0) AS captions_empty_share,
       t_mean AS transcripts_confidence, t_low / nullif(segments, 0) AS transcripts_low_confidence_share,
       silent / nullif(segments, 0) AS transcripts_silence_share,
       CASE WHEN t_pairs >= {LEAST_PAIRS} THEN t_repeated / t_pairs END AS transcripts_repeated_share,
       d_mean AS detections_confidence, d_low / nullif(detections, 0) AS detections_low_confidence_share,
       frames / minutes AS frames_per_minute, captions / minutes AS captions_per_minute,
       CASE WHEN has_sound THEN segments / minutes END AS segments_per_minute,
       detections / minutes AS detections_per_minute, detections / nullif(frames, 0) AS detections_per_frame
FROM version POSITIONAL JOIN made POSITIONAL JOIN frame POSITIONAL JOIN caption_counts
     POSITIONAL JOIN commonest_caption POSITIONAL JOIN segment_counts POSITIONAL JOIN detection_counts
WHERE slots IS NOT NULL
"""  # noqa: S608 - our own numbers


def measure(connection: duckdb.DuckDBPyConnection, version_id: int) -> Figures:
    """The figures of a version whose rows are in the database; of one that is not there, none.

    Args:
        connection: an open store.
        version_id: the version.
    """
    found = connection.execute(_MEASURE, {"version_id": version_id})
    names = [column[0] for column in found.description or ()]
    row = found.fetchone()
    if row is None:
        return {}
    values = dict(zip(names, row, strict=True))
    return {name: _plain(values[name]) for name in FIGURES}


def record(connection: duckdb.DuckDBPyConnection, version_id: int) -> Figures:
    """Measure a version and keep what is not kept yet, in the caller's transaction; returns what was measured.

    Args:
        connection: with a transaction open.
        version_id: the version, whose rows are in the database.
    """
    figures = measure(connection, version_id)
    connection.execute(
        """INSERT INTO quality SELECT $version_id, unnest($names::VARCHAR[]), unnest($values::DOUBLE[])
           ON CONFLICT DO NOTHING""",
        {"version_id": version_id, "names": list(figures), "values": list(figures.values())},
    )
    return figures


def kept(connection: duckdb.DuckDBPyConnection, version_id: int) -> Figures:
    """The figures of a version as they were kept, in the order of ``FIGURES``; none where it was never measured."""
    query = "SELECT figure, value FROM quality WHERE version_id = ?"
    found: Figures = dict(connection.execute(query, [version_id]).fetchall())
    return {name: found[name] for name in FIGURES if name in found}


def _plain(value: float | None) -> float | None:
    """Rounded, for the order in which rows are summed may change the last bits; what is no number is nothing."""
    return None if value is None or not math.isfinite(value) else round(float(value), _DIGITS)
