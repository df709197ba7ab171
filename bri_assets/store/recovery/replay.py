"""Replaying events: what happened to a store after a backup was made happens to the copy again, in the old order.

Commits come from the staged bundles that they were made of, with every proof; each event keeps its number, author and
time. What does not belong here: which database is replayed onto, and what takes its place (``restore``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb

from bri_assets.errors import BriError
from bri_assets.staging import Bundle, StagingArea
from bri_assets.store import audit, deletion, facts, history, quality, reads, uploads
from bri_assets.store.access.connection import transaction
from bri_assets.store.access.journal import Event
from bri_assets.store.archives.archive_moves import replay_archived, replay_unarchived
from bri_assets.store.commit import CommitRequest, insert_and_prove
from bri_assets.store.erasure import purge_rows
from bri_assets.store.erasure.purge import uploads_still_there
from bri_assets.store.images import image_hashes
from bri_assets.store.outbox.replay import AGAIN
from bri_assets.store.recovery import backups
from bri_assets.store.recovery.backup_folder import Backup
from bri_assets.store.recovery.remembered import Remembered

#: Each sequence, and the highest of its numbers that was ever given; those of purged versions stand in the audit log.
_SEQUENCES = {
    "version_ids": "SELECT max(entity_id::BIGINT) FROM audit_log WHERE action = 'version.committed'",
    "change_ids": "SELECT max(change_id) FROM pointer_history",
    "message_ids": "SELECT max(message_id) FROM memory",
    "event_ids": "SELECT max(event_id) FROM audit_log",
}

__all__ = ["Given", "Replayed", "Replayer", "events_until"]


@dataclass(frozen=True)
class Given:
    """The highest numbers that were ever given, also to what a restore to a point in time leaves behind.

    Were they given again, a backup made of what was left behind would pass for one of the store as it went on.

    Args:
        event_id: of an event.
        version_id: of a version.
        message_id: of a message.
    """

    event_id: int
    version_id: int
    message_id: int


@dataclass
class Replayed:
    """What came of replaying.

    Args:
        events: that happened again.
        versions: committed versions among them.
        lost: what could not happen again, a sentence each.
        superseded: events that could not happen again because the files of their video were purged later.
        unsaid: turns of conversations that are gone, because no file but the database holds what is said.
    """

    events: int = 0
    versions: int = 0
    lost: list[str] = field(default_factory=list)
    superseded: int = 0
    unsaid: int = 0


def events_until(events: Iterable[Event], until: datetime | None) -> list[Event]:
    """The events up to a time, in their order: the first that counts from a later time ends them.

    A clock may have jumped back; an event counts from the latest time that it or any before it was given.

    Args:
        events: in their order.
        until: with a time zone; None for all.
    """
    taken: list[Event] = []
    for event in events:
        if until is not None and event.occurred_at > until:
            break
        taken.append(event)
    return taken


class Replayer:
    """Replays events onto an open store.

    Args:
        connection: to the copy, without a transaction.
        home: BRI_HOME, where images and archived files lie.
        staging: where bundles lie. No file is changed: what a purge removed is gone already.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, home: Path, staging: StagingArea) -> None:
        self._connection, self._home, self._staging = connection, home, staging
        self._remembered = Remembered(connection)
        self._again: dict[str, Callable[[Event], None]] = {
            "version.committed": self._commit,
            "version.measured": self._measure,
            "version.rolled_back": self._roll_back,
            "version.archived": self._archive,
            "version.unarchived": self._unarchive,
            "video.deleted": self._delete,
            "video.undeleted": self._undelete,
            "video.purge_begun": self._begin_purge,
            "video.purged": self._finish_purge,
            "backup.made": self._keep_backup,
            "backup.expired": self._expire_backup,
            **{action: partial(again, connection) for action, again in AGAIN.items()},
            **self._remembered.again,
        }

    def replay(self, events: list[Event], given: Given) -> Replayed:
        """Let events happen again, each in a transaction of its own.

        Args:
            events: in their order.
            given: numbers that must not be given again.

        One that cannot is kept in the audit log all the same and named among what is lost. Afterwards new numbers go on
        after the last of the old ones.
        """
        done = Replayed()
        purged = {event.entity_id: event.event_id for event in events if event.action == "video.purge_begun"}
        for event in events:
            video_id = str(event.detail.get("video_id"))
            self._happen(event, done, purged_later=purged.get(video_id, 0) > event.event_id)
        done.unsaid = self._remembered.unsaid
        self._advance_sequences(given)
        return done

    def _happen(self, event: Event, done: Replayed, *, purged_later: bool) -> None:
        try:
            if event.action == "video.purged":
                self._remove_rows(event)
            with transaction(self._connection):
                if event.action in self._again:
                    self._again[event.action](event)
                audit.keep(self._connection, event)
        except BriError as error:
            self._keep(event)
            if purged_later:
                done.superseded += 1
            else:
                done.lost.append(f"event {event.event_id}, {event.action} of {event.entity_id}: {error}")
        else:
            done.events += 1
            done.versions += event.action == "version.committed"

    def _keep(self, event: Event) -> None:
        with transaction(self._connection):
            audit.keep(self._connection, event)

    def _commit(self, event: Event) -> None:
        bundle = self._staging.bundle_of(event.detail["video_id"], event.detail["manifests"])
        rows = {name: self._staging.read(manifest) for name, manifest in bundle.manifests.items()}
        request = CommitRequest(
            bundle,
            rows,
            image_hashes(self._home, rows["frames"]),
            event.run_id or "",
            event.actor,
            at=event.occurred_at,
            numbers=(int(event.entity_id), event.detail["version"]),
        )
        insert_and_prove(self._connection, request)
        self._keep_upload(bundle, event)

    def _keep_upload(self, bundle: Bundle, event: Event) -> None:
        """The row of the upload that intake accepted, which no event describes."""
        source = self._staging.source(bundle.video_id)
        size = int(self._staging.read(bundle.manifests["source_video"])["size_bytes"].iloc[0])
        upload = uploads.NewUpload(source.path, source.filename, source.signature, size, source.sha256, source.video_id)
        uploads.keep_committed(self._connection, upload, run_id=event.run_id, who=event.actor, at=event.occurred_at)

    def _measure(self, event: Event) -> None:
        quality.record(self._connection, int(event.entity_id))

    def _roll_back(self, event: Event) -> None:
        found = reads.video(self._connection, event.detail["video_id"], int(event.entity_id))
        found = facts.with_facts(found, self._staging)
        history.roll_back(self._connection, found, who=event.actor, at=event.occurred_at)

    def _archive(self, event: Event) -> None:
        replay_archived(self._connection, self._home, event.detail, who=event.actor, at=event.occurred_at)

    def _unarchive(self, event: Event) -> None:
        replay_unarchived(self._connection, self._home, event.detail)

    def _delete(self, event: Event) -> None:
        deletion.delete(self._connection, event.entity_id, who=event.actor, at=event.occurred_at)

    def _undelete(self, event: Event) -> None:
        deletion.undelete(self._connection, event.entity_id, who=event.actor, at=event.occurred_at)

    def _begin_purge(self, event: Event) -> None:
        reason = event.detail["reason"]
        purge_rows.begin_purge(self._connection, event.entity_id, reason=reason, who=event.actor, at=event.occurred_at)

    def _remove_rows(self, event: Event) -> None:
        """Before the event's own transaction: parents cannot be deleted in the one that deletes their children."""
        there = uploads_still_there(self._connection, event.entity_id)
        purge_rows.remove_rows(self._connection, event.entity_id, there, who=event.actor, at=event.occurred_at)

    def _finish_purge(self, event: Event) -> None:
        told, video_id = event.detail, event.entity_id
        self._remembered.forget_video(video_id)
        purge_rows.finish_purge(self._connection, video_id, files=told["files"], who=event.actor, at=event.occurred_at)
        # How many rows the first purge removed, not how many there were this time.
        self._connection.execute("UPDATE purges SET rows_removed = ? WHERE video_id = ?", [told["rows"], video_id])

    def _keep_backup(self, event: Event) -> None:
        backups.insert(self._connection, Backup.model_validate(event.detail))

    def _expire_backup(self, event: Event) -> None:
        backups.mark_expired(self._connection, event.entity_id, who=event.actor, at=event.occurred_at)

    def _advance_sequences(self, given: Given) -> None:
        least = {"event_ids": given.event_id, "version_ids": given.version_id, "message_ids": given.message_id}
        for sequence, newest in _SEQUENCES.items():
            used = self._connection.execute(newest).fetchall()[0][0] or 0
            now = self._connection.execute("SELECT nextval(?)", [sequence]).fetchall()[0][0]
            behind = max(used, least.get(sequence, 0)) - now
            self._connection.execute("SELECT max(nextval(?)) FROM range(?)", [sequence, max(behind, 0)])
