"""What the processes do that are killed: one operation of the store each, on a video of its own.

Each kind of work is prepared (versions are committed, a backup is made), then done, and can be done again by whoever
comes after. What does not belong here: at which points it is interrupted (``points``) and how (``killing``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bri_assets.errors import VideoNotFound
from bri_assets.files import sha256_bytes
from bri_assets.settings import Settings
from bri_assets.staging import Source, StagingArea
from bri_assets.store import Store, migrations
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.operations import Operations
from bri_assets.store.archives.archive import Archive
from bri_assets.store.compaction.compact import Compaction
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.purge import Purge
from bri_assets.store.history import History
from bri_assets.store.memory import Memory, Turn
from bri_assets.store.recovery.backups import Backups
from bri_assets.store.recovery.migrate import migrate
from bri_assets.store.recovery.restore import Restore
from bri_assets_tests.bundles import rows, stage
from bri_assets_tests.faults.ledger import Entry, note

__all__ = ["WORKS", "Work", "bring", "commit_new"]

#: Backups that are kept.
KEPT = 1


@dataclass(frozen=True)
class Work:
    """A kind of work.

    Args:
        name: of it.
        group: the class of its operations; None where it is not done through an owner.
        prepare: brings a home to where the work can be done, given a seed; returns what is to be done.
        do: does it; returns what was acknowledged.
        empty: it begins in a home without a store.
        alone: it changes the revision, so a home is used for no other work.
    """

    name: str
    group: type[Operations] | None
    prepare: Callable[[Path, str], Entry]
    do: Callable[[Path, Entry], Entry]
    empty: bool = False
    alone: bool = False


def bring(home: Path, seed: str, *, frames: int = 4, text: str = "") -> Entry:
    """Stage a video, or another version of the one with the same seed; returns the commit that is to be done."""
    sha256 = sha256_bytes(seed.encode())
    tables = rows(home, frames=frames, video_id=f"video-{sha256[:12]}", sha256=sha256)
    for caption in tables["captions"]:
        caption["text"] += text
    video_id = tables["source_video"][0]["video_id"]
    StagingArea(home / "staged").accept(Source(video_id=video_id, **_upload(seed), sha256=sha256))
    return Entry("commit", video_id, stage(home, tables).sha256)


def _upload(seed: str) -> dict[str, str]:
    return {"path": f"/uploads/{seed}.mp4", "filename": "holiday.mp4", "signature": "1-1-1-1-1"}


def commit_new(home: Path, seed: str, *, frames: int = 4, text: str = "") -> Entry:
    """Stage and commit a version, and note that it was acknowledged."""
    entry = _commit(home, bring(home, seed, frames=frames, text=text))
    note(home, entry)
    return entry


def _commit(home: Path, entry: Entry) -> Entry:
    committed = Store.of(Settings(home=home)).commit(entry.bundle_in(home), run_id="run", channel="test")
    return replace(entry, version=committed.version, version_id=committed.version_id)


def _two_versions(home: Path, seed: str) -> tuple[Entry, Entry]:
    return commit_new(home, seed), commit_new(home, seed, frames=3, text=" again")


def _new_version(home: Path, seed: str) -> Entry:
    commit_new(home, seed)
    return bring(home, seed, frames=5, text=" anew")


def _prepare_first(home: Path, seed: str) -> Entry:
    return bring(home, seed)


def _prepare_rollback(home: Path, seed: str) -> Entry:
    return replace(_two_versions(home, seed)[0], work="rollback")


def _rollback(home: Path, entry: Entry) -> Entry:
    History.of(Settings(home=home)).rollback(entry.video_id, entry.version, channel="test")
    return entry


def _prepare_delete(home: Path, seed: str) -> Entry:
    return replace(commit_new(home, seed), work="delete")


def _delete(home: Path, entry: Entry) -> Entry:
    Deletion.of(Settings(home=home)).delete(entry.video_id, channel="test")
    return entry


def _prepare_undelete(home: Path, seed: str) -> Entry:
    deleted = _delete(home, _prepare_delete(home, seed))
    note(home, deleted)
    return replace(deleted, work="undelete")


def _undelete(home: Path, entry: Entry) -> Entry:
    Deletion.of(Settings(home=home)).undelete(entry.video_id, channel="test")
    return entry


def _prepare_archive(home: Path, seed: str) -> Entry:
    return replace(_two_versions(home, seed)[0], work="archive")


def _archive(home: Path, entry: Entry) -> Entry:
    Archive.of(Settings(home=home)).archive_version(entry.version_id, channel="test")
    return entry


def _prepare_unarchive(home: Path, seed: str) -> Entry:
    archived = _archive(home, _prepare_archive(home, seed))
    note(home, archived)
    return replace(archived, work="unarchive")


def _unarchive(home: Path, entry: Entry) -> Entry:
    Archive.of(Settings(home=home)).unarchive(entry.video_id, entry.version, channel="test")
    return entry


def _prepare_purge(home: Path, seed: str) -> Entry:
    note(home, _archive(home, _prepare_archive(home, seed)))
    return Entry("purge", commit_new(home, seed, frames=6, text=" third").video_id)


def _purge(home: Path, entry: Entry) -> Entry:
    # Whoever died after the last step is not known to have finished: nothing is left to purge then.
    with suppress(VideoNotFound):
        Purge.of(Settings(home=home)).purge(entry.video_id, reason="asked", channel="test")
    return entry


def _prepare_remember(home: Path, seed: str) -> Entry:
    """A turn of the same conversation is there already."""
    first = _remember(home, Entry("remember", turn_id=sha256_bytes(f"{seed} before".encode())))
    note(home, first)
    return Entry("remember", turn_id=sha256_bytes(seed.encode()))


def _remember(home: Path, entry: Entry) -> Entry:
    turn = Turn(conversation_id="talk", user="What is seen?", assistant="A picture.", turn_id=entry.turn_id)
    Memory.of(Settings(home=home)).add(turn, channel="test")
    return entry


def _prepare_backup(home: Path, seed: str) -> Entry:
    """One is there already, which the next one makes one too many."""
    commit_new(home, seed)
    note(home, _backup(home, Entry("backup")))
    return Entry("backup")


def _backup(home: Path, entry: Entry) -> Entry:
    settings = Settings(home=home)
    made = Backups.of(settings).make(settings.backup_dir, keep=KEPT, reason="asked", channel="test")
    return replace(entry, backup_id=made.backup_id)


def _prepare_compact(home: Path, seed: str) -> Entry:
    _two_versions(home, seed)
    return Entry("compact")


def _compact(home: Path, entry: Entry) -> Entry:
    Compaction.of(Settings(home=home)).compact(channel="test")
    return entry


def _prepare_upgrade(home: Path, seed: str) -> Entry:
    commit_new(home, seed)
    _migrate(home, "0001")
    return Entry("upgrade")


def _upgrade(home: Path, entry: Entry) -> Entry:
    _migrate(home, migrations.HEAD)
    return entry


def _prepare_downgrade(home: Path, seed: str) -> Entry:
    commit_new(home, seed)
    return Entry("downgrade")


def _downgrade(home: Path, entry: Entry) -> Entry:
    _migrate(home, "0001")
    return entry


def _migrate(home: Path, revision: str) -> None:
    settings = Settings(home=home)
    migrate(StoreFile.of(settings), settings.backup_dir, to=revision, channel="test")


def _prepare_restore(home: Path, seed: str) -> Entry:
    """A backup, and after it a commit, a rollback and a deletion that only the journal and what is staged know."""
    note(home, _backup(home, Entry("backup")))
    note(home, _rollback(home, _prepare_rollback(home, seed)))
    note(home, _delete(home, _prepare_delete(home, f"{seed} after")))
    return Entry("restore")


def _restore(home: Path, entry: Entry) -> Entry:
    restore = Restore.of(Settings(home=home))
    restored = restore.restore(restore.choose(None, None), channel="test")
    assert not restored.lost
    return entry


WORKS = {
    work.name: work
    for work in (
        Work("first commit", Store, _prepare_first, _commit, empty=True),
        Work("commit", Store, _new_version, _commit),
        Work("rollback", History, _prepare_rollback, _rollback),
        Work("delete", Deletion, _prepare_delete, _delete),
        Work("undelete", Deletion, _prepare_undelete, _undelete),
        Work("archive", Archive, _prepare_archive, _archive),
        Work("unarchive", Archive, _prepare_unarchive, _unarchive),
        Work("purge", Purge, _prepare_purge, _purge),
        Work("remember", Memory, _prepare_remember, _remember),
        Work("backup", Backups, _prepare_backup, _backup),
        Work("compact", Compaction, _prepare_compact, _compact),
        Work("upgrade", None, _prepare_upgrade, _upgrade, alone=True),
        Work("downgrade", None, _prepare_downgrade, _downgrade, alone=True),
        Work("restore", None, _prepare_restore, _restore),
    )
}
