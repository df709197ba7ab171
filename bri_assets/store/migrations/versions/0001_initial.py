"""initial tables, sequences and views."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SEQUENCES = ("version_ids", "change_ids", "event_ids")

TABLES = {
    "uploads": """
CREATE TABLE uploads (
  upload_id VARCHAR NOT NULL,
  path VARCHAR NOT NULL,
  filename VARCHAR NOT NULL,
  signature VARCHAR NOT NULL,
  size_bytes BIGINT NOT NULL,
  sha256 VARCHAR,
  video_id VARCHAR,
  state VARCHAR NOT NULL,
  code VARCHAR,
  reason VARCHAR,
  attempts INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  requested_by VARCHAR NOT NULL,
  run_id VARCHAR,
  created_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_by VARCHAR NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  updated_by VARCHAR NOT NULL,
  CHECK (length(path) >= 1),
  CHECK (length(filename) >= 1),
  CHECK (size_bytes >= 0),
  CHECK (regexp_matches(sha256, '^[0-9a-f]{64}$')),
  CHECK (state IN ('committed', 'failed', 'ingesting', 'quarantined')),
  CHECK (attempts >= 0),
  PRIMARY KEY (upload_id)
)
""",
    "videos": """
CREATE TABLE videos (
  video_id VARCHAR NOT NULL,
  filename VARCHAR NOT NULL,
  sha256 VARCHAR NOT NULL UNIQUE,
  size_bytes BIGINT NOT NULL,
  duration_s DOUBLE NOT NULL,
  first_frame_s DOUBLE NOT NULL,
  last_frame_s DOUBLE NOT NULL,
  frame_count BIGINT NOT NULL,
  fps DOUBLE NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  rotation_deg INTEGER NOT NULL,
  has_audio BOOLEAN NOT NULL,
  container VARCHAR NOT NULL,
  video_codec VARCHAR NOT NULL,
  audio_codec VARCHAR,
  deleted_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_by VARCHAR NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  updated_by VARCHAR NOT NULL,
  CHECK (isfinite(duration_s)),
  CHECK (isfinite(first_frame_s)),
  CHECK (isfinite(last_frame_s)),
  CHECK (isfinite(fps)),
  CHECK (regexp_matches(video_id, '^[a-z0-9-]+-[0-9a-f]{12}$')),
  CHECK (length(filename) >= 1),
  CHECK (regexp_matches(sha256, '^[0-9a-f]{64}$')),
  CHECK (size_bytes > 0),
  CHECK (duration_s > 0),
  CHECK (first_frame_s >= 0),
  CHECK (last_frame_s >= 0),
  CHECK (frame_count > 0),
  CHECK (fps > 0),
  CHECK (width > 0),
  CHECK (height > 0),
  CHECK (rotation_deg IN (0, 90, 180, 270)),
  CHECK (length(container) >= 1),
  CHECK (length(video_codec) >= 1),
  CHECK (first_frame_s <= last_frame_s and last_frame_s <= duration_s),
  PRIMARY KEY (video_id)
)
""",
    "video_versions": """
CREATE TABLE video_versions (
  version_id BIGINT NOT NULL,
  video_id VARCHAR NOT NULL,
  version INTEGER NOT NULL,
  run_id VARCHAR NOT NULL,
  bundle_sha256 VARCHAR NOT NULL UNIQUE,
  source_sha256 VARCHAR NOT NULL,
  state VARCHAR NOT NULL,
  frames INTEGER NOT NULL,
  captions INTEGER NOT NULL,
  transcript_segments INTEGER NOT NULL,
  detections INTEGER NOT NULL,
  transcript_outcome VARCHAR NOT NULL,
  sample_interval_s DOUBLE NOT NULL,
  sample_slots INTEGER NOT NULL,
  empty_slots INTEGER[] NOT NULL,
  committed_at TIMESTAMP WITH TIME ZONE NOT NULL,
  committed_by VARCHAR NOT NULL,
  CHECK (isfinite(sample_interval_s)),
  CHECK (version_id >= 1),
  CHECK (version >= 1),
  CHECK (regexp_matches(source_sha256, '^[0-9a-f]{64}$')),
  CHECK (state IN ('archived', 'committed')),
  CHECK (frames >= 0),
  CHECK (captions >= 0),
  CHECK (transcript_segments >= 0),
  CHECK (detections >= 0),
  CHECK (transcript_outcome IN ('no_audio', 'transcribed')),
  CHECK (sample_interval_s > 0),
  CHECK (sample_slots > 0),
  PRIMARY KEY (version_id),
  FOREIGN KEY (video_id) REFERENCES videos (video_id)
)
""",
    "current_versions": """
