"""Staged tables: validated rows on disk that are not yet visible to any reader.

One Parquet file a table and video, each with a manifest that says what the rows are, and how and from what they were
made. Files are named by their content and never rewritten, so a commit reads what its manifests name even while a later
run stages anew. What does not belong here: the database (``store``) and Dagster (``assets``).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bri_assets.content import canonical, content_sha256, rows_of
from bri_assets.errors import StagedDamaged, StagedMissing
from bri_assets.files import sha256_bytes, write_atomically
from bri_assets.schemas import STAGED_TABLES, TableSpec

__all__ = ["Bundle", "Manifest", "Provenance", "Source", "StagingArea"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the record as canonical JSON (sorted keys, no spaces)."""
        return sha256_bytes(canonical(self.model_dump(mode="json")))


_R = TypeVar("_R", bound=_Record)


class Source(_Record):
    """The upload that a video's assets read: written by intake when it accepts a file.

    Args:
        video_id: the video, which is the partition.
        path: absolute path of the file.
        filename: name under which it arrived.
        sha256: hash of the bytes that were accepted.
        signature: size, times and inode at that moment, as ``media.fingerprint.Signature`` writes them.
    """

    video_id: str
    path: str
    filename: str
    sha256: str
    signature: str


class Provenance(_Record):
    """How rows were made.

    Args:
        tool: library that made them, with its ``tool_version``.
        model: name of the model, with the ``weights_sha256`` that were used; None for tools without one.
        parameters: everything that changes the result.
        inputs: staged tables they were made from: table name to content hash.
        outcome: ``complete``; for transcripts ``transcribed`` or ``no_audio``.
        facts: what else the commit needs to know (for frames the sample slots).
    """

    tool: str
    tool_version: str
    model: str | None = None
    weights_sha256: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)
    outcome: str = "complete"
    facts: dict[str, Any] = Field(default_factory=dict)


class Manifest(_Record):
    """What one staged file holds.

    Args:
        table: a key of ``schemas.STAGED_TABLES``.
        video_id: the video.
        file: name of the Parquet file in the video's folder of the staging area.
        row_count: rows in it, >= 0.
        content_sha256: ``content_sha256`` of its rows.
        source_sha256: hash of the upload's bytes they were made from.
        provenance: how they were made.
        run_id: Dagster run that made them.
        seconds: what it took.
        made_at: when, UTC.
    """

    table: str
    video_id: str
    file: str
    row_count: int = Field(ge=0)
    content_sha256: str
    source_sha256: str
    provenance: Provenance
    run_id: str
    seconds: float = Field(ge=0)
    made_at: datetime


