"""Where weights lie on this machine, and whether they are still the bytes that were fetched. Never uses a network.

Layout below the weights' folder::

    detector/yolo26n.pt          detector/yolo26n.pt.json
    transcriber/base.pt          transcriber/base.pt.json
    captioner/Salesforce--blip-image-captioning-base/    …and its .json beside it
    embedder/sentence-transformers--all-MiniLM-L6-v2/    …and its .json beside it

The JSON record says where the weights came from and their SHA-256. A model setting is either a model's *name*, looked
up in that layout, or a *local path*, used as it is: a path is what exists and contains a separator (`./base.pt`, not
`base.pt`).

What does not belong here: fetching (`pull`) and loading (`loading`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bri_assets.errors import StorageFailed, WeightsDamaged, WeightsMissing

__all__ = [
    "FOLDERS",
    "Kind",
    "Record",
    "Weights",
    "file_sha256",
    "folder_sha256",
    "locate",
    "locate_captioner",
    "locate_detector",
    "locate_embedder",
    "locate_transcriber",
    "named_path",
    "read_record",
    "record_path",
    "ways_out",
]

Kind = Literal["detector", "transcriber", "captioner", "embedder"]

#: Kinds whose weights are a folder that transformers reads; the others' are a file.
FOLDERS: frozenset[Kind] = frozenset({"captioner", "embedder"})

_LOCAL_PATH = "a local path"

#: What transformers reads of a model's folder. Another framework's copy of the same weights is not among it.
FOLDER_FILES = ("*.json", "*.txt", "*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True)
class Weights:
    """Weights on this machine, verified.

    Attributes:
        path: the file (detector, transcriber) or folder (captioner, embedder).
        sha256: 64 hexadecimal digits, of the file or as `folder_sha256` says.
        source: where they came from, in words; `a local path` where the setting named one.
    """

    path: Path
    sha256: str
    source: str

    @property
    def is_local_path(self) -> bool:
        """Whether the setting named a path rather than a model."""
        return self.source == _LOCAL_PATH


@dataclass(frozen=True)
class Record:
    """What stands in the JSON beside pulled weights.

    Attributes:
        model: the name that was pulled.
        source: where the weights came from, in words.
        sha256: as in `Weights`.
        fetched_at: ISO 8601, UTC.
    """

    model: str
    source: str
    sha256: str
    fetched_at: str

    def to_json(self) -> str:
        """The record as the text of its file."""
        return json.dumps(asdict(self), indent=2) + "\n"


def locate_detector(model: str, weights_dir: Path) -> Weights:
    """Find YOLO weights by name (`yolo26n.pt`) or local path; raises as `locate` does."""
    return locate("detector", model, weights_dir)


def locate_transcriber(model: str, weights_dir: Path) -> Weights:
    """Find an openai-whisper checkpoint by name (`base`, `tiny.en`) or local path; raises as `locate` does."""
    return locate("transcriber", model, weights_dir)


def locate_captioner(model: str, weights_dir: Path) -> Weights:
    """Find a BLIP folder by name (`Salesforce/blip-image-captioning-base`) or local path; raises as `locate` does."""
    return locate("captioner", model, weights_dir)


def locate_embedder(model: str, weights_dir: Path) -> Weights:
    """Find an embedder's folder by name (`sentence-transformers/all-MiniLM-L6-v2`) or local path; as `locate`."""
    return locate("embedder", model, weights_dir)


def locate(kind: Kind, model: str, weights_dir: Path) -> Weights:
    """Find weights on this machine and verify them, without any network.

    The bytes are hashed once a process for each path, size and time of change.

    Raises:
        WeightsMissing: they are not here, or the setting is neither a path nor a possible name.
        WeightsDamaged: their bytes are not those of the record, or nothing vouches for them.
    """
    local = _local_path(kind, model)
    if local is not None:
        return Weights(local, _sha256(kind, local), _LOCAL_PATH)
    path = named_path(kind, model, weights_dir)
    if not path.exists():
        raise WeightsMissing(model, f"the {kind}'s weights are not in {path.parent}.", ways_out(kind))
    record = read_record(path)
    actual = _sha256(kind, path)
    if actual != record.sha256:
        what = f"{path} has the SHA-256 {actual}, but {record.sha256} was fetched."
        raise WeightsDamaged(model, what, "Run `bri models pull`, which fetches it again.")
    return Weights(path, actual, record.source)


