"""What would have to be run to get the rows of a version again, read from its lineage and from nothing else.

A pure function of what the store holds: no setting of today and no file is looked at. What does not belong here: what
of it this machine has (``machine``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bri_assets.models.weights import Kind

__all__ = ["KINDS", "SETTINGS", "Recipe", "Step", "plan"]

#: By tool: the parameter in the lineage, and the setting that it was read from. What is in the lineage beside these
#: follows from the program and its libraries, and is compared rather than set.
SETTINGS: dict[str, dict[str, str]] = {
    "pyav": {},
    "opencv": {"interval_s_exact": "BRI_FRAME_INTERVAL_S", "jpeg_quality": "BRI_JPEG_QUALITY"},
    "ultralytics": {
        "threshold": "BRI_DETECTOR_THRESHOLD",
        "batch_size": "BRI_DETECTOR_BATCH_SIZE",
        "device": "BRI_DEVICE",
    },
    "transformers": {
        "max_tokens": "BRI_CAPTIONER_MAX_TOKENS",
        "batch_size": "BRI_CAPTIONER_BATCH_SIZE",
        "device": "BRI_DEVICE",
    },
    "bri_assets.objects": {},
    "openai-whisper": {
        "language": "BRI_TRANSCRIBER_LANGUAGE",
        "chunk_s": "BRI_TRANSCRIBER_CHUNK_S",
        "device": "BRI_DEVICE",
    },
}

#: Tools that run a model whose weights are pulled, and which kind that is.
KINDS: dict[str, Kind] = {"ultralytics": "detector", "transformers": "captioner", "openai-whisper": "transcriber"}

#: Captioners by tool, as BRI_CAPTIONER names them.
_CAPTIONERS = {"transformers": "blip", "bri_assets.objects": "objects"}


@dataclass(frozen=True)
class Step:
    """How one table was made, as its lineage says.

    Attributes:
        table: `source_video`, `frames`, `captions`, `detections` or `transcripts`.
        tool: the library that made the rows.
        tool_version: its version then.
        model: the model's name, of a local path its last part; None without a model.
        weights_sha256: 64 hexadecimal digits; None without a model.
        parameters: all that changes the result, by name.
        inputs: the tables it was made from: name to SHA-256 of their rows.
        outcome: `complete`; of transcripts `transcribed` or `no_audio`.
        content_sha256: SHA-256 of the rows.
    """

    table: str
    tool: str
    tool_version: str
    model: str | None
    weights_sha256: str | None
    parameters: dict[str, Any]
    inputs: dict[str, str]
    outcome: str
    content_sha256: str

    @property
    def kind(self) -> Kind | None:
        """The kind of the weights that it needs; None where it needs none."""
        return KINDS.get(self.tool)


@dataclass(frozen=True)
class Recipe:
    """What makes a version's rows again.

    Attributes:
        video_id: the video.
        filename: name under which its file arrived.
        version: number of the version of this video, from 1.
        source_sha256: SHA-256 of the file's bytes.
        size_bytes: size of the file.
        steps: how each table was made, in the order in which they are.
        environment: variables `BRI_*` by name; an empty value leaves a setting unset, whatever stands in the
            environment of who runs it.
        gaps: what the lineage does not say or no single run can do, a sentence each.
    """

    video_id: str
    filename: str
    version: int
    source_sha256: str
    size_bytes: int
    steps: tuple[Step, ...]
    environment: dict[str, str]
    gaps: tuple[str, ...]


def plan(found: dict[str, Any]) -> Recipe:
    """The recipe of a version.

    Args:
        found: as ``reads.video`` returns it.
    """
    video = found["video"]
    order = ("source_video", "frames", "detections", "captions", "transcripts")
    rows = {row["table_name"]: row for row in found["lineage"]}
    steps = tuple(_step(rows[name]) for name in order if name in rows)
    environment: dict[str, str] = {}
    gaps = [f"{name}: the lineage says nothing of this table." for name in order if name not in rows]
    for step in steps:
        wanted, unsaid = _environment(step)
        gaps += unsaid
        for variable, value in wanted.items():
            if environment.setdefault(variable, value) != value:
                gaps.append(
                    f"{step.table}: was made with {variable}={value}, another table with {environment[variable]}: one"
                    " run cannot make both."
                )
    source_sha256 = steps and rows[steps[0].table]["source_sha256"]
    return Recipe(
        video_id=video["video_id"],
        filename=video["filename"],
        version=int(video["version"]),
        source_sha256=source_sha256 or video["sha256"],
        size_bytes=int(video["size_bytes"]),
        steps=steps,
        environment=dict(sorted(environment.items())),
        gaps=tuple(gaps),
    )


def _step(row: dict[str, Any]) -> Step:
    return Step(
        table=row["table_name"],
        tool=row["tool"],
        tool_version=row["tool_version"],
        model=row["model"],
        weights_sha256=row["weights_sha256"],
        parameters=json.loads(row["parameters"]),
        inputs=json.loads(row["inputs"]),
        outcome=row["outcome"],
        content_sha256=row["content_sha256"],
    )


def _environment(step: Step) -> tuple[dict[str, str], list[str]]:
    """The variables that a step was made with, and what cannot be said of them."""
    if step.tool not in SETTINGS:
        return {}, [f"{step.table}: made by {step.tool}, which this program cannot run."]
    parameters = dict(step.parameters)
    if "interval_s" in parameters:
        parameters.setdefault("interval_s_exact", parameters["interval_s"])  # which was not always written down
    said = {name: variable for name, variable in SETTINGS[step.tool].items() if name in parameters}
    unsaid = [
        f"{step.table}: the lineage does not say {name}; {variable} is left as it is."
        for name, variable in SETTINGS[step.tool].items()
        if name not in said
    ]
    environment = {variable: _text(parameters[name]) for name, variable in said.items()}
    if step.kind is not None and step.model is not None:
        environment[f"BRI_{step.kind.upper()}_MODEL"] = step.model
    if step.table == "captions":
        environment["BRI_CAPTIONER"] = _CAPTIONERS.get(step.tool, "")
    return environment, unsaid


def _text(value: Any) -> str:
    return "" if value is None else str(value)
