"""Everything that is held about one video, written into a folder for a person: tables as Parquet, the rest as JSON.

The folder appears whole or not at all, and not before the rows of every version are proven to be those that were
committed. What does not belong here: reading the database (``store.holdings``) and how an export is told of
(``commands``).
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bri_assets.content import content_sha256
from bri_assets.errors import SourceMissing, StorageFailed, StoreDamaged, VideoDeleted
from bri_assets.files import sha256_file, sync_folder
from bri_assets.schemas import SOURCE_VIDEO, VERSIONED_TABLES, TableSpec
from bri_assets.store.archives.archived import load
from bri_assets.store.erasure.holdings import Held, HeldVersion, Holdings

__all__ = ["Exported", "ExportedFile", "export"]

_TYPES = {
    "VARCHAR": pa.string(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
}
_VERSION = [pa.field("version_id", pa.int64()), pa.field("version", pa.int32())]

#: Columns of the database that hold JSON as text.
_JSON = ("parameters", "inputs", "detail")

_MEANINGS = {
    "tables": "the rows of every version, archived ones included; the column `version` counts the video's versions",
    "records": "what else the store holds: the video, its versions, which was shown when, how each table was made, the"
    " proofs that allowed each version, its uploads and purges, what was said about it to the agent (memory), and who"
    " did what (audit_log)",
    "frames": "the frame images; the column `image_path` of tables/frames.parquet names them",
    "staged": "what runs staged for the video, whether it was committed or not",
    "upload": "the uploaded file itself",
}


@dataclass(frozen=True)
class ExportedFile:
    """A file of an export.

    Args:
        file: path in the export's folder.
        rows: rows or records in it; None for an image, a video and the like.
        size_bytes: its size.
        sha256: SHA-256 of its bytes.
    """

    file: str
    rows: int | None
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Exported:
    """An export: of which video, where it lies, how many versions it holds, and its files but for ``export.json``."""

    video_id: str
    folder: Path
    versions: int
    files: tuple[ExportedFile, ...]


def export(holdings: Holdings, name: str, folder: Path, *, with_upload: bool = False) -> Exported:
    """Write everything that is held about a video into a new folder.

    Args:
        holdings: the store.
        name: a video's id, the beginning of it, or its file name; it may be deleted, failed or purged.
        folder: must not be there.
        with_upload: copy the uploaded file too.

    Raises:
        VideoNotFound: there is no such video, or more than one.
        VideoDeleted: it is being purged, so nothing whole can be had.
        StoreDamaged, ArchiveDamaged: rows or images are not those that were committed.
        SourceMissing: the uploaded file is asked for and is gone.
        StorageFailed: the folder is there already, or the disk refused. Nothing is left behind.
    """
    folder = Path(os.path.abspath(folder))
    if os.path.lexists(folder):
        raise StorageFailed(folder, "is there already, and is not overwritten.", "Name a folder that is not there yet.")
    held = holdings.held(name)
    if held.standing.purge_begun_at is not None:
        remedy = f"`bri purge {held.standing.video_id}` finishes that."
        raise VideoDeleted(held.standing.video_id, "is being purged: what is left of it is not whole.", remedy)
    with _made(folder) as made:
        _write(_Writer(made), holdings, held, with_upload)
        files = _index(_Writer(made), held)
    return Exported(held.standing.video_id, folder, len(held.versions), files)


class _Writer:
    """Writes the files of one export into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def json(self, name: str, value: Any) -> None:
        text = json.dumps(value, default=_plain, ensure_ascii=False, indent=2)
        self.new(name).write_text(text + "\n", encoding="utf-8")

    def parquet(self, name: str, schema: pa.Schema, parts: Iterable[pa.Table]) -> None:
        with pq.ParquetWriter(self.new(name), schema, compression="zstd") as writer:
            for part in parts:
                writer.write_table(part.select(schema.names).cast(schema))

    def copies(self, name: str, folder: Path) -> None:
        """Copy every file of a folder; of one that is not there, none."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                shutil.copyfile(path, self.new(f"{name}/{path.relative_to(folder).as_posix()}"))

    def new(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _write(writer: _Writer, holdings: Holdings, held: Held, with_upload: bool) -> None:
    video_id = held.standing.video_id
    for table, records in held.records.items():
        writer.json(f"records/{table}.json", [_record(record) for record in records])
    facts = (_stamped(version, _facts(holdings, held, version)) for version in held.versions)
    writer.parquet("tables/source_video.parquet", _schema(SOURCE_VIDEO), facts)
    for spec in VERSIONED_TABLES:
        parts = (_stamped(version, _rows(holdings, version, spec)) for version in held.versions)
        writer.parquet(f"tables/{spec.name}.parquet", _schema(spec), parts)
    writer.copies("frames", holdings.home / "frames" / video_id)
    _require_images(writer.folder, video_id)
    writer.copies("staged", holdings.staging.root / video_id)
    if with_upload:
        _copy_upload(writer, held)


def _rows(holdings: Holdings, version: HeldVersion, spec: TableSpec) -> pa.Table:
    """The rows of one table of a version, proven to be those that were committed."""
    if version.archived:
        return load(holdings.home, version.stored, version.archived)[spec.name]
    found = pa.ipc.open_stream(io.BytesIO(holdings.rows(version.stored.version_id, spec.name))).read_all()
    differs = version.stored.differs(spec, found)
    if differs:
        what = f"its {spec.name} are not those that were committed: {differs}."
        remedy = "Try again, if somebody archived or purged it meanwhile; otherwise restore a backup."
        raise StoreDamaged(version.stored.name, what, f"{remedy} Nothing was exported.")
    return found


def _facts(holdings: Holdings, held: Held, version: HeldVersion) -> pa.Table:
    """The facts of the file at a version: those of the video, or where they were others, those staged for it."""
    lineage = next(
        row
        for row in held.records["lineage"]
        if (row["version_id"], row["table_name"]) == (version.stored.version_id, SOURCE_VIDEO.name)
    )
    names = [column.name for column in SOURCE_VIDEO.columns]
    video = {name: held.records["videos"][0][name] for name in names}
    if content_sha256(SOURCE_VIDEO, [tuple(video.values())]) == lineage["content_sha256"]:
        return pa.Table.from_pylist([video], pa.schema(list(_schema(SOURCE_VIDEO))[len(_VERSION) :]))
    path = holdings.home / lineage["staged_file"]
    try:
        staged = pq.read_table(path, partitioning=None).select(names)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise StoreDamaged(path, f"the facts of {version.stored.name} cannot be read: {error}.", _RESTORE) from error
    rows = list(zip(*(column.to_pylist() for column in staged.columns), strict=True))
    if content_sha256(SOURCE_VIDEO, rows) != lineage["content_sha256"]:
        raise StoreDamaged(path, f"does not hold the facts of {version.stored.name}.", _RESTORE)
    return staged


_RESTORE = "Put it back from a backup of BRI_HOME. Nothing was exported."


def _require_images(folder: Path, video_id: str) -> None:
    """See that every image that a version names is in the export, as it was committed."""
    named = pq.read_table(folder / "tables" / "frames.parquet", columns=["image_path", "image_sha256"]).to_pylist()
    there = {path.name: sha256_file(path) for path in folder.glob("frames/*")}
    wrong = sorted(
        {row["image_path"] for row in named if there.get(Path(row["image_path"]).name) != row["image_sha256"]}
    )
    if wrong:
        what = f"{len(wrong)} image(s) are missing or were changed, the first is {wrong[0]}."
        raise StoreDamaged(video_id, what, _RESTORE)


def _copy_upload(writer: _Writer, held: Held) -> None:
    for upload in held.records["uploads"]:
        path = Path(upload["path"])
        if upload["sha256"] and path.is_file():
            copy = writer.new(f"upload/{upload['filename']}")
            shutil.copyfile(path, copy)
            if sha256_file(copy) == upload["sha256"]:
                return
            copy.unlink()
    paths = ", ".join(sorted({upload["path"] for upload in held.records["uploads"]})) or "nowhere"
    what = f"its uploaded file is no longer where it was ({paths}), or was changed."
    raise SourceMissing(held.standing.video_id, what, "Put it back, or export without --with-upload.")


def _index(writer: _Writer, held: Held) -> tuple[ExportedFile, ...]:
    """Write README.md and export.json, which name every file."""
    video_id = held.standing.video_id
    present = [f"- `{path.name}/`: {_MEANINGS[path.name]}" for path in sorted(writer.folder.iterdir())]
    lines = [f"# Everything that is held about {video_id}", "", *present]
    lines += ["- `export.json`: every file with its rows, bytes and SHA-256", "", "Times are UTC."]
    writer.new("README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = tuple(_described(writer.folder, path) for path in sorted(writer.folder.rglob("*")) if path.is_file())
    said = {
        "video_id": video_id,
        "exported_at": datetime.now(UTC),
        "program": f"bri-assets {version_of('bri-assets')}",
        "standing": asdict(held.standing),
        "versions": [version.stored.version for version in held.versions],
        "files": [asdict(file) for file in files],
    }
    writer.json("export.json", said)
    return files


def _described(folder: Path, path: Path) -> ExportedFile:
    name, rows = path.relative_to(folder).as_posix(), None
    if path.suffix == ".parquet":
        rows = pq.read_metadata(path).num_rows
    elif name.startswith("records/"):
        rows = len(json.loads(path.read_bytes()))
    return ExportedFile(name, rows, path.stat().st_size, sha256_file(path))


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """A new folder beside, which gets its name when the block ends and is gone if it fails."""
    made: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".export-", suffix=".part"))
        yield made
        for root, _, names in os.walk(made):
            for name in names:
                with Path(root, name).open("rb") as file:
                    os.fsync(file.fileno())
        # Nothing shall be there but, at worst, an empty folder that somebody made meanwhile.
        os.rename(made, folder)
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}."
        remedy = "Make room on that disk, or name another folder. Nothing was left behind."
        raise StorageFailed(folder, what, remedy) from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
    sync_folder(folder.parent)


def _stamped(version: HeldVersion, rows: pa.Table) -> pa.Table:
    values = (version.stored.version_id, version.stored.version)
    stamps = [pa.array([value] * rows.num_rows, field.type) for value, field in zip(values, _VERSION, strict=True)]
    return pa.table(stamps + rows.columns, names=[field.name for field in _VERSION] + rows.column_names)


def _schema(spec: TableSpec) -> pa.Schema:
    return pa.schema([*_VERSION, *(pa.field(column.name, _TYPES[column.sql_type]) for column in spec.columns)])


def _record(record: dict[str, Any]) -> dict[str, Any]:
    return {name: json.loads(value) if name in _JSON and value else value for name, value in record.items()}


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
