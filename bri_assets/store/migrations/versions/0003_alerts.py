"""what a person is told: alerts, their deliveries, silences; and the quality figures of versions."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = {
    "quality": """
CREATE TABLE quality (
  version_id BIGINT NOT NULL,
  figure VARCHAR NOT NULL,
  value DOUBLE,
  CHECK (isfinite(value)),
  CHECK (length(figure) >= 1),
  PRIMARY KEY (version_id, figure),
  FOREIGN KEY (version_id) REFERENCES video_versions (version_id)
)
""",
    "alerts": """
CREATE TABLE alerts (
  alert_id VARCHAR NOT NULL,
  rule VARCHAR NOT NULL,
  subject VARCHAR NOT NULL,
  version VARCHAR NOT NULL,
  episode INTEGER NOT NULL,
  severity VARCHAR NOT NULL,
  summary VARCHAR NOT NULL,
  remedy VARCHAR NOT NULL,
  facts JSON NOT NULL,
  video_id VARCHAR,
  fired_at TIMESTAMP WITH TIME ZONE NOT NULL,
  resolved_at TIMESTAMP WITH TIME ZONE,
  created_by VARCHAR NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  updated_by VARCHAR NOT NULL,
  CHECK (regexp_matches(alert_id, '^a-[0-9a-f]{16}$')),
  CHECK (length(rule) >= 1),
  CHECK (length(subject) >= 1),
  CHECK (episode >= 1),
  CHECK (severity IN ('ERROR', 'WARN')),
  CHECK (length(summary) >= 1),
  CHECK (length(remedy) >= 1),
  PRIMARY KEY (alert_id)
)
""",
    "alert_deliveries": """
CREATE TABLE alert_deliveries (
  alert_id VARCHAR NOT NULL,
  notice VARCHAR NOT NULL,
  channel VARCHAR NOT NULL,
  attempts INTEGER NOT NULL,
  next_attempt_at TIMESTAMP WITH TIME ZONE NOT NULL,
  last_error VARCHAR,
  delivered_at TIMESTAMP WITH TIME ZONE,
  video_id VARCHAR,
  created_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_by VARCHAR NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  updated_by VARCHAR NOT NULL,
  CHECK (regexp_matches(alert_id, '^a-[0-9a-f]{16}$')),
  CHECK (notice IN ('fired', 'resolved')),
  CHECK (length(channel) >= 1),
  CHECK (attempts >= 0),
  PRIMARY KEY (alert_id, notice, channel)
)
""",
    "alert_silences": """
