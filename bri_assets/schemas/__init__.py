"""One pandera model a table: the single source of columns, types, ranges and their meaning.

The database's DDL (``ddl``), Dagster's column metadata (``assets.metadata``) and ``docs/schema.md`` agree with the
models, and a test says so. What does not belong here: reading, writing or proving rows.
"""

from bri_assets.schemas.alerts import AlertDeliveries, Alerts, AlertSilences
from bri_assets.schemas.audit import AuditLog, SchemaMigrations
from bri_assets.schemas.base import Column, TableModel, TableSpec, validate
from bri_assets.schemas.captions import Captions
from bri_assets.schemas.detections import Detections
from bri_assets.schemas.frames import Frames
from bri_assets.schemas.memory import Memory
from bri_assets.schemas.tokens import Tokens
from bri_assets.schemas.transcripts import Transcripts
from bri_assets.schemas.upkeep import ArchivedTables, Backups, Purges
from bri_assets.schemas.uploads import Uploads
from bri_assets.schemas.versions import (
    CurrentVersions,
    Lineage,
    PointerHistory,
    Proofs,
    Quality,
    VideoClassStats,
    VideoVersions,
)
from bri_assets.schemas.videos import SourceVideo, Videos

__all__ = [
    "CAPTIONS",
    "DETECTIONS",
    "FRAMES",
    "SOURCE_VIDEO",
    "STAGED_TABLES",
    "STORE_TABLES",
    "TRANSCRIPTS",
    "VERSIONED_TABLES",
    "Column",
    "TableModel",
    "TableSpec",
    "validate",
]

SOURCE_VIDEO = TableSpec("source_video", SourceVideo, ("video_id",))
FRAMES = TableSpec("frames", Frames, ("frame_index",), versioned=True)
CAPTIONS = TableSpec("captions", Captions, ("frame_index",), versioned=True)
TRANSCRIPTS = TableSpec("transcripts", Transcripts, ("segment_index",), versioned=True)
DETECTIONS = TableSpec("detections", Detections, ("frame_index", "detection_index"), versioned=True)

#: The four tables of a version, in the order in which they are made and inserted.
VERSIONED_TABLES = (FRAMES, CAPTIONS, TRANSCRIPTS, DETECTIONS)

#: Everything that compute assets stage, keyed by name; a bundle holds one of each.
STAGED_TABLES = {spec.name: spec for spec in (SOURCE_VIDEO, *VERSIONED_TABLES)}

#: Every table of the database, parents first.
STORE_TABLES = (
    TableSpec("uploads", Uploads, ("upload_id",)),
    TableSpec("videos", Videos, ("video_id",)),
    TableSpec("video_versions", VideoVersions, ("version_id",), references=(("video_id", "videos"),)),
    TableSpec("current_versions", CurrentVersions, ("video_id",), references=(("version_id", "video_versions"),)),
    TableSpec("pointer_history", PointerHistory, ("change_id",)),
    *VERSIONED_TABLES,
    TableSpec("lineage", Lineage, ("table_name",), versioned=True),
    TableSpec("proofs", Proofs, ("proof",), versioned=True),
    TableSpec("video_class_stats", VideoClassStats, ("class_name",), versioned=True),
    TableSpec("quality", Quality, ("figure",), versioned=True),
    TableSpec("archived_tables", ArchivedTables, ("table_name",), versioned=True),
    TableSpec("purges", Purges, ("video_id",)),
    TableSpec("backups", Backups, ("backup_id",)),
    TableSpec("alerts", Alerts, ("alert_id",)),
    TableSpec("alert_deliveries", AlertDeliveries, ("alert_id", "notice", "channel")),
    TableSpec("alert_silences", AlertSilences, ("silence_id",)),
    TableSpec("memory", Memory, ("message_id",), unique=(("turn_id", "role"),)),
    TableSpec("tokens", Tokens, ("token_id",)),
    TableSpec("audit_log", AuditLog, ("event_id",)),
    TableSpec("schema_migrations", SchemaMigrations, ("version",)),
)
