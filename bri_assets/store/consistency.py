"""Whether the store's records agree: pointers, deletions, versions, proofs, turns, tokens, audit log and journal.

What somebody changed with another program is seen by what he did not change along. Reads only. What does not belong
here: the rows of a version (``verify``) and files other than the journal.
"""

from __future__ import annotations

from bri_assets.store.access.journal import JOURNAL, Event, Journal, events_of
from bri_assets.store.access.operations import Operations, operation

__all__ = ["Consistency"]

#: Of each kind, so many are told by name.
_MOST = 20

#: What is wrong, as a sentence with the subject in front, and the query that returns the subjects.
_QUERIES = (
    (
        "shows another version than its history says",
        """SELECT coalesce(c.video_id, h.video_id)
           FROM current_versions c
           FULL JOIN (SELECT video_id, max_by(to_version_id, change_id) AS version_id
                      FROM pointer_history GROUP BY video_id) h USING (video_id)
           WHERE c.version_id IS DISTINCT FROM h.version_id""",
    ),
    (
        "is hidden or shown though the audit log says otherwise",
        """SELECT v.video_id
           FROM videos v
           LEFT JOIN (SELECT entity_id, max_by(action, event_id) AS action FROM audit_log
                      WHERE action IN ('video.deleted', 'video.undeleted', 'video.purge_begun', 'video.purged')
                      GROUP BY entity_id) e ON e.entity_id = v.video_id
           WHERE (v.deleted_at IS NOT NULL)
                 <> coalesce(e.action IN ('video.deleted', 'video.purge_begun'), false)""",
    ),
    (
        "is a version that the audit log knows nothing of",
        """SELECT 'version ' || n.version_id || ' of ' || n.video_id FROM video_versions n
           WHERE NOT EXISTS (FROM audit_log a
                             WHERE a.action = 'version.committed' AND a.entity_id = n.version_id::VARCHAR)""",
    ),
    (
        "was committed and is gone, though nobody purged its video",
        """SELECT 'version ' || a.entity_id || ' of ' || (a.detail ->> 'video_id') FROM audit_log a
           WHERE a.action = 'version.committed'
                 AND NOT EXISTS (FROM video_versions n WHERE n.version_id::VARCHAR = a.entity_id)
                 AND NOT EXISTS (FROM audit_log p WHERE p.action = 'video.purge_begun'
                                 AND p.entity_id = (a.detail ->> 'video_id') AND p.event_id > a.event_id)""",
    ),
    (
        "has lost the record of its proofs",
        """SELECT 'version ' || n.version_id || ' of ' || n.video_id FROM video_versions n
           WHERE NOT EXISTS (FROM proofs p WHERE p.version_id = n.version_id)
                 OR EXISTS (FROM proofs p WHERE p.version_id = n.version_id AND NOT p.passed)""",
    ),
    (
        "is there by half",
        """SELECT 'turn ' || turn_id FROM memory GROUP BY turn_id
           HAVING count(*) <> 2 OR count(DISTINCT (conversation_id, video_id, created_at)) <> 1""",
    ),
    (
        "allows what the audit log does not say",
        """SELECT 'token ' || t.token_id FROM tokens t
           LEFT JOIN audit_log a ON a.action = 'token.created' AND a.rows_sha256 = t.sha256
           WHERE (a.detail ->> 'name', a.detail ->> 'scope', (a.detail ->> 'expires_at')::TIMESTAMPTZ)
                 IS DISTINCT FROM (t.name, t.scope, t.expires_at)
                 OR t.revoked_at IS NULL AND EXISTS (FROM audit_log r
                                                     WHERE r.action = 'token.revoked' AND r.entity_id = t.token_id)""",
    ),
)


class Consistency(Operations):
    """Reads that hold the records of one BRI_HOME against each other."""

    @operation()
    def differences(self) -> list[str]:
        """What disagrees, a sentence each; nothing where all agrees."""
        damaged: dict[int, str] = {}
        # The journal first: what is added meanwhile is in the database already when it is read.
        told = {event.event_id: event for event in Journal(self.staging.root / JOURNAL).events(damaged=damaged)}
        found = list(damaged.values())
        with self.file.reading() as connection:
            for what, query in _QUERIES:
                found += _named([str(subject) for (subject,) in connection.execute(query).fetchall()], what)
            kept = {event.event_id: event for event in events_of(connection)}
        return found + _named(_changed(told, kept), "is not in the audit log as the journal has it")


def _changed(told: dict[int, Event], kept: dict[int, Event]) -> list[str]:
    return [f"event {event_id}" for event_id, event in told.items() if kept.get(event_id) != event]


def _named(subjects: list[str], what: str) -> list[str]:
    more = [f"{len(subjects) - _MOST} more of this kind."] if len(subjects) > _MOST else []
    return [f"{subject} {what}." for subject in sorted(subjects)[:_MOST]] + more
