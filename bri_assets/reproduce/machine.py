"""What of a recipe this machine has: the file, the weights, the libraries; and what of it is another one by now.

It reads and hashes, and changes nothing. What does not belong here: what the recipe says (``recipe``) and running it
(``rerun``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bri_assets.errors import BriError, SourceMissing, StagedDamaged, StagedMissing, WeightsDamaged, WeightsMissing
from bri_assets.files import sha256_file
from bri_assets.models.blip import BlipCaptioner
from bri_assets.models.detector import Detector
from bri_assets.models.identity import ModelIdentity
from bri_assets.models.object_captions import ObjectsCaptioner
from bri_assets.models.transcriber import Transcriber
from bri_assets.models.weights import Kind, Weights, locate, ways_out
from bri_assets.reproduce.recipe import Recipe, Step
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea

__all__ = ["Difference", "Machine", "look"]

#: The distribution that a tool of the lineage is part of. OpenCV tells its own version, which its package extends.
_DISTRIBUTIONS = {
    "pyav": "av",
    "ultralytics": "ultralytics",
    "transformers": "transformers",
    "openai-whisper": "openai-whisper",
    "bri_assets.objects": "bri-assets",
}
#: Parameters of the lineage that are the version of a library, by its distribution's name.
_LIBRARIES = frozenset(
    {"av", "bri-assets", "imagehash", "inflect", "opencv-python", "pillow", "tokenizers", "torch", "torchvision"}
)
#: Where the weights came from changes no row; their SHA-256 is compared instead.
_OF_NO_EFFECT = frozenset({"weights_source"})


@dataclass(frozen=True)
class Difference:
    """Something that is another one here than when the rows were made.

    Attributes:
        table: the table that was made with it.
        what: a library, a parameter, or `weights`.
        recorded: its value in the lineage; None where the lineage names none.
        here: its value on this machine; None where it is not here.
    """

    table: str
    what: str
    recorded: Any
    here: Any


@dataclass(frozen=True)
class Machine:
    """A recipe on this machine.

    Attributes:
        source: the file, with the recorded bytes; None where it was not found.
        weights: by table, weights with the recorded SHA-256; tables whose weights are not here are missing.
        environment: the recipe's, with the paths of this machine.
        differences: what is another one here. None of them keeps the recipe from being run.
        problems: what keeps it from being run, as the errors that they are.
    """

    source: Path | None
    weights: dict[str, Path]
    environment: dict[str, str]
    differences: tuple[Difference, ...]
    problems: tuple[BriError, ...]

    @property
    def command(self) -> list[str]:
        """The command that makes the rows again, in the environment of an empty BRI_HOME."""
        return ["bri", "ingest", "--", str(self.source)] if self.source else ["bri", "ingest", "--", "FILE"]


def look(recipe: Recipe, settings: Settings, staging: StagingArea) -> Machine:
    """See what of a recipe is here.

    Args:
        recipe: what is to be run.
        settings: of this process: where weights and uploads lie.
        staging: knows where the video's file was.
    """
    problems: list[BriError] = []
    source: Path | None = None
    try:
        source = _source(recipe, settings, staging)
    except SourceMissing as error:
        problems.append(error)
    weights: dict[str, Path] = {}
    environment = recipe.environment | {"BRI_MODELS_DIR": str(settings.weights_dir)}
    for step in recipe.steps:
        if step.kind is not None:
            try:
                model, found = _weights(step.kind, step, settings)
            except (WeightsMissing, WeightsDamaged) as error:
                problems.append(error)
            else:
                weights[step.table] = found.path
                environment[f"BRI_{step.kind.upper()}_MODEL"] = str(found.path) if found.is_local_path else model
    machine = Machine(source, weights, environment, (), ())
    differences = list[Difference]()
    for step in recipe.steps:
        differences += _libraries(step)
        try:
            differences += _constants(step, machine)
        except BriError as error:  # a device that is not here
            problems.append(error)
    return replace(machine, differences=tuple(differences), problems=tuple(problems))


def _source(recipe: Recipe, settings: Settings, staging: StagingArea) -> Path:
    """The file with the recorded bytes: where it was accepted, else under its name in ``uploads/``."""
    remedy = f"Put the file with the SHA-256 {recipe.source_sha256} back there, or into {settings.uploads_dir}."
    paths = [settings.uploads_dir / recipe.filename]
    try:
        paths.insert(0, Path(staging.source(recipe.video_id).path))
    except (StagedMissing, StagedDamaged) as error:
        why = f"it is not known where its file was ({error.what})."
    else:
        why = f"its file is no longer at {paths[0]}."
    for path in paths:
        try:
            if path.stat().st_size == recipe.size_bytes and sha256_file(path) == recipe.source_sha256:
                return path
            why = f"{path} no longer holds the bytes that the rows were made of."
        except FileNotFoundError:
            continue
        except OSError as error:
            why = f"{path} cannot be read ({error.strerror})."
    raise SourceMissing(recipe.video_id, why, remedy)


def _weights(kind: Kind, step: Step, settings: Settings) -> tuple[str, Weights]:
    """Weights with the recorded SHA-256: by the recorded name, by today's setting, or among all that lie here.

    Returns:
        What to call them in a setting, and the weights.

    Raises:
        WeightsMissing: there are none of that name.
        WeightsDamaged: those of that name are others.
    """
    first: BriError | None = None
    for model in _candidates(kind, step, settings):
        try:
            found = locate(kind, model, settings.weights_dir)
        except (WeightsMissing, WeightsDamaged) as error:
            first = first or error
            continue
        if found.sha256 == step.weights_sha256:
            return model, found
        what = f"{found.path} has the SHA-256 {found.sha256}, and {step.table} were made with {step.weights_sha256}."
        remedy = f"Point BRI_{kind.upper()}_MODEL at a local copy of those weights, then try again."
        first = first or WeightsDamaged(step.model, what, remedy)
    raise first or WeightsMissing(step.model, f"the {kind}'s weights are not here.", ways_out(kind))


def _candidates(kind: Kind, step: Step, settings: Settings) -> Iterator[str]:
    if step.model is not None:
        yield step.model
    yield {
        "detector": settings.detector_model,
        "captioner": settings.captioner_model,
        "transcriber": settings.transcriber_model,
    }[kind]
    folder = settings.weights_dir / kind
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_dir() if kind == "captioner" else path.suffix == ".pt":
            yield str(path)


def _libraries(step: Step) -> Iterator[Difference]:
    here = _opencv() if step.tool == "opencv" else _installed(_DISTRIBUTIONS.get(step.tool, step.tool))
    if here != step.tool_version:
        yield Difference(step.table, step.tool, step.tool_version, here)
    for name in sorted(_LIBRARIES & step.parameters.keys()):
        if (here := _installed(name)) != step.parameters[name]:
            yield Difference(step.table, name, step.parameters[name], here)


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _opencv() -> str:
    import cv2

    return str(cv2.__version__)


def _constants(step: Step, machine: Machine) -> Iterator[Difference]:
    """What this program would write into the lineage by itself, where that is another thing than what stands there.

    Raises:
        ModelFailed: the device is not here.
    """
    identity = _identity(step, machine)
    if identity is None:
        return
    if step.kind is None and identity.weights_sha256 != step.weights_sha256:
        yield Difference(step.table, "weights", step.weights_sha256, identity.weights_sha256)
    parameters = json.loads(json.dumps(identity.parameters))
    for name in sorted(parameters.keys() - _LIBRARIES - _OF_NO_EFFECT):
        if step.parameters.get(name) != parameters[name]:
            yield Difference(step.table, name, step.parameters.get(name), parameters[name])


def _identity(step: Step, machine: Machine) -> ModelIdentity | None:
    """What the tool of a step says of itself here; None for tools without a model, or whose weights are not here."""
    if step.tool == "bri_assets.objects":
        return ObjectsCaptioner().identity()
    if step.kind is None or step.table not in machine.weights:
        return None
    environment = machine.environment
    model, folder = environment[f"BRI_{step.kind.upper()}_MODEL"], environment["BRI_MODELS_DIR"]
    device = str(step.parameters.get("device", "auto"))
    if step.kind == "transcriber":
        language = step.parameters.get("language")
        return Transcriber(model=model, weights_dir=folder, device=device, language=language).identity()
    batch = int(step.parameters.get("batch_size", 1))  # which the identity does not tell
    if step.kind == "detector":
        threshold = float(step.parameters["threshold"])
        return Detector(
            model=model, weights_dir=folder, device=device, batch_size=batch, threshold=threshold
        ).identity()
    longest = int(step.parameters["max_tokens"])
    return BlipCaptioner(
        model=model, weights_dir=folder, device=device, batch_size=batch, max_tokens=longest
    ).identity()
