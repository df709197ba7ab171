"""Versions and pointers: ``video_versions``, ``current_versions``, ``pointer_history``.

And what is kept with each version: ``lineage``, ``proofs``, ``video_class_stats``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, UtcTime, column, rule

__all__ = ["CurrentVersions", "Lineage", "PointerHistory", "Proofs", "Quality", "VideoClassStats", "VideoVersions"]


class VideoVersions(TableModel):
    """Committed sets of all four tables, one row a version; rows are added and marked, never changed otherwise."""

    version_id: Series[np.int64] = column("Number of the version in the whole store, growing.", ge=1)
    video_id: Series[str] = column("The video.")
    version: Series[np.int32] = column("Number of the version of this video, from 1.", ge=1)
    run_id: Series[str] = column("Dagster run that committed it.")
    bundle_sha256: Series[str] = column(
        "SHA-256 over the staged manifests; the same bundle is one version.", unique=True
    )
    source_sha256: Series[str] = column("SHA-256 of the upload's bytes.", str_matches=r"^[0-9a-f]{64}$")
    state: Series[str] = column("`committed`, or `archived` when its rows were moved.", isin=["committed", "archived"])
    frames: Series[np.int32] = column("Rows in `frames`, >= 0.", ge=0)
    captions: Series[np.int32] = column("Rows in `captions`, >= 0.", ge=0)
    transcript_segments: Series[np.int32] = column("Rows in `transcripts`, >= 0.", ge=0)
    detections: Series[np.int32] = column("Rows in `detections`, >= 0.", ge=0)
    transcript_outcome: Series[str] = column(
        "`transcribed`, or `no_audio`: an empty transcript is a result.", isin=["transcribed", "no_audio"]
    )
    sample_interval_s: Series[np.float64] = column("Seconds between two sample slots, > 0.", gt=0)
    sample_slots: Series[np.int32] = column("Sample slots in the video, > 0.", gt=0)
    empty_slots: Series[object] = column("Sample slots that hold no frame (a gap in the video).", sql_type="INTEGER[]")
    committed_at: Series[UtcTime] = column("When it was committed, UTC.")
    committed_by: Series[str] = column("Who committed it.")


class CurrentVersions(TableModel):
    """The pointer that readers follow: the version of each video that is shown."""

    video_id: Series[str] = column("The video.")
    version_id: Series[np.int64] = column("Its version that is shown.", ge=1)
    changed_at: Series[UtcTime] = column("When the pointer was set, UTC.")
    changed_by: Series[str] = column("Who set it.")


class PointerHistory(TableModel):
    """Every change of a pointer, append-only, in the order of its own sequence and not of the clock."""

    change_id: Series[np.int64] = column("Number of the change, growing.", ge=1)
    video_id: Series[str] = column("The video.")
    from_version_id: Series[pd.Int64Dtype] = column("What was shown before; null at first.", nullable=True)
    to_version_id: Series[np.int64] = column("What is shown from then on.", ge=1)
    cause: Series[str] = column("Why it changed: `commit`, …")
    changed_at: Series[UtcTime] = column("When, UTC.")
    changed_by: Series[str] = column("Who.")


class Lineage(TableModel):
    """How each table of a version was made: enough to make it again."""

    table_name: Series[str] = column("`source_video`, `frames`, `captions`, `detections` or `transcripts`.")
    tool: Series[str] = column("Library that made the rows.")
    tool_version: Series[str] = column("Its version.")
    model: Series[str] = column("Model that was used; null for tools without one.", nullable=True)
    weights_sha256: Series[str] = column("SHA-256 of the model's weights; null without a model.", nullable=True)
    parameters: Series[str] = column("Parameters that change the result, JSON.", sql_type="JSON")
    inputs: Series[str] = column("Staged tables it was made from, as JSON: table to content hash.", sql_type="JSON")
    outcome: Series[str] = column("What came of it: `complete`, `transcribed`, `no_audio`.")
    source_sha256: Series[str] = column("SHA-256 of the upload's bytes that were read.", str_matches=r"^[0-9a-f]{64}$")
    content_sha256: Series[str] = column("SHA-256 over the canonical rows.", str_matches=r"^[0-9a-f]{64}$")
    row_count: Series[np.int64] = column("Rows, >= 0.", ge=0)
    manifest_sha256: Series[str] = column("SHA-256 of the staged manifest.", str_matches=r"^[0-9a-f]{64}$")
    staged_file: Series[str] = column("Staged Parquet file, relative to BRI_HOME.")
    run_id: Series[str] = column("Dagster run that made it.")
    seconds: Series[np.float64] = column("Seconds that it took, >= 0.", ge=0)
    made_at: Series[UtcTime] = column("When it was made, UTC.")


class Proofs(TableModel):
    """The proofs that allowed the commit of a version, as they came out."""

    proof: Series[str] = column("Name of the proof.")
    passed: Series[np.bool_] = column("Always true: a version with a failed proof does not exist.")
    observed: Series[np.int64] = column("Offending rows that were found.", ge=0)
    expected: Series[np.int64] = column("Offending rows that are allowed.", ge=0)
    seconds: Series[np.float64] = column("Seconds that it took, >= 0.", ge=0)


class VideoClassStats(TableModel):
    """Where each class of object is seen in a version, so that finding it across videos never scans detections."""

    class_name: Series[str] = column("Name of the class.", str_length={"min_value": 1})
    class_id: Series[np.int32] = column("Number of the class in the detector's model.", ge=0)
    frames: Series[np.int32] = column("Frames in which it is seen, > 0.", gt=0)
    detections: Series[np.int32] = column("Objects of the class in all frames, > 0.", gt=0)
    first_s: Series[np.float64] = column("Time of the first frame with it, in seconds.", ge=0)
    last_s: Series[np.float64] = column("Time of the last frame with it, in seconds.", ge=0)

    seen_first_before_last = rule("first_s <= last_s")


class Quality(TableModel):
    """Quality figures of a version, as they were when it was committed; what each means is in `store/quality.py`."""

    figure: Series[str] = column("Name of the figure, as `completeness`.", str_length={"min_value": 1})
    value: Series[np.float64] = column("Its value; null where there is nothing to measure.", nullable=True)
