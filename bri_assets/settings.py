"""All configuration, in one typed place: every setting is an environment variable ``BRI_*`` with a documented default.

What does not belong here: Dagster's own configuration (``dagster.yaml`` in ``DAGSTER_HOME``) and anything that is read
while a run works: settings are read once, when a process starts.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, computed_field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["OFF", "Settings"]

#: In the place of a cron expression: never.
OFF = "off"

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: Fields of a cron expression: what, lowest, highest, names of the values from the lowest on.
_CRON: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _WEEKDAYS),
)
#: One of the comma-separated parts of a field: first value (none: any), last value, step.
_CRON_PART = re.compile(r"(?:\*|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:/([0-9]+))?")
#: Most days of each month.
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


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
    read_timeout_s: float = Field(10.0, gt=0, le=600, description="Longest time that one read of the store may take.")
    read_cursors: int = Field(8, ge=1, le=64, description="Reads that the owner of the store works on at once.")

    archive_after_days: float = Field(
        30.0, ge=0, description="A version that was superseded this many days ago moves to the archive."
    )
    purge_after_days: float = Field(
        30.0, ge=0, description="A video that was deleted this many days ago is purged by the scheduled job."
    )
    orphan_after_hours: float = Field(
        48.0, ge=0, description="A file that no version names is an orphan once it is this many hours old."
    )
    backups_dir: Path | None = Field(
        None, description="Folder of the backups, better on another disk; default: `backups` in BRI_HOME."
    )
    backup_keep: int = Field(7, ge=1, le=1000, description="Newest backups that are kept; older ones are removed.")
    backup_cron: str = Field(
        "0 3 * * *",
        description="When the scheduled backup is made: a cron expression of five fields, in UTC, or `off`.",
    )
    upkeep_cron: str = Field(
        "30 3 * * *",
        description="When the archive, the purge and the search for orphans run: a cron expression in UTC, or `off`.",
    )
    drill_cron: str = Field(
        "0 5 * * 0", description="When the recovery drill runs: a cron expression in UTC, or `off`."
    )
    encryption_key: SecretStr | None = Field(
        None, description="Key of an encrypted store; default: it is not encrypted. See docs/runbooks/encryption.md."
    )
    retries: int = Field(3, ge=0, le=10, description="Most retries of a step, where a retry can help.")

    @field_validator("home", "models_dir", "backups_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("captioner_model", "detector_model", "transcriber_model")
    @classmethod
    def _not_empty(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("a model needs a name or a path")
        return name

    @field_validator("backup_cron", "upkeep_cron", "drill_cron")
    @classmethod
    def _cron(cls, said: str) -> str:
        """Checked here, for Dagster says it with a stack trace, and of a day that never comes only at run time."""
        fields = said.lower().split()
        if fields == [OFF]:
            return OFF
        if len(fields) != len(_CRON):
            raise ValueError(f"{said!r} is neither `off` nor a cron expression of five fields, as `0 3 * * *`")
        values = [_cron_values(field, *bounds) for field, bounds in zip(fields, _CRON, strict=True)]
        days, months = values[2], values[3]
        if min(days) > max(_DAYS[month - 1] for month in months):
            raise ValueError(f"{said!r} names a day that no such month has")
        return " ".join(fields)

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
    def journal_path(self) -> Path:
        """The journal: the store's events once more, outside of the store."""
        return self.staged_dir / "journal.jsonl"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def backup_dir(self) -> Path:
        """Where backups are kept."""
        return self.backups_dir or self.home / "backups"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def weights_dir(self) -> Path:
        """Where model weights are kept."""
        return self.models_dir or self.home / "models"


def _cron_values(field: str, what: str, lowest: int, highest: int, names: tuple[str, ...]) -> set[int]:
    """The values that a field of a cron expression means.

    Raises:
        ValueError: it means none.
    """
    number = {name: lowest + index for index, name in enumerate(names)}
    number |= {str(value): value for value in range(lowest, highest + 1)}
    values: set[int] = set()
    for part in field.split(","):
        found = _CRON_PART.fullmatch(part)
        first, last, step = found.groups() if found else ("", None, None)
        begin = lowest if first is None else number.get(first)
        # `5` is that one; `5/10` begins there, as `*` does at the lowest.
        end = number.get(last or first) if last or (first is not None and step is None) else highest
        every = int(step or 1)
        if begin is None or end is None or begin > end or not 0 < every <= highest:
            raise ValueError(f"{part!r} is no {what} of a cron expression: {lowest} to {highest}, as `*`, `1-5`, `*/2`")
        values.update(range(begin, end + 1, every))
    return values