CREATE TABLE current_versions (
  video_id VARCHAR NOT NULL,
  version_id BIGINT NOT NULL,
  changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
  changed_by VARCHAR NOT NULL,
  CHECK (version_id >= 1),
  PRIMARY KEY (video_id),
  FOREIGN KEY (version_id) REFERENCES video_versions (version_id)
)
""",
    "pointer_history": """
CREATE TABLE pointer_history (
  change_id BIGINT NOT NULL,
  video_id VARCHAR NOT NULL,
  from_version_id BIGINT,
  to_version_id BIGINT NOT NULL,
  cause VARCHAR NOT NULL,
  changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
  changed_by VARCHAR NOT NULL,
  CHECK (change_id >= 1),
  CHECK (to_version_id >= 1),
  PRIMARY KEY (change_id)
)
""",
    "frames": """
CREATE TABLE frames (
  version_id BIGINT NOT NULL,
  frame_index INTEGER NOT NULL,
  timestamp_s DOUBLE NOT NULL,
  image_path VARCHAR NOT NULL,
  image_sha256 VARCHAR NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  phash VARCHAR NOT NULL,
  CHECK (isfinite(timestamp_s)),
  CHECK (frame_index >= 0),
  CHECK (timestamp_s >= 0),
  CHECK (regexp_matches(image_path, '^frames/[a-z0-9-]+/[0-9]+-[0-9a-f]{12}\\.jpg$')),
  CHECK (regexp_matches(image_sha256, '^[0-9a-f]{64}$')),
  CHECK (width > 0),
  CHECK (height > 0),
  CHECK (regexp_matches(phash, '^[0-9a-f]{16}$')),
  PRIMARY KEY (version_id, frame_index),
  FOREIGN KEY (version_id) REFERENCES video_versions (version_id)
)
""",
    "captions": """
CREATE TABLE captions (
  version_id BIGINT NOT NULL,
  frame_index INTEGER NOT NULL,
  text VARCHAR NOT NULL,
  confidence DOUBLE NOT NULL,
  CHECK (isfinite(confidence)),
  CHECK (frame_index >= 0),
  CHECK (regexp_matches(text, '\\S')),
  CHECK (confidence >= 0),
  CHECK (confidence <= 1),
  PRIMARY KEY (version_id, frame_index),
  FOREIGN KEY (version_id) REFERENCES video_versions (version_id)
)
""",
    "transcripts": """
CREATE TABLE transcripts (
  version_id BIGINT NOT NULL,
  segment_index INTEGER NOT NULL,
  start_s DOUBLE NOT NULL,
  end_s DOUBLE NOT NULL,
  text VARCHAR NOT NULL,
  confidence DOUBLE NOT NULL,
  language VARCHAR NOT NULL,
  no_speech_prob DOUBLE NOT NULL,
  CHECK (isfinite(start_s)),
  CHECK (isfinite(end_s)),
  CHECK (isfinite(confidence)),
  CHECK (isfinite(no_speech_prob)),
  CHECK (segment_index >= 0),
  CHECK (start_s >= 0),
  CHECK (end_s > 0),
  CHECK (regexp_matches(text, '\\S')),
  CHECK (confidence >= 0),
  CHECK (confidence <= 1),
  CHECK (regexp_matches(language, '^[a-z]{2,3}$')),
  CHECK (no_speech_prob >= 0),
  CHECK (no_speech_prob <= 1),
  CHECK (start_s < end_s),
  PRIMARY KEY (version_id, segment_index),
  FOREIGN KEY (version_id) REFERENCES video_versions (version_id)
)
""",
    "detections": """
