"""Bringing a store back: a backup and the journal since become a new database, which is proven and put in place.

Nothing is overwritten: what was there moves into a folder beside, and the new database takes its place in one step that
a kill cannot leave half done. What does not belong here: making backups (``backups``) and what an event does again
(``replay``).
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bri_assets.errors import BackupDamaged, RestoreFailed, StoreBehind
from bri_assets.files import storing, sync_folder
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import audit, migrations
from bri_assets.store.access.connection import StoreFile, transaction
from bri_assets.store.access.duck import connect
from bri_assets.store.access.journal import Event, Journal, events_of
from bri_assets.store.access.swap import Plan, pending, swap
from bri_assets.store.recovery.backup_folder import Backup, alone, kept, require_intact
from bri_assets.store.recovery.backups import insert
from bri_assets.store.recovery.remembered import keep_forgotten, message_ids
from bri_assets.store.recovery.replay import Given, Replayer, events_until
from bri_assets.store.recovery.restored import Rebuilt, Restored
from bri_assets.store.recovery.whole import examine

__all__ = ["Rebuilt", "Restore", "Restored"]

#: What follows the database's name while a new one is made.
_SUFFIX = ".restored-"


@dataclass(frozen=True)
class Restore:
    """Restores the store of one BRI_HOME.

    Args:
        file: the store as a file.
        journal: its journal.
        home: BRI_HOME.
        staging: where the bundles lie that are committed again.
        folder: of the backups.
    """

    file: StoreFile
    journal: Journal
    home: Path
    staging: StagingArea
    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> Restore:
        """For a process's BRI_HOME."""
        file, journal = StoreFile.of(settings), Journal(settings.journal_path)
        return cls(file, journal, settings.home, StagingArea(settings.staged_dir), settings.backup_dir)

    def choose(self, name: str | None, until: datetime | None) -> Backup | None:
        """The backup of that name, or the newest that was made before ``until``; None where there is none at all.

        Raises:
            BackupDamaged: there is no backup of that name, or it holds what happened after ``until``.
        """
        backups = kept(self.folder)
        if name is None:
            fitting = [one for one in self._of_this_past(backups) if until is None or one.created_at <= until]
            return fitting[-1] if fitting else None
        for backup in backups:
            if backup.backup_id == name:
                if until is not None and backup.created_at > until:
                    raise BackupDamaged(name, f"was made after {until}.", "Choose an older backup.")
                if backup not in self._of_this_past(backups):
                    what = "holds what a restore to a point in time left behind."
                    raise BackupDamaged(name, what, "What was there before that restore lies in store/replaced-….")
                return backup
        raise BackupDamaged(self.folder / name, "there is no such backup.", "See `bri backups`.")

    def _of_this_past(self, backups: list[Backup]) -> list[Backup]:
        """Those of which the journal has the last event; others hold what a restore to a point in time left behind.

        Where lines of the journal cannot be read, or there is no journal, nothing can be told, and all of them fit.
        """
        unreadable: dict[int, str] = {}
        told = {event.event_id for event in self.journal.events(damaged=unreadable)}
        if unreadable or not told:
            return backups
        return [backup for backup in backups if backup.last_event_id in told | {0}]

    def restore(
        self, backup: Backup | None, *, until: datetime | None = None, accept_loss: bool = False, channel: str
    ) -> Restored:
        """Put what a backup and the journal hold in the place of the store.

        Args:
            backup: where to begin; None for an empty store.
            until: replay nothing that happened later.
            accept_loss: go on where something that was committed cannot be brought back.
            channel: the way in, for the audit log.

        Raises:
            BackupDamaged: the backup is not what was made; the store is as it was.
            RestoreFailed: something would be lost, or the result cannot be proven; the store is as it was.
            StoreBusy: somebody owns or holds the store.
            StorageFailed: the disk refused.
        """
        started = time.monotonic()
        with alone(self.folder, self.file.wait_s), self.file.locked():
            for leftover in self.file.path.parent.glob(f"{self.file.path.name}{_SUFFIX}*"):
                leftover.unlink()
            new = self.file.path.with_name(f"{self.file.path.name}{_SUFFIX}{uuid.uuid4().hex[:8]}")
            try:
                rebuilt = self.rebuild(new, backup, until=until)
                _require_whole(rebuilt, accept_loss)
                journal = self._close_books(new, backup, rebuilt, until, channel)
                safety = self._safety()
                swap(self.file.path, Plan(database=new.name, safety=safety, journal=(journal, self.journal.path)))
            except BaseException:
                if not pending(self.file.path):
                    new.unlink(missing_ok=True)
                raise
        return Restored(
            backup.backup_id if backup else None,
            until,
            rebuilt.replayed.events,
            rebuilt.replayed.versions,
            rebuilt.replayed.lost + rebuilt.damaged,
            rebuilt.replayed.unsaid,
            rebuilt.found.videos,
            rebuilt.found.versions,
            safety if safety.is_dir() else None,
            round(time.monotonic() - started, 3),
        )

    def rebuild(
        self,
        new: Path,
        backup: Backup | None,
        *,
        until: datetime | None = None,
        up_to: int | None = None,
    ) -> Rebuilt:
        """Make a database of a backup and the journal, beside everything that is there, and look at the whole of it.

        Args:
            new: the file to make.
            backup: where to begin; None for an empty store.
            until: replay nothing that happened later.
            up_to: replay no event with a higher number.

        Raises:
            BackupDamaged: the backup is not what was made.
            StorageFailed: the disk refused.
        """
        if backup is not None:
            require_intact(backup)
            with storing(new, backup.size_bytes):
                shutil.copyfile(backup.database, new)
        # Does nothing to a backup of this revision, and makes the tables where there is none.
        migrations.upgrade(new, key=self.file.key)
        unreadable: dict[int, str] = {}
        journalled = list(self.journal.events(damaged=unreadable))
        with connect(new, self.file.key) as connection:
            held = events_of(connection)
            after = held[-1].event_id if held else 0
            taken = events_until(journalled, until)
            events = [event for event in taken if event.event_id > after]
            if up_to is not None:
                events = [event for event in events if event.event_id <= up_to]
            replayer = Replayer(connection, self.home, self.staging)
            replayed = replayer.replay(events, self._given([*held, *journalled]))
            keep_forgotten(connection, journalled[len(taken) :])
            connection.execute("FORCE CHECKPOINT")
            found = examine(connection)
        # A line that cannot be read is no loss where the backup has its event.
        damaged = [said for number, said in unreadable.items() if number > len(held)]
        return Rebuilt(new, replayed, found, damaged)

    def _given(self, events: list[Event]) -> Given:
        committed = (int(event.entity_id) for event in events if event.action == "version.committed")
        told = [event.event_id for event in events] + [backup.last_event_id for backup in self._readable()]
        return Given(max(told, default=0), max(committed, default=0), max(message_ids(events), default=0))

    def _readable(self) -> list[Backup]:
        return kept(self.folder, readable_only=True)

    def rebuild_journal(self, *, channel: str) -> Path | None:
        """Write the journal anew from the database, where a line of it is damaged; the old one is kept beside.

        Args:
            channel: the way in, for the audit log.

        Returns:
            Where the old journal is kept; None where there was none.

        Raises:
            StoreBehind: what can still be read of the journal goes further than the database; a restore is needed.
            StoreBusy: somebody owns or holds the store.
        """
        with self.file.locked():
            with dataclasses.replace(self.file, journal=None).opened() as connection:
                damaged: dict[int, str] = {}
                told = {event.event_id for event in self.journal.events(damaged=damaged)}
                lacking = told - {event.event_id for event in events_of(connection)}
                if lacking:
                    what = f"tells of {len(lacking)} event(s) that the database does not have."
                    raise StoreBehind(self.journal.path, what, "Run `bri restore`: it replays what is missing.")
                with transaction(connection):
                    audit.record(
                        connection,
                        who=audit.actor(channel),
                        action="journal.rebuilt",
                        entity="audit_log",
                        entity_id="journal",
                        detail={"damaged_lines": len(damaged)},
                    )
                new = self.journal.path.with_suffix(".rebuilt")
                self.journal.rewrite(new, events_of(connection))
            return self._put_in_place(new)

    def _put_in_place(self, new: Path) -> Path | None:
        old = self.journal.path
        aside = old.with_name(f"{old.stem}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}{old.suffix}")
        with storing(old, 0):
            kept_old = old.exists()
            if kept_old:
                os.link(old, aside)
            os.replace(new, old)
        sync_folder(old.parent)
        return aside if kept_old else None

    def _close_books(
        self, new: Path, backup: Backup | None, rebuilt: Rebuilt, until: datetime | None, channel: str
    ) -> Path:
        """Record the restore in the new database, and write the journal that belongs to it; returns that one's path."""
        detail = {
            "backup_id": backup.backup_id if backup else None,
            "until": until.isoformat() if until else None,
            "events": rebuilt.replayed.events,
            "versions": rebuilt.replayed.versions,
            "lost": len(rebuilt.replayed.lost) + len(rebuilt.damaged),
            "unsaid": rebuilt.replayed.unsaid,
        }
        with connect(new, self.file.key) as connection:
            with transaction(connection):
                for known in self._readable():
                    insert(connection, known)
                audit.record(
                    connection,
                    who=audit.actor(channel),
                    action="store.restored",
                    entity="backups",
                    entity_id=backup.backup_id if backup else "journal",
                    rows_sha256=backup.sha256 if backup else None,
                    detail=detail,
                )
            events: list[Event] = events_of(connection)
        journal = self.journal.path.with_suffix(".restored")
        self.journal.rewrite(journal, events)
        sync_folder(journal.parent)
        return journal

    def _safety(self) -> Path:
        return self.file.path.with_name(f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:4]}")


def _require_whole(rebuilt: Rebuilt, accept_loss: bool) -> None:
    if rebuilt.found.wrong:
        what = f"what was rebuilt cannot be proven: {rebuilt.found.wrong[0]}."
        raise RestoreFailed(rebuilt.path, what, "The store is as it was. Choose another backup.")
    lost = rebuilt.replayed.lost + rebuilt.damaged
    if lost and not accept_loss:
        what = f"{len(lost)} event(s) cannot happen again; the first: {lost[0]}"
        remedy = "The store is as it was. Bring back the files that are named, or give --accept-loss."
        raise RestoreFailed(rebuilt.path, what, remedy)
