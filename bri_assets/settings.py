"""All configuration, in one typed place: every setting is an environment variable ``BRI_*`` with a documented default.

What does not belong here: Dagster's own configuration (``dagster.yaml`` in ``DAGSTER_HOME``) and anything that is read
while a run works: settings are read once, when a process starts.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, computed_field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """The configuration of one process. Unknown ``BRI_*`` variables are ignored; wrong values raise at start."""

    model_config = SettingsConfigDict(env_prefix="BRI_", env_ignore_empty=True, frozen=True, extra="ignore")

    home: Path = Field(Path("data"), description="Folder in which all state lives; made absolute when read.")
    models_dir: Path | None = Field(None, description="Folder of the model weights; default: `models` in BRI_HOME.")

    frame_interval_s: Decimal = Field(Decimal("2.0"), gt=0, le=3600, description="Seconds between two sampled frames.")
    jpeg_quality: int = Field(90, ge=1, le=100, description="Quality of the stored frame images, 1 to 100.")

    settle_s: float = Field(
        2.0, ge=0, le=3600, description="A file that changed less than this many seconds ago is still being copied."
    )
    intake_budget_s: float = Field(
        20.0, gt=0, le=50, description="Seconds that one sensor tick may spend on looking at new files."
    )
    intake_batch: int = Field(50, ge=1, le=1000, description="Most run requests that one sensor tick makes.")

    device: str = Field(
        "auto", description="Where models run: `auto` (a GPU when there is one), `cpu`, `cuda`, `cuda:1`."
    )
    captioner: Literal["blip", "objects", "auto"] = Field(
        "blip",
        description="Who captions: `blip`; `objects`, a sentence made of what the detector sees; or `auto`, blip where"
        " its weights are on this machine and objects where they are not.",
    )
    captioner_model: str = Field(
        "Salesforce/blip-image-captioning-base", description="BLIP model: a name on its hub or a local folder."
    )
    captioner_batch_size: int = Field(8, ge=1, le=256, description="Frames that BLIP captions at once.")
    captioner_max_tokens: int = Field(30, ge=1, le=200, description="Longest caption, in tokens.")
    detector_model: str = Field("yolo26n.pt", description="YOLO model: a name of ultralytics' or a local file.")
    detector_batch_size: int = Field(8, ge=1, le=256, description="Frames in which YOLO detects at once.")
    detector_threshold: float = Field(0.25, ge=0, le=1, description="Least confidence of a detection that is kept.")
    transcriber_model: str = Field("base", description="Whisper model: a name of openai-whisper's or a local .pt file.")
    transcriber_language: str | None = Field(None, description="Language that is spoken (`en`); default: detected.")
    transcriber_chunk_s: float = Field(
        600.0, ge=60, le=3600, description="Longest stretch of audio held in memory, in seconds; cut at a quiet moment."
    )

    executor: Literal["in_process", "multiprocess"] = Field(
        "in_process", description="How the steps of one ingest run: in one process, or each in a process of its own."
    )
    store_wait_s: float = Field(30.0, gt=0, le=600, description="Longest wait for the store before it counts as busy.")
    retries: int = Field(3, ge=0, le=10, description="Most retries of a step, where a retry can help.")

    @field_validator("home", "models_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("captioner_model", "detector_model", "transcriber_model")
    @classmethod
    def _not_empty(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("a model needs a name or a path")
        return name

    @computed_field  # type: ignore[prop-decorator]
    @property
    def uploads_dir(self) -> Path:
        """Where uploads arrive."""
        return self.home / "uploads"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def staged_dir(self) -> Path:
        """Validated tables that are not yet visible."""
        return self.home / "staged"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def frames_dir(self) -> Path:
        """Frame images."""
        return self.home / "frames"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def store_path(self) -> Path:
        """The DuckDB file of the committed store."""
        return self.home / "store" / "bri.duckdb"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def weights_dir(self) -> Path:
        """Where model weights are kept."""
        return self.models_dir or self.home / "models"