CREATE TABLE detections (
  version_id BIGINT NOT NULL,
  frame_index INTEGER NOT NULL,
  detection_index INTEGER NOT NULL,
  class_id INTEGER NOT NULL,
  class_name VARCHAR NOT NULL,
  confidence DOUBLE NOT NULL,
  x1 DOUBLE NOT NULL,
  y1 DOUBLE NOT NULL,
  x2 DOUBLE NOT NULL,
  y2 DOUBLE NOT NULL,
  CHECK (isfinite(confidence)),
  CHECK (isfinite(x1)),
  CHECK (isfinite(y1)),
  CHECK (isfinite(x2)),
  CHECK (isfinite(y2)),
  CHECK (frame_index >= 0),
  CHECK (detection_index >= 0),
  CHECK (class_id >= 0),
  CHECK (length(class_name) >= 1),
  CHECK (confidence >= 0),
  CHECK (confidence <= 1),
  CHECK (x1 >= 0),
  CHECK (y1 >= 0),
  CHECK (x2 > 0),
  CHECK (y2 > 0),
  CHECK (x1 < x2),
  CHECK (y1 < y2),
  PRIMARY KEY (version_id, frame_index, detection_index),
  FOREIGN KEY (version_id) REFERENCES video_versions (version_id)
)
""",
    "lineage": """
CREATE TABLE lineage (
  version_id BIGINT NOT NULL,
  table_name VARCHAR NOT NULL,
  tool VARCHAR NOT NULL,
  tool_version VARCHAR NOT NULL,
  model VARCHAR,
  weights_sha256 VARCHAR,
  parameters JSON NOT NULL,
  inputs JSON NOT NULL,
  outcome VARCHAR NOT NULL,
  source_sha256 VARCHAR NOT NULL,
  content_sha256 VARCHAR NOT NULL,
  row_count BIGINT NOT NULL,
  manifest_sha256 VARCHAR NOT NULL,
  staged_file VARCHAR NOT NULL,
  run_id VARCHAR NOT NULL,
  seconds DOUBLE NOT NULL,
  made_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CHECK (isfinite(seconds)),
  CHECK (regexp_matches(source_sha256, '^[0-9a-f]{64}$')),
  CHECK (regexp_matches(content_sha256, '^[0-9a-f]{64}$')),
  CHECK (row_count >= 0),
  CHECK (regexp_matches(manifest_sha256, '^[0-9a-f]{64}$')),
  CHECK (seconds >= 0),
  PRIMARY KEY (version_id, table_name),
  FOREIGN KEY (version_id) REFERENCES video_versions (version_id)
)
""",
    "proofs": """
CREATE TABLE proofs (
  version_id BIGINT NOT NULL,
  proof VARCHAR NOT NULL,
  passed BOOLEAN NOT NULL,
  observed BIGINT NOT NULL,
  expected BIGINT NOT NULL,
  seconds DOUBLE NOT NULL,
  CHECK (isfinite(seconds)),
  CHECK (observed >= 0),
  CHECK (expected >= 0),
  CHECK (seconds >= 0),
  PRIMARY KEY (version_id, proof),
  FOREIGN KEY (version_id) REFERENCES video_versions (version_id)
)
""",
    "video_class_stats": """
CREATE TABLE video_class_stats (
  version_id BIGINT NOT NULL,
  class_name VARCHAR NOT NULL,
  class_id INTEGER NOT NULL,
  frames INTEGER NOT NULL,
  detections INTEGER NOT NULL,
  first_s DOUBLE NOT NULL,
  last_s DOUBLE NOT NULL,
  CHECK (isfinite(first_s)),
  CHECK (isfinite(last_s)),
  CHECK (length(class_name) >= 1),
  CHECK (class_id >= 0),
  CHECK (frames > 0),
  CHECK (detections > 0),
  CHECK (first_s >= 0),
  CHECK (last_s >= 0),
  CHECK (first_s <= last_s),
  PRIMARY KEY (version_id, class_name),
  FOREIGN KEY (version_id) REFERENCES video_versions (version_id)
)
""",
    "audit_log": """
CREATE TABLE audit_log (
  event_id BIGINT NOT NULL,
  occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
  actor VARCHAR NOT NULL,
  action VARCHAR NOT NULL,
  entity VARCHAR NOT NULL,
  entity_id VARCHAR NOT NULL,
  rows_sha256 VARCHAR,
  run_id VARCHAR,
  detail JSON NOT NULL,
  CHECK (event_id >= 1),
  PRIMARY KEY (event_id)
)
""",
    "schema_migrations": """
