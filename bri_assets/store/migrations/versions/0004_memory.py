"""what an agent and its callers leave: conversations, and tokens of those who may call."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SEQUENCES = ("message_ids",)

TABLES = {
    "memory": """
CREATE TABLE memory (
  message_id BIGINT NOT NULL,
  turn_id VARCHAR NOT NULL,
  conversation_id VARCHAR NOT NULL,
  video_id VARCHAR,
  role VARCHAR NOT NULL,
  content VARCHAR NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_by VARCHAR NOT NULL,
  CHECK (message_id >= 1),
  CHECK (regexp_matches(turn_id, '^[A-Za-z0-9._:-]{1,100}$')),
  CHECK (regexp_matches(conversation_id, '^[A-Za-z0-9._:-]{1,100}$')),
  CHECK (role IN ('assistant', 'user')),
  CHECK (regexp_matches(content, '\\S')),
  CHECK (length(content) BETWEEN 1 AND 100000),
  UNIQUE (turn_id, role),
  PRIMARY KEY (message_id)
)
""",
    "tokens": """
CREATE TABLE tokens (
  token_id VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  sha256 VARCHAR NOT NULL UNIQUE,
  scope VARCHAR NOT NULL,
  expires_at TIMESTAMP WITH TIME ZONE,
  revoked_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_by VARCHAR NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  updated_by VARCHAR NOT NULL,
  CHECK (regexp_matches(token_id, '^t-[0-9a-f]{16}$')),
  CHECK (regexp_matches(name, '^[A-Za-z0-9._-]{1,64}$')),
  CHECK (regexp_matches(sha256, '^[0-9a-f]{64}$')),
  CHECK (scope IN ('admin', 'read', 'write')),
  PRIMARY KEY (token_id)
)
""",
}

COMMENTS = (
    "COMMENT ON TABLE memory IS 'The agent''s conversations, two rows a turn: what the user said, and what the assistant answered.'",
    "COMMENT ON COLUMN memory.message_id IS 'Number of the message, growing.'",
    "COMMENT ON COLUMN memory.turn_id IS 'The turn that it belongs to; the same turn is never added twice.'",
    "COMMENT ON COLUMN memory.conversation_id IS 'The conversation.'",
    "COMMENT ON COLUMN memory.video_id IS 'The video that the turn is about; null where it is about none.'",
    "COMMENT ON COLUMN memory.role IS 'Who says it.'",
    "COMMENT ON COLUMN memory.content IS 'What is said.'",
    "COMMENT ON COLUMN memory.created_at IS 'When it was added, UTC.'",
    "COMMENT ON COLUMN memory.created_by IS 'Who added it.'",
    "COMMENT ON TABLE tokens IS 'Who may call the server and what for, one row a token; of its secret only the hash, which leads nowhere back.'",
    "COMMENT ON COLUMN tokens.token_id IS 'The token''s id: ''t-'' and the first 16 digits of its hash.'",
    "COMMENT ON COLUMN tokens.name IS 'Whose it is; one token that is not revoked has the name.'",
    "COMMENT ON COLUMN tokens.sha256 IS 'SHA-256 of its secret.'",
    "COMMENT ON COLUMN tokens.scope IS 'What it allows: `read`; `write`, which includes it; `admin`, which includes both.'",
    "COMMENT ON COLUMN tokens.expires_at IS 'When it ends, UTC; null where it does not.'",
    "COMMENT ON COLUMN tokens.revoked_at IS 'When it was revoked, UTC; null while it is not.'",
    "COMMENT ON COLUMN tokens.created_at IS 'When it was made, UTC.'",
    "COMMENT ON COLUMN tokens.created_by IS 'Who made it.'",
    "COMMENT ON COLUMN tokens.updated_at IS 'When the row was last changed, UTC.'",
    "COMMENT ON COLUMN tokens.updated_by IS 'Who last changed the row.'",
)


def upgrade() -> None:
    """Make the tables."""
    for sequence in SEQUENCES:
        op.execute(f"CREATE SEQUENCE {sequence}")
    for statement in (*TABLES.values(), *COMMENTS):
        # SQLAlchemy takes a colon before a name for a parameter.
        op.execute(statement.replace(":", "\\:"))


def downgrade() -> None:
    """Remove them: conversations are forgotten, and whoever has a token needs a new one."""
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
    for sequence in SEQUENCES:
        op.execute(f"DROP SEQUENCE {sequence}")
