"""The facts of a video's file as they were at a version.

The row in ``videos`` has those of the version that is shown; those of another version, where they differ (a newer probe
measures another duration), are read from what was staged for it, so that no read mixes the facts of one version with
the rows of another. What does not belong here: rows of any other table.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from bri_assets.content import content_sha256, rows_of
from bri_assets.errors import StagedDamaged, StagedMissing, StoreDamaged
from bri_assets.schemas import SOURCE_VIDEO, validate
from bri_assets.staging import Manifest, Provenance, StagingArea
from bri_assets.store import rows

__all__ = ["restore", "with_facts"]

_NAMES = [column.name for column in SOURCE_VIDEO.columns]


def with_facts(found: dict[str, Any], staging: StagingArea) -> dict[str, Any]:
    """What ``reads.video`` found, with the facts of the same version; may read a staged file of one row.

    Args:
        found: as ``reads.video`` returns it.
        staging: where the version's facts were staged.

    Raises:
        StoreDamaged: they are not those that were committed, and cannot be had.
    """
    video, lineage = found["video"], _lineage(found)
    if content_sha256(SOURCE_VIDEO, [_values(video)]) == lineage["content_sha256"]:
        return found
    if video["is_current"]:
        raise StoreDamaged(
            video["video_id"],
            "the row in videos is not that which was committed: somebody changed the database by hand.",
            "Materialize source_video and committed_video of this partition again, or restore a backup.",
        )
    return found | {"video": video | dict(zip(_NAMES, _staged(video, lineage, staging), strict=True))}


def restore(
    connection: duckdb.DuckDBPyConnection, found: dict[str, Any], *, who: str, at: datetime | None = None
) -> bool:
    """Bring the row in ``videos`` to the facts of a version; ids and hashes are the same for all of them.

    Args:
        connection: with a transaction open.
        found: as ``with_facts`` returns it.
        who: as ``audit.actor`` gives it.
        at: when; None for now.

    Returns:
        Whether there was anything to change.
    """
    wanted = _values(found["video"])
    query = f"SELECT {', '.join(_NAMES)} FROM videos WHERE video_id = ?"  # noqa: S608 - our own names
    if connection.execute(query, [found["video"]["video_id"]]).fetchone() == wanted:
        return False
    staged = validate(SOURCE_VIDEO, pd.DataFrame([wanted], columns=_NAMES))
    rows.upsert_video(connection, staged, who=who, at=at)
    return True


def _lineage(found: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in found["lineage"] if row["table_name"] == SOURCE_VIDEO.name)


def _values(video: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(video[name] for name in _NAMES)


def _staged(video: dict[str, Any], lineage: dict[str, Any], staging: StagingArea) -> tuple[Any, ...]:
    try:
        return rows_of(SOURCE_VIDEO, staging.read(_manifest(video["video_id"], lineage)))[0]
    except (StagedMissing, StagedDamaged) as error:
        raise StoreDamaged(
            video["video_id"],
            f"the facts of its file were others at version {video['version']}, and can no longer be had: {error.what}",
            f"Put {lineage['staged_file']} back from a backup of BRI_HOME, or take another version.",
        ) from error


def _manifest(video_id: str, lineage: dict[str, Any]) -> Manifest:
    """The manifest of what was staged, as far as the lineage keeps it: enough to read it and to prove it."""
    made_at: datetime = lineage["made_at"]
    return Manifest(
        table=SOURCE_VIDEO.name,
        video_id=video_id,
        file=Path(lineage["staged_file"]).name,
        row_count=lineage["row_count"],
        content_sha256=lineage["content_sha256"],
        source_sha256=lineage["source_sha256"],
        provenance=Provenance(
            tool=lineage["tool"],
            tool_version=lineage["tool_version"],
            model=lineage["model"],
            weights_sha256=lineage["weights_sha256"],
            parameters=json.loads(lineage["parameters"]),
            inputs=json.loads(lineage["inputs"]),
            outcome=lineage["outcome"],
        ),
        run_id=lineage["run_id"],
        seconds=lineage["seconds"],
        made_at=made_at,
    )