CREATE TABLE schema_migrations (
  version VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  checksum VARCHAR NOT NULL,
  applied_at TIMESTAMP WITH TIME ZONE NOT NULL,
  applied_by VARCHAR NOT NULL,
  CHECK (regexp_matches(version, '^[0-9]{4}$')),
  CHECK (regexp_matches(checksum, '^[0-9a-f]{64}$')),
  PRIMARY KEY (version)
)
""",
}

COMMENTS = (
    "COMMENT ON TABLE uploads IS 'Every file that arrived, one row for each path and content: what `bri status` shows.'",
    "COMMENT ON COLUMN uploads.upload_id IS 'The upload''s id: ''u-'' and 16 hex digits made of its path and content.'",
    "COMMENT ON COLUMN uploads.path IS 'Absolute path of the file.'",
    "COMMENT ON COLUMN uploads.filename IS 'Name of the file without folders.'",
    "COMMENT ON COLUMN uploads.signature IS 'What tells whether the file changed since: size, times, inode.'",
    "COMMENT ON COLUMN uploads.size_bytes IS 'Size of the file in bytes, >= 0.'",
    "COMMENT ON COLUMN uploads.sha256 IS 'SHA-256 of the file''s bytes; null where they could not be read.'",
    "COMMENT ON COLUMN uploads.video_id IS 'The video that the upload became; null where it was refused.'",
    "COMMENT ON COLUMN uploads.state IS 'How far it came.'",
    "COMMENT ON COLUMN uploads.code IS 'One word for why it was refused or failed; null otherwise.'",
    "COMMENT ON COLUMN uploads.reason IS 'Why it was refused or failed, for a person; null otherwise.'",
    "COMMENT ON COLUMN uploads.attempts IS 'How often it was tried, >= 0.'",
    "COMMENT ON COLUMN uploads.priority IS 'Higher goes first; 0 is an upload nobody waits for.'",
    "COMMENT ON COLUMN uploads.requested_by IS 'Who asked for it last: `cli`, `sensor`, `ui`, …'",
    "COMMENT ON COLUMN uploads.run_id IS 'Dagster run that last worked on it; null before one is known.'",
    "COMMENT ON COLUMN uploads.created_at IS 'When it arrived, UTC.'",
    "COMMENT ON COLUMN uploads.created_by IS 'Who brought it.'",
    "COMMENT ON COLUMN uploads.updated_at IS 'When the row was last changed, UTC.'",
    "COMMENT ON COLUMN uploads.updated_by IS 'Who last changed the row.'",
    "COMMENT ON TABLE videos IS 'Every video that was ever committed, one row a video: the facts of its file and whether it is deleted.'",
    "COMMENT ON COLUMN videos.video_id IS 'The video''s id: slug of its name, ''-'', 12 hex digits of its SHA-256.'",
    "COMMENT ON COLUMN videos.filename IS 'Name of the file as it arrived, without folders.'",
    "COMMENT ON COLUMN videos.sha256 IS 'SHA-256 of the file''s bytes, 64 hex digits.'",
    "COMMENT ON COLUMN videos.size_bytes IS 'Size of the file in bytes, > 0.'",
    "COMMENT ON COLUMN videos.duration_s IS 'End of the later of picture and sound, in seconds, > 0.'",
    "COMMENT ON COLUMN videos.first_frame_s IS 'Time of the first video frame in seconds, >= 0.'",
    "COMMENT ON COLUMN videos.last_frame_s IS 'Time of the last video frame in seconds, >= 0.'",
    "COMMENT ON COLUMN videos.frame_count IS 'Video frames in the file, > 0.'",
    "COMMENT ON COLUMN videos.fps IS 'Average video frames a second, > 0.'",
    "COMMENT ON COLUMN videos.width IS 'Width as displayed (after rotation) in pixels, > 0.'",
    "COMMENT ON COLUMN videos.height IS 'Height as displayed (after rotation) in pixels, > 0.'",
    "COMMENT ON COLUMN videos.rotation_deg IS 'Rotation that the file asks for, in degrees.'",
    "COMMENT ON COLUMN videos.has_audio IS 'Whether the file has an audio track.'",
    "COMMENT ON COLUMN videos.container IS 'Container format, as libav names it.'",
    "COMMENT ON COLUMN videos.video_codec IS 'Codec of the video track.'",
    "COMMENT ON COLUMN videos.audio_codec IS 'Codec of the audio track; null without one.'",
    "COMMENT ON COLUMN videos.deleted_at IS 'When it was deleted, UTC; null while it is not.'",
    "COMMENT ON COLUMN videos.created_at IS 'When its first version was committed, UTC.'",
    "COMMENT ON COLUMN videos.created_by IS 'Who committed its first version.'",
    "COMMENT ON COLUMN videos.updated_at IS 'When the row was last changed, UTC.'",
    "COMMENT ON COLUMN videos.updated_by IS 'Who last changed the row.'",
    "COMMENT ON TABLE video_versions IS 'Committed sets of all four tables, one row a version; rows are added and marked, never changed otherwise.'",
    "COMMENT ON COLUMN video_versions.version_id IS 'Number of the version in the whole store, growing.'",
    "COMMENT ON COLUMN video_versions.video_id IS 'The video.'",
    "COMMENT ON COLUMN video_versions.version IS 'Number of the version of this video, from 1.'",
    "COMMENT ON COLUMN video_versions.run_id IS 'Dagster run that committed it.'",
    "COMMENT ON COLUMN video_versions.bundle_sha256 IS 'SHA-256 over the staged manifests; the same bundle is one version.'",
    "COMMENT ON COLUMN video_versions.source_sha256 IS 'SHA-256 of the upload''s bytes.'",
    "COMMENT ON COLUMN video_versions.state IS '`committed`, or `archived` when its rows were moved.'",
    "COMMENT ON COLUMN video_versions.frames IS 'Rows in `frames`, >= 0.'",
    "COMMENT ON COLUMN video_versions.captions IS 'Rows in `captions`, >= 0.'",
    "COMMENT ON COLUMN video_versions.transcript_segments IS 'Rows in `transcripts`, >= 0.'",
    "COMMENT ON COLUMN video_versions.detections IS 'Rows in `detections`, >= 0.'",
    "COMMENT ON COLUMN video_versions.transcript_outcome IS '`transcribed`, or `no_audio`: an empty transcript is a result.'",
    "COMMENT ON COLUMN video_versions.sample_interval_s IS 'Seconds between two sample slots, > 0.'",
    "COMMENT ON COLUMN video_versions.sample_slots IS 'Sample slots in the video, > 0.'",
    "COMMENT ON COLUMN video_versions.empty_slots IS 'Sample slots that hold no frame (a gap in the video).'",
    "COMMENT ON COLUMN video_versions.committed_at IS 'When it was committed, UTC.'",
    "COMMENT ON COLUMN video_versions.committed_by IS 'Who committed it.'",
    "COMMENT ON TABLE current_versions IS 'The pointer that readers follow: the version of each video that is shown.'",
    "COMMENT ON COLUMN current_versions.video_id IS 'The video.'",
    "COMMENT ON COLUMN current_versions.version_id IS 'Its version that is shown.'",
    "COMMENT ON COLUMN current_versions.changed_at IS 'When the pointer was set, UTC.'",
    "COMMENT ON COLUMN current_versions.changed_by IS 'Who set it.'",
    "COMMENT ON TABLE pointer_history IS 'Every change of a pointer, append-only, in the order of its own sequence and not of the clock.'",
    "COMMENT ON COLUMN pointer_history.change_id IS 'Number of the change, growing.'",
    "COMMENT ON COLUMN pointer_history.video_id IS 'The video.'",
    "COMMENT ON COLUMN pointer_history.from_version_id IS 'What was shown before; null at first.'",
    "COMMENT ON COLUMN pointer_history.to_version_id IS 'What is shown from then on.'",
    "COMMENT ON COLUMN pointer_history.cause IS 'Why it changed: `commit`, …'",
    "COMMENT ON COLUMN pointer_history.changed_at IS 'When, UTC.'",
    "COMMENT ON COLUMN pointer_history.changed_by IS 'Who.'",
    "COMMENT ON TABLE frames IS 'Sampled frames, one row a frame: its time on the container''s clock and its image on disk.'",
    "COMMENT ON COLUMN frames.version_id IS 'The committed version that the row belongs to.'",
    "COMMENT ON COLUMN frames.frame_index IS 'Sample slot k of the frame, >= 0.'",
    "COMMENT ON COLUMN frames.timestamp_s IS 'Time of the frame from the container''s start in seconds, >= 0.'",
    "COMMENT ON COLUMN frames.image_path IS 'Path of the JPEG, relative to BRI_HOME.'",
    "COMMENT ON COLUMN frames.image_sha256 IS 'SHA-256 of the JPEG''s bytes, 64 hex digits.'",
    "COMMENT ON COLUMN frames.width IS 'Width of the image in pixels, > 0.'",
    "COMMENT ON COLUMN frames.height IS 'Height of the image in pixels, > 0.'",
    "COMMENT ON COLUMN frames.phash IS 'Perceptual hash (64 bits) of the image, 16 hex digits.'",
    "COMMENT ON TABLE captions IS 'What is seen in each frame, in words: one row a frame.'",
    "COMMENT ON COLUMN captions.version_id IS 'The committed version that the row belongs to.'",
    "COMMENT ON COLUMN captions.frame_index IS 'The frame that is described, >= 0.'",
    "COMMENT ON COLUMN captions.text IS 'The caption, never blank.'",
    "COMMENT ON COLUMN captions.confidence IS 'The captioner''s own confidence, 0 to 1.'",
    "COMMENT ON TABLE transcripts IS 'What is said, one row a segment in the order of speech; no rows where nothing is said or there is no sound.'",
    "COMMENT ON COLUMN transcripts.version_id IS 'The committed version that the row belongs to.'",
    "COMMENT ON COLUMN transcripts.segment_index IS 'Position of the segment in the video, from 0.'",
    "COMMENT ON COLUMN transcripts.start_s IS 'Start of the segment from the container''s start in seconds, >= 0.'",
    "COMMENT ON COLUMN transcripts.end_s IS 'End of the segment from the container''s start in seconds, > start.'",
    "COMMENT ON COLUMN transcripts.text IS 'The words, never blank.'",
    "COMMENT ON COLUMN transcripts.confidence IS 'exp of the segment''s mean log probability of a token, 0 to 1.'",
    "COMMENT ON COLUMN transcripts.language IS 'Language code, as the transcriber names it (en).'",
    "COMMENT ON COLUMN transcripts.no_speech_prob IS 'Probability that nothing is said here, 0 to 1.'",
    "COMMENT ON TABLE detections IS 'Objects seen in the frames, one row an object; boxes in pixels of the frame''s image, from its top left corner.'",
    "COMMENT ON COLUMN detections.version_id IS 'The committed version that the row belongs to.'",
    "COMMENT ON COLUMN detections.frame_index IS 'The frame in which the object is seen, >= 0.'",
    "COMMENT ON COLUMN detections.detection_index IS 'Rank of the object in its frame by confidence, from 0.'",
    "COMMENT ON COLUMN detections.class_id IS 'Number of the class in the detector''s model, >= 0.'",
    "COMMENT ON COLUMN detections.class_name IS 'Name of the class in the detector''s model.'",
    "COMMENT ON COLUMN detections.confidence IS 'The detector''s own confidence, 0 to 1.'",
    "COMMENT ON COLUMN detections.x1 IS 'Left edge of the box in pixels, >= 0.'",
    "COMMENT ON COLUMN detections.y1 IS 'Top edge of the box in pixels, >= 0.'",
    "COMMENT ON COLUMN detections.x2 IS 'Right edge of the box in pixels, > left.'",
    "COMMENT ON COLUMN detections.y2 IS 'Bottom edge of the box in pixels, > top.'",
    "COMMENT ON TABLE lineage IS 'How each table of a version was made: enough to make it again.'",
    "COMMENT ON COLUMN lineage.version_id IS 'The committed version that the row belongs to.'",
    "COMMENT ON COLUMN lineage.table_name IS '`source_video`, `frames`, `captions`, `detections` or `transcripts`.'",
    "COMMENT ON COLUMN lineage.tool IS 'Library that made the rows.'",
    "COMMENT ON COLUMN lineage.tool_version IS 'Its version.'",
    "COMMENT ON COLUMN lineage.model IS 'Model that was used; null for tools without one.'",
    "COMMENT ON COLUMN lineage.weights_sha256 IS 'SHA-256 of the model''s weights; null without a model.'",
    "COMMENT ON COLUMN lineage.parameters IS 'Parameters that change the result, JSON.'",
    "COMMENT ON COLUMN lineage.inputs IS 'Staged tables it was made from, as JSON: table to content hash.'",
    "COMMENT ON COLUMN lineage.outcome IS 'What came of it: `complete`, `transcribed`, `no_audio`.'",
    "COMMENT ON COLUMN lineage.source_sha256 IS 'SHA-256 of the upload''s bytes that were read.'",
    "COMMENT ON COLUMN lineage.content_sha256 IS 'SHA-256 over the canonical rows.'",
    "COMMENT ON COLUMN lineage.row_count IS 'Rows, >= 0.'",
    "COMMENT ON COLUMN lineage.manifest_sha256 IS 'SHA-256 of the staged manifest.'",
    "COMMENT ON COLUMN lineage.staged_file IS 'Staged Parquet file, relative to BRI_HOME.'",
    "COMMENT ON COLUMN lineage.run_id IS 'Dagster run that made it.'",
    "COMMENT ON COLUMN lineage.seconds IS 'Seconds that it took, >= 0.'",
    "COMMENT ON COLUMN lineage.made_at IS 'When it was made, UTC.'",
    "COMMENT ON TABLE proofs IS 'The proofs that allowed the commit of a version, as they came out.'",
    "COMMENT ON COLUMN proofs.version_id IS 'The committed version that the row belongs to.'",
    "COMMENT ON COLUMN proofs.proof IS 'Name of the proof.'",
    "COMMENT ON COLUMN proofs.passed IS 'Always true: a version with a failed proof does not exist.'",
    "COMMENT ON COLUMN proofs.observed IS 'Offending rows that were found.'",
    "COMMENT ON COLUMN proofs.expected IS 'Offending rows that are allowed.'",
    "COMMENT ON COLUMN proofs.seconds IS 'Seconds that it took, >= 0.'",
    "COMMENT ON TABLE video_class_stats IS 'Where each class of object is seen in a version, so that finding it across videos never scans detections.'",
    "COMMENT ON COLUMN video_class_stats.version_id IS 'The committed version that the row belongs to.'",
    "COMMENT ON COLUMN video_class_stats.class_name IS 'Name of the class.'",
    "COMMENT ON COLUMN video_class_stats.class_id IS 'Number of the class in the detector''s model.'",
    "COMMENT ON COLUMN video_class_stats.frames IS 'Frames in which it is seen, > 0.'",
    "COMMENT ON COLUMN video_class_stats.detections IS 'Objects of the class in all frames, > 0.'",
    "COMMENT ON COLUMN video_class_stats.first_s IS 'Time of the first frame with it, in seconds.'",
    "COMMENT ON COLUMN video_class_stats.last_s IS 'Time of the last frame with it, in seconds.'",
    "COMMENT ON TABLE audit_log IS 'Every mutation, append-only: who, what, when, on which rows by id and hash; never their content.'",
    "COMMENT ON COLUMN audit_log.event_id IS 'Number of the event, growing.'",
    "COMMENT ON COLUMN audit_log.occurred_at IS 'When, UTC.'",
    "COMMENT ON COLUMN audit_log.actor IS 'Who: `cli`, `sensor`, `pipeline`, …'",
    "COMMENT ON COLUMN audit_log.action IS 'What: `upload.accepted`, `version.committed`, `version.refused`, …'",
    "COMMENT ON COLUMN audit_log.entity IS 'Table of what it was done to.'",
    "COMMENT ON COLUMN audit_log.entity_id IS 'Key of what it was done to.'",
    "COMMENT ON COLUMN audit_log.rows_sha256 IS 'Hash of the rows concerned; null where there are none.'",
    "COMMENT ON COLUMN audit_log.run_id IS 'Dagster run in which it was done; null outside of one.'",
    "COMMENT ON COLUMN audit_log.detail IS 'What else a person needs, JSON; no content of videos.'",
    "COMMENT ON TABLE schema_migrations IS 'Migrations that made the store what it is, one row each.'",
    "COMMENT ON COLUMN schema_migrations.version IS 'Revision, four digits.'",
    "COMMENT ON COLUMN schema_migrations.name IS 'What it does.'",
    "COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 of the migration''s source.'",
    "COMMENT ON COLUMN schema_migrations.applied_at IS 'When, UTC.'",
    "COMMENT ON COLUMN schema_migrations.applied_by IS 'Who.'",
)

#: Each view shows the current versions of videos that are not deleted, without the version.
VIEWS = {
    "v_videos": """