CREATE TABLE alert_silences (
  silence_id VARCHAR NOT NULL,
  rule VARCHAR NOT NULL,
  subject VARCHAR NOT NULL,
  reason VARCHAR NOT NULL,
  until TIMESTAMP WITH TIME ZONE NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_by VARCHAR NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  updated_by VARCHAR NOT NULL,
  CHECK (regexp_matches(silence_id, '^s-[0-9a-f]{16}$')),
  CHECK (length(rule) >= 1),
  CHECK (length(subject) >= 1),
  CHECK (length(reason) >= 1),
  PRIMARY KEY (silence_id)
)
""",
}

COMMENTS = (
    "COMMENT ON TABLE quality IS 'Quality figures of a version, as they were when it was committed; what each means is in `store/quality.py`.'",
    "COMMENT ON COLUMN quality.version_id IS 'The committed version that the row belongs to.'",
    "COMMENT ON COLUMN quality.figure IS 'Name of the figure, as `completeness`.'",
    "COMMENT ON COLUMN quality.value IS 'Its value; null where there is nothing to measure.'",
    "COMMENT ON TABLE alerts IS 'Findings that a person has to hear of: one row a rule, subject and version for as long as it is found.'",
    "COMMENT ON COLUMN alerts.alert_id IS 'The alert''s id, the same for whoever computes it.'",
    "COMMENT ON COLUMN alerts.rule IS 'Name of the rule that found it.'",
    "COMMENT ON COLUMN alerts.subject IS 'What it was found of, as `video:tour-…`, `disk:home`.'",
    "COMMENT ON COLUMN alerts.version IS 'Which state of the subject: a version, an attempt, a run; empty without one.'",
    "COMMENT ON COLUMN alerts.episode IS 'How often it was found anew after it was resolved, from 1.'",
    "COMMENT ON COLUMN alerts.severity IS '`ERROR`: somebody must act; `WARN`: it is worse than expected.'",
    "COMMENT ON COLUMN alerts.summary IS 'What was found, in sentences.'",
    "COMMENT ON COLUMN alerts.remedy IS 'What to do next.'",
    "COMMENT ON COLUMN alerts.facts IS 'What else is known, JSON.'",
    "COMMENT ON COLUMN alerts.video_id IS 'The video concerned; null where it is about none.'",
    "COMMENT ON COLUMN alerts.fired_at IS 'When it was first found, UTC.'",
    "COMMENT ON COLUMN alerts.resolved_at IS 'When it was found no more, UTC; null while it is.'",
    "COMMENT ON COLUMN alerts.created_by IS 'Who found it.'",
    "COMMENT ON COLUMN alerts.updated_at IS 'When the row was last changed, UTC.'",
    "COMMENT ON COLUMN alerts.updated_by IS 'Who last changed the row.'",
    "COMMENT ON TABLE alert_deliveries IS 'What has to be, or was, said of each alert to each channel.'",
    "COMMENT ON COLUMN alert_deliveries.alert_id IS 'The alert.'",
    "COMMENT ON COLUMN alert_deliveries.notice IS '`fired` or `resolved`.'",
    "COMMENT ON COLUMN alert_deliveries.channel IS 'Where to, without its secrets.'",
    "COMMENT ON COLUMN alert_deliveries.attempts IS 'How often it was tried, >= 0.'",
    "COMMENT ON COLUMN alert_deliveries.next_attempt_at IS 'Not to be tried before this time, UTC.'",
    "COMMENT ON COLUMN alert_deliveries.last_error IS 'Why the last try failed; null where none did.'",
    "COMMENT ON COLUMN alert_deliveries.delivered_at IS 'When it was said, UTC; null before.'",
    "COMMENT ON COLUMN alert_deliveries.video_id IS 'The video concerned; null where it is about none.'",
    "COMMENT ON COLUMN alert_deliveries.created_at IS 'When it was due first, UTC.'",
    "COMMENT ON COLUMN alert_deliveries.created_by IS 'Who put it here.'",
    "COMMENT ON COLUMN alert_deliveries.updated_at IS 'When the row was last changed, UTC.'",
    "COMMENT ON COLUMN alert_deliveries.updated_by IS 'Who last changed the row.'",
    "COMMENT ON TABLE alert_silences IS 'What nobody wants to hear of for a time, and why.'",
    "COMMENT ON COLUMN alert_silences.silence_id IS 'The silence''s id.'",
    "COMMENT ON COLUMN alert_silences.rule IS 'Pattern of the rules, with `*`.'",
    "COMMENT ON COLUMN alert_silences.subject IS 'Pattern of the subjects, with `*`.'",
    "COMMENT ON COLUMN alert_silences.reason IS 'Why.'",
    "COMMENT ON COLUMN alert_silences.until IS 'When it ends, UTC.'",
    "COMMENT ON COLUMN alert_silences.created_at IS 'When it was made, UTC.'",
    "COMMENT ON COLUMN alert_silences.created_by IS 'Who made it.'",
    "COMMENT ON COLUMN alert_silences.updated_at IS 'When the row was last changed, UTC.'",
    "COMMENT ON COLUMN alert_silences.updated_by IS 'Who last changed the row.'",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in (*TABLES.values(), *COMMENTS):
        # SQLAlchemy takes a colon before a name for a parameter.
        op.execute(statement.replace(":", "\\:"))


def downgrade() -> None:
    """Remove them: what was told is forgotten, and figures can be measured again."""
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
