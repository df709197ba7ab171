"""All configuration, in one typed place: every setting is an environment variable ``BRI_*`` with a documented default.

What does not belong here: Dagster's own configuration (``dagster.yaml`` in ``DAGSTER_HOME``) and anything that is read
while a run works: settings are read once, when a process starts.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, computed_field, field_validator
from pydantic_settings import SettingsConfigDict

from bri_assets.cron import OFF, checked
from bri_assets.settings.serving import ServingSettings

__all__ = ["OFF", "Settings"]


class Settings(ServingSettings):
    """The configuration of one process. Unknown ``BRI_*`` variables are ignored; wrong values raise at start."""

    model_config = SettingsConfigDict(
        env_prefix="BRI_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

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

    preview_frames: int = Field(24, ge=0, le=60, description="Frames on a contact sheet in the UI; 0: no pictures.")
    preview_rows: int = Field(25, ge=0, le=50, description="Captions shown in the UI; 0: neither they nor transcripts.")

    executor: Literal["in_process", "multiprocess"] = Field(
        "in_process", description="How the steps of one ingest run: in one process, or each in a process of its own."
    )
    run_nice: int = Field(
        5, ge=0, le=19, description="How far a run steps back for who asks the server: the niceness of its processes."
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
    upload_attempts: int = Field(
        3, ge=1, le=100, description="Most attempts at an upload that are made without anybody asking."
    )
    retry_after_s: float = Field(
        60,
        gt=0,
        description="Seconds before a failed upload is tried again by itself; longer each time, to an hour.",
    )
    frames_limit_s: float = Field(3600, gt=0, description="Seconds after which the stage `frames` is stopped.")
    captions_limit_s: float = Field(14400, gt=0, description="Seconds after which the stage `captions` is stopped.")
    transcripts_limit_s: float = Field(
        14400, gt=0, description="Seconds after which the stage `transcripts` is stopped."
    )
    detections_limit_s: float = Field(14400, gt=0, description="Seconds after which the stage `detections` is stopped.")
    breaker_failures: int = Field(
        3, ge=1, le=100, description="Failures in a row after which a model or hub is not asked for a while."
    )
    breaker_reset_s: float = Field(300, gt=0, description="Seconds after which one that failed is tried again.")

    completeness_min: float = Field(0.9, ge=0, le=1, description="Least completeness of a video; below it alerts.")
    confidence_min: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Least mean confidence of a video's captions, segments or detections, below which it alerts.",
    )
    low_confidence_share_max: float = Field(
        0.5, ge=0, le=1, description="Most captions, segments or detections of low confidence, as a share of them."
    )
    repeated_captions_max: float = Field(
        0.9, ge=0, le=1, description="Most captions that repeat the one before though the picture changed, a share."
    )
    empty_captions_max: float = Field(0.2, ge=0, le=1, description="Most captions that say next to nothing, a share.")
    silence_share_max: float = Field(
        0.5, ge=0, le=1, description="Most segments that were probably heard in silence, as a share of them."
    )
    repeated_words_max: float = Field(
        0.5, ge=0, le=1, description="Most segments that repeat one just before them, as a share of them."
    )
    volume_deviation_max: float = Field(
        6,
        gt=0,
        description="Farthest that a video's counts may be from other videos' median, in robust standard deviations.",
    )
    volume_peers_min: int = Field(20, ge=3, description="Other videos that it takes to compare one's counts with.")
    freshness_h: float = Field(24, gt=0, description="Hours from an upload's arrival within which it is committed.")
    stuck_s: float = Field(
        3600, gt=0, description="Seconds after which an ingest that shows no sign of life counts as stuck."
    )
    frames_target_s: float = Field(
        10, gt=0, description="Seconds that `frames` should take; longer videos than 10 minutes get more in proportion."
    )
    captions_target_s: float = Field(
        60, gt=0, description="Seconds that `captions` should take; longer videos than a minute get more in proportion."
    )
    transcripts_target_s: float = Field(
        120, gt=0, description="Seconds that `transcripts` should take; longer videos than a minute get more."
    )
    detections_target_s: float = Field(
        120, gt=0, description="Seconds that `detections` should take; longer videos than a minute get more."
    )
    backlog_most: int = Field(200, ge=1, description="Most uploads that may wait before it alerts.")
    backlog_wait_s: float = Field(7200, gt=0, description="Longest wait of an upload for its run before it alerts.")
    disk_free_min: float = Field(0.05, ge=0, lt=1, description="Least free share of a disk, below which it alerts.")
    disk_free_min_gb: float = Field(2.0, ge=0, description="Least free gigabytes of a disk, below which it alerts.")
    backup_age_h: float = Field(48, gt=0, description="Oldest that the newest backup may be, in hours.")
    verify_cron: str = Field(
        "0 * * * *", description="When all that is committed is verified: a cron expression in UTC, or `off`."
    )
    measure_cron: str = Field(
        "15 * * * *", description="When the whole collection is measured: a cron expression in UTC, or `off`."
    )
    verify_age_h: float = Field(48, gt=0, description="Longest time without a verification, in hours.")
    reconcile_s: int = Field(60, ge=5, le=86400, description="Seconds between two looks of the sensor `reconcile`.")
    alert_s: int = Field(30, ge=5, le=86400, description="Seconds between two looks of the sensor `alerts`.")
    alert_urls: SecretStr | None = Field(
        None,
        description="Where alerts go: URLs of apprise, separated by spaces or commas (`json://`, `mailtos://`, …).",
    )
    alert_group: int = Field(3, ge=1, le=1000, description="More alerts than this at once are told in one message.")
    alert_timeout_s: float = Field(10, gt=0, le=60, description="Longest wait for the far side of one delivery.")

    log_format: Literal["console", "json"] = Field(
        "console", description="How a line of the log looks: `console`, for people, or `json`, an object a line."
    )
    log_level: Literal["debug", "info", "warning", "error", "critical"] | None = Field(
        None, description="Least level of a line that is logged; default: `info` in `bri serve`, `warning` elsewhere."
    )
    metrics: Literal["on", "off"] = Field(
        "off", description="Whether processes count and time what they do, for `bri metrics`: `on` or `off`."
    )
    watch_daemon_s: float = Field(
        300, ge=0, description="Seconds without a sign of life after which Dagster's daemon counts as dead; 0: never."
    )
    watch_alerts_s: float = Field(
        600, gt=0, description="Seconds without a look of the sensor `alerts` after which it counts as stuck."
    )
    watch_undelivered_s: float = Field(
        1800, gt=0, description="Seconds for which an alert may be tried in vain before its channel counts as stuck."
    )
    watch_memory: Path | None = Field(
        None, description="File of `bri watch`'s memory, better on another disk; default: `watch.json` in BRI_HOME."
    )

    @field_validator("home", "models_dir", "backups_dir", "watch_memory")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("captioner_model", "detector_model", "transcriber_model", "embedder_model")
    @classmethod
    def _not_empty(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("a model needs a name or a path")
        return name

    @field_validator("backup_cron", "upkeep_cron", "drill_cron", "verify_cron", "measure_cron")
    @classmethod
    def _cron(cls, said: str) -> str:
        """Checked here, for Dagster says it with a stack trace, and of a day that never comes only at run time."""
        return checked(said)

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
    def index_dir(self) -> Path:
        """The index of the search; it can always be made again."""
        return self.home / "index"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def watch_path(self) -> Path:
        """The memory of `bri watch`."""
        return self.watch_memory or self.home / "watch.json"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def metrics_dir(self) -> Path:
        """Where processes keep their metrics."""
        return self.home / "metrics"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def weights_dir(self) -> Path:
        """Where model weights are kept."""
        return self.models_dir or self.home / "models"