CREATE VIEW v_videos AS
SELECT v.video_id, v.filename, v.sha256, v.size_bytes, v.duration_s, v.first_frame_s, v.last_frame_s, v.frame_count,
       v.fps, v.width, v.height, v.rotation_deg, v.has_audio, v.container, v.video_codec, v.audio_codec,
       n.frames, n.captions, n.transcript_segments, n.detections, n.transcript_outcome,
       n.sample_interval_s, n.sample_slots, n.empty_slots, n.committed_at
FROM current_versions c JOIN videos v USING (video_id) JOIN video_versions n USING (version_id)
WHERE v.deleted_at IS NULL
""",
    "v_frames": """
CREATE VIEW v_frames AS
SELECT c.video_id, t.frame_index, t.timestamp_s, t.image_path, t.image_sha256, t.width, t.height, t.phash
FROM current_versions c JOIN videos v USING (video_id) JOIN frames t USING (version_id)
WHERE v.deleted_at IS NULL
""",
    "v_captions": """
CREATE VIEW v_captions AS
SELECT c.video_id, t.frame_index, t.text, t.confidence
FROM current_versions c JOIN videos v USING (video_id) JOIN captions t USING (version_id)
WHERE v.deleted_at IS NULL
""",
    "v_transcripts": """
CREATE VIEW v_transcripts AS
SELECT c.video_id, t.segment_index, t.start_s, t.end_s, t.text, t.confidence, t.language, t.no_speech_prob
FROM current_versions c JOIN videos v USING (video_id) JOIN transcripts t USING (version_id)
WHERE v.deleted_at IS NULL
""",
    "v_detections": """