def ways_out(kind: Kind) -> str:
    """What a person can do who lacks the weights of a kind."""
    shape = "folder" if kind in FOLDERS else "file"
    ways = f"Run `bri models pull`, or point BRI_{kind.upper()}_MODEL at a local {shape} that holds them"
    if kind == "captioner":
        ways += ", or set BRI_CAPTIONER=objects (or auto) to make sentences from what the detector sees"
    return ways + "."


def named_path(kind: Kind, model: str, weights_dir: Path) -> Path:
    """Where the weights of a name belong, whether or not they are there.

    Raises:
        WeightsMissing: the text cannot be a model's name (an absent local path is the usual cause).
    """
    slash = "(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)?" if kind in FOLDERS else ""
    if not re.fullmatch(rf"[A-Za-z0-9_][A-Za-z0-9._-]*{slash}", model):
        raise WeightsMissing(model, f"there is no such path, and no {kind} has such a name.", ways_out(kind))
    if kind in FOLDERS:
        return weights_dir / kind / model.replace("/", "--")
    return weights_dir / kind / (model.removesuffix(".pt") + ".pt")


def record_path(path: Path) -> Path:
    """The JSON record of weights at a path of the layout."""
    return path.with_name(path.name + ".json")


def read_record(path: Path) -> Record:
    """Read the record of weights at a path of the layout.

    Raises:
        WeightsDamaged: there is none, or it cannot be read as one.
    """
    record = record_path(path)
    try:
        return Record(**json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        what = f"its record {record.name} cannot be read ({error}), so nothing vouches for these bytes."
        remedy = "Run `bri models pull`, which fetches both again, or name the weights by a local path."
        raise WeightsDamaged(path, what, remedy) from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        StorageFailed: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageFailed(path, f"the file cannot be read ({error.strerror}).", "Check its permissions.") from error


def folder_sha256(folder: Path) -> str:
    r"""SHA-256 of the lines ``<sha256 of a file>  <its name>\n``, one for each file that transformers reads.

    So ``sha256sum FILES | sha256sum`` in that folder, files sorted by name, gives the same digits.
    """
    lines = (f"{file_sha256(path)}  {path.name}\n" for path in _folder_files(folder))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _folder_files(folder: Path) -> list[Path]:
    found = {path for pattern in FOLDER_FILES for path in folder.glob(pattern) if path.is_file()}
    if any(path.suffix == ".safetensors" for path in found):
        found = {path for path in found if path.suffix != ".bin"}
    return sorted(found, key=lambda path: path.name)


def _local_path(kind: Kind, model: str) -> Path | None:
    path = Path(model).expanduser()
    if os.sep not in model or not path.exists():
        return None
    if path.is_dir() != (kind in FOLDERS):
        shape = "a folder" if kind in FOLDERS else "a file"
        raise WeightsMissing(model, f"the weights of a {kind} are {shape}, and this is not one.", ways_out(kind))
    return path.absolute()


_hashes: dict[tuple[tuple[str, int, int], ...], str] = {}


def _sha256(kind: Kind, path: Path) -> str:
    files = _folder_files(path) if kind in FOLDERS else [path]
    if not files:
        raise WeightsDamaged(path, "the folder holds no model.", ways_out(kind))
    try:
        stats = [(file, file.stat()) for file in files]
    except OSError as error:
        raise WeightsDamaged(path, f"the weights cannot be read ({error.strerror}).", ways_out(kind)) from error
    key = tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats)
    if key not in _hashes:
        _hashes[key] = folder_sha256(path) if kind in FOLDERS else file_sha256(path)
    return _hashes[key]
