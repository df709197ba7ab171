"""what keeps the store: archived tables, purges, backups."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = {
    "archived_tables": """
CREATE TABLE archived_tables (
  version_id BIGINT NOT NULL,
  table_name VARCHAR NOT NULL,
  file VARCHAR NOT NULL,
  file_sha256 VARCHAR NOT NULL,
  row_count BIGINT NOT NULL,
  archived_at TIMESTAMP WITH TIME ZONE NOT NULL,
  archived_by VARCHAR NOT NULL,
  CHECK (length(file) >= 1),
  CHECK (regexp_matches(file_sha256, '^[0-9a-f]{64}$')),
  CHECK (row_count >= 0),
  PRIMARY KEY (version_id, table_name),
  FOREIGN KEY (version_id) REFERENCES video_versions (version_id)
)
""",
    "purges": """
CREATE TABLE purges (
  video_id VARCHAR NOT NULL,
  reason VARCHAR NOT NULL,
  rows_removed BIGINT NOT NULL,
  files_removed BIGINT NOT NULL,
  finished_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_by VARCHAR NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  updated_by VARCHAR NOT NULL,
  CHECK (rows_removed >= 0),
  CHECK (files_removed >= 0),
  PRIMARY KEY (video_id)
)
""",
    "backups": """
CREATE TABLE backups (
  backup_id VARCHAR NOT NULL,
  path VARCHAR NOT NULL,
  revision VARCHAR NOT NULL,
  last_event_id BIGINT NOT NULL,
  videos BIGINT NOT NULL,
  versions BIGINT NOT NULL,
  size_bytes BIGINT NOT NULL,
  sha256 VARCHAR NOT NULL,
  seconds DOUBLE NOT NULL,
  reason VARCHAR NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_by VARCHAR NOT NULL,
  expired_at TIMESTAMP WITH TIME ZONE,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  updated_by VARCHAR NOT NULL,
  CHECK (isfinite(seconds)),
  CHECK (length(backup_id) >= 1),
  CHECK (length(path) >= 1),
  CHECK (regexp_matches(revision, '^[0-9]{4}$')),
  CHECK (last_event_id >= 0),
  CHECK (videos >= 0),
  CHECK (versions >= 0),
  CHECK (size_bytes > 0),
  CHECK (regexp_matches(sha256, '^[0-9a-f]{64}$')),
  CHECK (seconds >= 0),
  PRIMARY KEY (backup_id)
)
""",
}

COMMENTS = (
    "COMMENT ON TABLE archived_tables IS 'Where the rows of archived versions lie, one row a version and table.'",
    "COMMENT ON COLUMN archived_tables.version_id IS 'The committed version that the row belongs to.'",
    "COMMENT ON COLUMN archived_tables.table_name IS 'Table whose rows were moved.'",
    "COMMENT ON COLUMN archived_tables.file IS 'Parquet file that holds them, relative to BRI_HOME.'",
    "COMMENT ON COLUMN archived_tables.file_sha256 IS 'SHA-256 of the file''s bytes.'",
    "COMMENT ON COLUMN archived_tables.row_count IS 'Rows in it, >= 0.'",
    "COMMENT ON COLUMN archived_tables.archived_at IS 'When they were moved, UTC.'",
    "COMMENT ON COLUMN archived_tables.archived_by IS 'Who moved them.'",
    "COMMENT ON TABLE purges IS 'Videos whose rows and files were removed for good, or are about to be; kept when the video is gone.'",
    "COMMENT ON COLUMN purges.video_id IS 'The video.'",
    "COMMENT ON COLUMN purges.reason IS 'Why: `retention`, or what was said.'",
    "COMMENT ON COLUMN purges.rows_removed IS 'Rows that were removed so far, >= 0.'",
    "COMMENT ON COLUMN purges.files_removed IS 'Files that were removed so far, >= 0.'",
    "COMMENT ON COLUMN purges.finished_at IS 'When nothing was left to remove, UTC; null before.'",
    "COMMENT ON COLUMN purges.created_at IS 'When it was begun, UTC.'",
    "COMMENT ON COLUMN purges.created_by IS 'Who asked for it.'",
    "COMMENT ON COLUMN purges.updated_at IS 'When the row was last changed, UTC.'",
    "COMMENT ON COLUMN purges.updated_by IS 'Who last changed the row.'",
    "COMMENT ON TABLE backups IS 'Backups that were made and proven, one row each; the file `backup.json` beside each says the same.'",
    "COMMENT ON COLUMN backups.backup_id IS 'The backup''s id and the name of its folder.'",
    "COMMENT ON COLUMN backups.path IS 'Absolute path of its folder.'",
    "COMMENT ON COLUMN backups.revision IS 'Revision of the store in it.'",
    "COMMENT ON COLUMN backups.last_event_id IS 'Newest event of the audit log in it, >= 0.'",
    "COMMENT ON COLUMN backups.videos IS 'Videos in it, >= 0.'",
    "COMMENT ON COLUMN backups.versions IS 'Committed versions in it, >= 0.'",
    "COMMENT ON COLUMN backups.size_bytes IS 'Size of its database file in bytes, > 0.'",
    "COMMENT ON COLUMN backups.sha256 IS 'SHA-256 of its database file.'",
    "COMMENT ON COLUMN backups.seconds IS 'Seconds that copying and proving took, >= 0.'",
    "COMMENT ON COLUMN backups.reason IS 'Why it was made: `asked`, `scheduled`, `migration`, …'",
    "COMMENT ON COLUMN backups.created_at IS 'When it was made, UTC.'",
    "COMMENT ON COLUMN backups.created_by IS 'Who made it.'",
    "COMMENT ON COLUMN backups.expired_at IS 'When its files were removed, UTC; null while they are kept.'",
    "COMMENT ON COLUMN backups.updated_at IS 'When the row was last changed, UTC.'",
    "COMMENT ON COLUMN backups.updated_by IS 'Who last changed the row.'",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in (*TABLES.values(), *COMMENTS):
        # SQLAlchemy takes a colon before a name for a parameter.
        op.execute(statement.replace(":", "\\:"))


def downgrade() -> None:
    """Remove them; a store with archived versions cannot be read by the revision before, so it is refused."""
    archived = op.get_bind().exec_driver_sql("SELECT count(*) FROM archived_tables").scalar()
    if archived:
        raise RuntimeError("versions are archived, and revision 0001 could not read them: run `bri unarchive` first")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