CREATE VIEW v_detections AS
SELECT c.video_id, t.frame_index, t.detection_index, t.class_id, t.class_name, t.confidence, t.x1, t.y1, t.x2, t.y2
FROM current_versions c JOIN videos v USING (video_id) JOIN detections t USING (version_id)
WHERE v.deleted_at IS NULL
""",
    "video_context": """
CREATE VIEW video_context AS
SELECT f.video_id, v.filename, f.frame_index, f.timestamp_s, f.image_path,
       c.text AS caption, c.confidence AS caption_confidence,
       (SELECT list({'class_name': d.class_name, 'confidence': d.confidence} ORDER BY d.detection_index)
        FROM v_detections d WHERE d.video_id = f.video_id AND d.frame_index = f.frame_index) AS objects,
       (SELECT string_agg(s.text, ' ' ORDER BY s.segment_index)
        FROM v_transcripts s
        WHERE s.video_id = f.video_id
          AND s.start_s < f.timestamp_s + v.sample_interval_s AND s.end_s > f.timestamp_s) AS words
FROM v_frames f JOIN v_videos v USING (video_id)
JOIN v_captions c ON c.video_id = f.video_id AND c.frame_index = f.frame_index
""",
}


def upgrade() -> None:
    """Make everything."""
    for sequence in SEQUENCES:
        op.execute(f"CREATE SEQUENCE {sequence}")
    for statement in (*TABLES.values(), *COMMENTS, *VIEWS.values()):
        op.execute(_literal(statement))


def downgrade() -> None:
    """Remove everything, children first."""
    for view in reversed(VIEWS):
        op.execute(f"DROP VIEW {view}")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
    for sequence in SEQUENCES:
        op.execute(f"DROP SEQUENCE {sequence}")


def _literal(statement: str) -> str:
    # SQLAlchemy takes a colon before a name for a parameter, and regular expressions have them.
    return statement.replace(":", "\\:")
