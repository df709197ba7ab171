"""What all staged assets do alike: make rows, have them validated, stage them, and tell Dagster.

What does not belong here: how the rows of any one table are made.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import dagster as dg
import pandas as pd

from bri_assets.assets.metadata import column_schema
from bri_assets.assets.outcome import reported
from bri_assets.assets.progress import name_the_process
from bri_assets.assets.telling import telling
from bri_assets.checks.schema import schema_check, schema_failed, schema_passed
from bri_assets.errors import RowsInvalid
from bri_assets.interrupts import limited
from bri_assets.models.identity import ModelIdentity
from bri_assets.partitions import videos
from bri_assets.progress import noting
from bri_assets.schemas import TableSpec, validate
from bri_assets.settings import Settings
from bri_assets.staging import Manifest, Provenance, StagingArea

__all__ = [
    "Made",
    "StageResult",
    "by_model",
    "definition",
    "limits_s",
    "longest_run_s",
    "stage",
    "table",
    "versions",
]

StageResult = Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]


@dataclass(frozen=True)
class Made:
    """Rows as an asset made them, not yet validated, with how they were made and what a person would like to see."""

    rows: pd.DataFrame
    provenance: Provenance
    source_sha256: str
    metadata: dict[str, Any] = field(default_factory=dict)


def definition(spec: TableSpec, *, kinds: set[str]) -> dict[str, Any]:
    """The arguments of ``dg.asset`` that every staged asset shares; ``build_assets`` adds the code version."""
    return {
        "name": spec.name,
        "partitions_def": videos,
        "group_name": "staged",
        "kinds": kinds,
        "owners": ["team:bri"],
        "description": inspect.getdoc(spec.model),
        "metadata": {"dagster/column_schema": column_schema(spec)},
        "check_specs": [schema_check(spec)],
    }


def stage(
    context: dg.AssetExecutionContext,
    staging: StagingArea,
    settings: Settings,
    spec: TableSpec,
    make: Callable[[str], Made],
) -> StageResult:
    """Make, validate and stage one table of the video that is the partition.

    Args:
        context: of the asset.
        staging: where to.
        settings: of the process.
        spec: the table.
        make: is handed the video's id and makes the rows.

    Yields:
        The verdict of the check ``schema``, then the materialization.

    Raises:
        dagster.Failure, dagster.RetryRequested: see ``outcome.reported``; nothing was staged.
    """
    name_the_process(context, settings)
    video_id, started = context.partition_key, time.perf_counter()
    with (
        reported(context, settings.retries),
        noting(settings.home, video_id, spec.name, context.run.run_id),
        telling(context, settings, spec.name) as told,
    ):
        made = _made_in_time(settings, spec, video_id, make)
        try:
            rows = validate(spec, made.rows)
        except RowsInvalid as error:
            yield schema_failed(spec, len(made.rows), error)
            raise
        manifest = staging.write(
            spec,
            video_id,
            rows,
            provenance=_by_this_program(made.provenance, context),
            source_sha256=made.source_sha256,
            run_id=context.run.run_id,
            seconds=time.perf_counter() - started,
        )
        told.made(len(rows), model=made.provenance.model, result=made.provenance.outcome)
        yield schema_passed(spec, len(rows))
        yield dg.MaterializeResult(
            metadata={**made.metadata, **_described(manifest)},
            data_version=dg.DataVersion(manifest.content_sha256),
        )


def limits_s(settings: Settings) -> dict[str, float]:
    """Seconds after which each stage is stopped, by its table; a stage that is not there has no limit of its own."""
    return {
        "frames": settings.frames_limit_s,
        "captions": settings.captions_limit_s,
        "transcripts": settings.transcripts_limit_s,
        "detections": settings.detections_limit_s,
    }


def longest_run_s(settings: Settings) -> int:
    """Seconds after which a run of all stages, one after the other, can only be stuck: for ``dagster/max_runtime``.

    It allows for the retries, for what is done between the stages, and for stages that are stopped late.
    """
    return int(1.25 * sum(limits_s(settings).values())) + 3600


def by_model(
    identity: ModelIdentity,
    inputs: dict[str, str],
    *,
    outcome: str = "complete",
    parameters: dict[str, Any] | None = None,
) -> Provenance:
    """The provenance of rows that a model made.

    Args:
        identity: what the model says of itself.
        inputs: staged tables it read: table name to content hash.
        outcome: what came of it.
        parameters: of the asset, beside the model's own.
    """
    return Provenance(
        tool=identity.tool,
        tool_version=identity.tool_version,
        model=identity.model,
        weights_sha256=identity.weights_sha256,
        parameters=identity.parameters | (parameters or {}),
        inputs=inputs,
        outcome=outcome,
    )


def versions(*distributions: str) -> dict[str, str]:
    """Installed versions of libraries that have a part in the rows beside the tool, by their distributions' names."""
    return {name: version(name) for name in distributions}


def table(spec: TableSpec, records: Sequence[Any]) -> pd.DataFrame:
    """Dataclasses or mappings as rows with the table's columns; no records make a table of no rows."""
    plain = [record if isinstance(record, dict) else asdict(record) for record in records]
    return pd.DataFrame(plain, columns=[column.name for column in spec.columns])


def _made_in_time(settings: Settings, spec: TableSpec, video_id: str, make: Callable[[str], Made]) -> Made:
    limit_s = limits_s(settings).get(spec.name)
    if limit_s is None:
        return make(video_id)
    remedy = f"Find what it waited for, or raise BRI_{spec.name.upper()}_LIMIT_S for videos of this length."
    return limited(limit_s, lambda: make(video_id), subject=f"{spec.name} of {video_id}", remedy=remedy)


def _by_this_program(provenance: Provenance, context: dg.AssetExecutionContext) -> Provenance:
    """The provenance with the version of this package, whose code is between the tool and the rows.

    The code version lets a later run tell whether these rows are still what it would make.
    """
    (spec,) = context.assets_def.specs
    return provenance.model_copy(
        update={
            "parameters": provenance.parameters | versions("bri-assets"),
            "facts": provenance.facts | {"code_version": spec.code_version},
        }
    )


def _described(manifest: Manifest) -> dict[str, Any]:
    provenance = manifest.provenance
    shown: dict[str, Any] = {
        "dagster/row_count": manifest.row_count,
        "seconds": manifest.seconds,
        "tool": f"{provenance.tool} {provenance.tool_version}",
        "outcome": provenance.outcome,
        "parameters": provenance.parameters,
        "content_sha256": manifest.content_sha256,
        "staged_file": manifest.file,
    }
    if provenance.model is not None:
        shown |= {"model": provenance.model, "weights_sha256": provenance.weights_sha256 or ""}
    return shown