@dataclass(frozen=True)
class Bundle:
    """One manifest for each staged table of a video: what one commit makes visible."""

    video_id: str
    manifests: Mapping[str, Manifest]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over the manifests: the same bundle has the same hash, wherever it is committed."""
        return sha256_bytes(canonical({name: manifest.digest for name, manifest in self.manifests.items()}))


@dataclass(frozen=True)
class StagingArea:
    """The folder of staged tables.

    Files are ``<video_id>/<table>-<hash>.parquet`` and ``.json``; ``<table>.json`` repeats the newest manifest.

    Args:
        root: the folder; made when first written to.
    """

    root: Path

    def accept(self, source: Source) -> None:
        """Record which file a video's assets read.

        Raises:
            StorageFailed: the disk refused.
        """
        self._write_record(source.video_id, "upload.json", source)

    def source(self, video_id: str) -> Source:
        """The file that a video's assets read.

        Raises:
            StagedMissing: intake never accepted such a video.
            StagedDamaged: the record cannot be read.
        """
        return self._read_record(video_id, "upload.json", Source)

    def write(
        self,
        spec: TableSpec,
        video_id: str,
        rows: pd.DataFrame,
        *,
        provenance: Provenance,
        source_sha256: str,
        run_id: str,
        seconds: float,
    ) -> Manifest:
        """Stage validated rows, durably, and make them the newest of their table.

        Raises:
            StorageFailed: the disk refused; the table staged before is still the newest.
        """
        content = content_sha256(spec, rows_of(spec, rows))
        manifest = Manifest(
            table=spec.name,
            video_id=video_id,
            file=f"{spec.name}-{content[:12]}.parquet",
            row_count=len(rows),
            content_sha256=content,
            source_sha256=source_sha256,
            provenance=provenance,
            run_id=run_id,
            seconds=round(seconds, 3),
            made_at=datetime.now(UTC),
        )
        write_atomically(self.path(manifest), _parquet(rows))
        self.read(manifest)
        self._write_record(video_id, f"{spec.name}-{manifest.digest[:12]}.json", manifest)
        self._write_record(video_id, f"{spec.name}.json", manifest)
        return manifest

    def newest(self, video_id: str, table: str) -> Manifest:
        """The manifest of what was staged last.

        Raises:
            StagedMissing: nothing was.
            StagedDamaged: the manifest cannot be read.
        """
        manifest = self._read_record(video_id, f"{table}.json", Manifest)
        staged = self.root / video_id / f"{table}-{manifest.digest[:12]}.json"
        if not staged.exists():
            path = self.root / video_id / f"{table}.json"
            raise StagedDamaged(path, "is no manifest that was staged.", _rematerialize(table))
        return manifest

    def bundle(self, video_id: str) -> Bundle:
        """The newest of every table.

        Raises:
            StagedMissing: a table was never staged.
            StagedDamaged: a manifest cannot be read.
        """
        return Bundle(video_id, {table: self.newest(video_id, table) for table in STAGED_TABLES})

    def bundle_of(self, video_id: str, digests: Mapping[str, str]) -> Bundle:
        """The bundle whose manifests have these digests, by table, as a commit recorded them.

        Raises:
            StagedMissing: a manifest is gone.
            StagedDamaged: a manifest is not the one that was committed.
        """
        manifests = {}
        for table in STAGED_TABLES:
            name = f"{table}-{digests[table][:12]}.json"
            manifests[table] = self._read_record(video_id, name, Manifest)
            if manifests[table].digest != digests[table]:
                path = self.root / video_id / name
                raise StagedDamaged(path, "is not the manifest that was committed.", _rematerialize(table))
        return Bundle(video_id, manifests)

    def path(self, manifest: Manifest) -> Path:
        """Where the Parquet file of a manifest lies."""
        return self.root / manifest.video_id / manifest.file

    def read(self, manifest: Manifest) -> pd.DataFrame:
        """The rows that a manifest names, sorted by key, and proven to be those that were validated and staged.

        Raises:
            StagedMissing: the file is gone.
            StagedDamaged: the file cannot be read, its rows are not those of the manifest, or its columns not those
                that the table has today.
        """
        spec, path = STAGED_TABLES[manifest.table], self.path(manifest)
        try:
            # What pandas kept of itself in the file is not read: the manifest says what the rows are.
            rows: pd.DataFrame = pq.read_table(path, partitioning=None).to_pandas(ignore_metadata=True)
        except FileNotFoundError as error:
            raise _missing(path, manifest.table) from error
        except (OSError, ValueError, pa.ArrowException) as error:
            raise StagedDamaged(path, f"cannot be read: {error}.", _rematerialize(manifest.table)) from error
        if list(rows.columns) != [column.name for column in spec.columns]:
            what = "has other columns than its table has today."
            raise StagedDamaged(path, what, _rematerialize(manifest.table))
        rows = rows.sort_values(list(spec.key), kind="stable").reset_index(drop=True)
        if (len(rows), content_sha256(spec, rows_of(spec, rows))) != (manifest.row_count, manifest.content_sha256):
            raise StagedDamaged(path, "does not hold the rows that its manifest names.", _rematerialize(manifest.table))
        return rows

    def _write_record(self, video_id: str, name: str, record: _Record) -> None:
        write_atomically(self.root / video_id / name, _line(record))

    def _read_record(self, video_id: str, name: str, kind: type[_R]) -> _R:
        path = self.root / video_id / name
        try:
            data = path.read_bytes()
            record = kind.model_validate_json(data)
        except FileNotFoundError as error:
            raise _missing(path, _table(path)) from error
        except (OSError, ValidationError) as error:
            raise StagedDamaged(path, f"cannot be read: {error}.", _rematerialize(_table(path))) from error
        if data != _line(record):
            raise StagedDamaged(path, "is not what was written.", _rematerialize(_table(path)))
        return record


def _line(record: _Record) -> bytes:
    return canonical(record.model_dump(mode="json")) + b"\n"


def _parquet(rows: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), buffer, compression="zstd")
    return buffer.getvalue()


def _table(record: Path) -> str:
    """The table of a manifest, by its file's name: ``captions.json``, ``captions-0123456789ab.json``."""
    return record.stem.split("-")[0]


def _missing(path: Path, table: str) -> StagedMissing:
    if table == "upload":
        what = "no upload of that name was accepted."
        return StagedMissing(path.parent.name, what, "Ingest its file: `bri ingest FILE`.")
    return StagedMissing(path, "is not staged.", _rematerialize(table))


def _rematerialize(table: str) -> str:
    return f"Materialize the asset {table!r} of this partition again."
