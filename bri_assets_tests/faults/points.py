"""The named points at which processes are killed, by the kind of work that they interrupt.

A point is a function of the package as its caller looks it up, so a change of the package that moves one makes the
suite fail rather than pass without it. What does not belong here: how a process dies there (``killing``).
"""

from __future__ import annotations

from bri_assets_tests.faults.killing import Point

__all__ = ["BOTH", "DIRECT", "OWNER"]

_COMMIT = "bri_assets.store.commit"
_ARCHIVE, _MOVES = "bri_assets.store.archives.archive", "bri_assets.store.archives.archive_moves"
_BACKUPS, _MIGRATE = "bri_assets.store.recovery.backups", "bri_assets.store.recovery.migrate"
_FOLDER = "bri_assets.store.recovery.backup_folder"
_COMPACT, _REWRITE = "bri_assets.store.compaction.compact", "bri_assets.store.compaction.rewrite"
_PURGE, _PURGE_ROWS = "bri_assets.store.erasure.purge", "bri_assets.store.erasure.purge_rows"
_RESTORE, _SWAP = "bri_assets.store.recovery.restore", "bri_assets.store.access.swap"
_MESSAGES = "bri_assets.store.messages"
_JOURNAL = "bri_assets.store.access.journal"

#: From the event that was committed to the caller who is told, of every operation that writes one event.
_JOURNALLING = (
    Point("after COMMIT, before the journal", f"{_JOURNAL}:Journal._append", "before"),
    Point("journal written, before it is synced", f"{_JOURNAL}:os.fsync", "before"),
    Point("journal synced", f"{_JOURNAL}:os.fsync"),
    Point("after the journal", f"{_JOURNAL}:Journal._append"),
)

_COMMITTING = (
    Point("after BEGIN", f"{_COMMIT}:_committed_before", "before"),
    Point("after the video's row", "bri_assets.store.rows:upsert_video"),
    Point("after the version's row", "bri_assets.store.rows:insert_version"),
    Point("after frames", "bri_assets.store.rows:insert", call=1),
    Point("after the second table", "bri_assets.store.rows:insert", call=2),
    Point("after the third table", "bri_assets.store.rows:insert", call=3),
    Point("after the fourth table", "bri_assets.store.rows:insert", call=4),
    Point("after lineage", "bri_assets.store.rows:insert_lineage"),
    Point("before the proofs", f"{_COMMIT}:_prove", "before"),
    Point("after the proofs", f"{_COMMIT}:_prove"),
    Point("before the pointer flips", "bri_assets.store.pointer:flip", "before"),
    Point("after the pointer flipped", "bri_assets.store.pointer:flip"),
    Point("before COMMIT", f"{_COMMIT}:_record_commit"),
    Point("after COMMIT", f"{_COMMIT}:_verify", "before"),
    Point("after it was read back", f"{_COMMIT}:_verify"),
    *_JOURNALLING,
)

#: Work that is interrupted in the same places, whether this process has the database open or its owner does.
BOTH: dict[str, tuple[Point, ...]] = {
    "commit": _COMMITTING,
    "rollback": (
        Point("before the facts of the file", "bri_assets.store.facts:restore", "before"),
        Point("after the pointer flipped", "bri_assets.store.pointer:flip"),
        Point("before COMMIT", "bri_assets.store.history:_record"),
        *_JOURNALLING,
    ),
    "delete": (
        Point("after the mark", "bri_assets.store.deletion:delete"),
        Point("before COMMIT", "bri_assets.store.deletion:_record"),
        *_JOURNALLING,
    ),
    "undelete": (
        Point("after the mark", "bri_assets.store.deletion:undelete"),
        Point("before COMMIT", "bri_assets.store.deletion:_record"),
        *_JOURNALLING,
    ),
    "archive": (
        Point("before the first file", f"{_ARCHIVE}:write", "before"),
        Point("after the first file", f"{_ARCHIVE}:write"),
        Point("after the last file", f"{_ARCHIVE}:write", call=4),
        Point("after BEGIN", f"{_ARCHIVE}:move_out", "before"),
        Point("rows gone, before the mark", f"{_MOVES}:_mark", "before"),
        Point("after the mark", f"{_ARCHIVE}:move_out"),
        Point("before COMMIT", f"{_ARCHIVE}:_record"),
        *_JOURNALLING,
    ),
    "unarchive": (
        Point("after the files were read", f"{_ARCHIVE}:load"),
        Point("after BEGIN", f"{_ARCHIVE}:move_in", "before"),
        Point("after the first table", "bri_assets.store.rows:insert"),
        Point("rows back, before the mark", f"{_MOVES}:_mark", "before"),
        Point("after the mark", f"{_ARCHIVE}:move_in"),
        Point("before COMMIT", f"{_ARCHIVE}:_record"),
        Point("after COMMIT", f"{_ARCHIVE}:_verify", "before"),
        *_JOURNALLING,
    ),
    "purge": (
        Point("begun, before COMMIT", f"{_PURGE}:begin_purge"),
        Point("begun, before the journal", f"{_JOURNAL}:Journal._append", "before"),
        Point("begun", f"{_JOURNAL}:Journal._append"),
        Point("children removed, before COMMIT", f"{_PURGE_ROWS}:remove_children"),
        Point("before the versions", f"{_PURGE_ROWS}:remove_versions", "before"),
        Point("versions removed, before COMMIT", f"{_PURGE_ROWS}:remove_versions"),
        Point("before the video's row", f"{_PURGE_ROWS}:remove_video", "before"),
        Point("video removed, before COMMIT", f"{_PURGE_ROWS}:remove_video"),
        Point("rows gone", f"{_PURGE}:remove_rows"),
        Point("said to be finished, before COMMIT", f"{_PURGE}:finish_purge"),
        Point("finished, before the journal", f"{_JOURNAL}:Journal._append", "before", call=2),
        Point("finished", f"{_JOURNAL}:Journal._append", call=2),
    ),
    "remember": (
        Point("after BEGIN", f"{_MESSAGES}:of_turn", "before"),
        Point("after the user's message", f"{_MESSAGES}:_insert", call=1),
        Point("after the assistant's message", f"{_MESSAGES}:_insert", call=2),
        Point("before COMMIT", "bri_assets.store.memory:_record"),
        *_JOURNALLING,
    ),
    "backup": (
        Point("before the copy", f"{_BACKUPS}:copy_in_a_process_of_its_own", "before"),
        Point("after the copy", f"{_BACKUPS}:copy_in_a_process_of_its_own"),
        Point("after its row", f"{_BACKUPS}:insert"),
        *_JOURNALLING,
    ),
    "compact": (
        Point("before the copy", f"{_BACKUPS}:copy_in_a_process_of_its_own", "before"),
        Point("after the copy", f"{_BACKUPS}:copy_in_a_process_of_its_own"),
        Point("before the new file catches up", f"{_COMPACT}:catch_up", "before"),
        Point("caught up", f"{_COMPACT}:catch_up"),
        Point("recorded, before COMMIT", f"{_COMPACT}:audit.record"),
        Point("before the plan", f"{_SWAP}:write_atomically", "before"),
        Point("plan written", f"{_SWAP}:write_atomically"),
        Point("old file removed", f"{_SWAP}:_put_aside"),
        Point("new file in place", f"{_SWAP}:os.replace"),
        Point("plan carried out", f"{_SWAP}:swap"),
        *_JOURNALLING,
    ),
}

#: Closing the database writes its log into the file; a kill before that leaves the log to whoever opens it next.
_MIGRATED = Point("after COMMIT, still open", "sqlalchemy.engine.base:RootTransaction._do_commit")

#: Work and places that only the process that does it itself comes to.
DIRECT: dict[str, tuple[Point, ...]] = {
    "first commit": (
        Point("before the tables are made", "bri_assets.store.access.connection:migrations.upgrade", "before"),
        Point("after the first table", "alembic.op:execute", call=1),
        Point("after 20 statements", "alembic.op:execute", call=20),
        Point("after 80 statements", "alembic.op:execute", call=80),
        Point("before schema_migrations", "bri_assets.files:sha256_file", "before"),
        _MIGRATED,
        Point("tables made, before it is in place", "bri_assets.store.access.connection:os.replace", "before"),
        Point("in place", "bri_assets.store.access.connection:os.replace"),
        *_COMMITTING,
        Point("journal's folder not synced", f"{_JOURNAL}:sync_folder", "before"),
    ),
    "commit": (
        Point("before the lock", "bri_assets.store.access.connection:StoreFile._wait_for_lock", "before"),
        Point("after the lock", "bri_assets.store.access.connection:StoreFile._wait_for_lock"),
        Point("opened", "bri_assets.store.store:commit", "before"),
        Point("before the acknowledgement", "bri_assets.store.store:Store.commit"),
    ),
    "purge": (
        Point("before the files", f"{_PURGE}:remove_files", "before"),
        Point("after the first file", f"{_PURGE}_files:_remove"),
        Point("a file gone, its folder not synced", f"{_PURGE}_files:sync_folder", "before"),
        Point("files gone", f"{_PURGE}:remove_files"),
    ),
    "backup": (
        Point("folder made", f"{_BACKUPS}:begin"),
        Point("before it is proven", f"{_BACKUPS}:prove_file", "before"),
        Point("proven", f"{_BACKUPS}:prove_file"),
        Point("before its record", f"{_FOLDER}:write_atomically", "before"),
        Point("record beside it", f"{_FOLDER}:write_atomically"),
        Point("named", f"{_FOLDER}:sync_folder", "before"),
        Point("before its row", f"{_BACKUPS}:keep_files"),
        Point("after its record in the store", f"{_BACKUPS}:Backups.record"),
        Point("before an older one is recorded as removed", f"{_BACKUPS}:Backups.expired", "before"),
        Point("an older one renamed", f"{_FOLDER}:shutil.rmtree", "before"),
        Point("an older one half removed", "shutil:os.unlink"),
        Point("an older one removed", f"{_BACKUPS}:remove"),
        Point("an older one recorded as removed", f"{_BACKUPS}:Backups.expired"),
    ),
    "compact": (
        Point("before the new file is made", f"{_REWRITE}:migrations.upgrade", "before"),
        Point("tables made", f"{_REWRITE}:migrations.upgrade"),
        Point("rows written", f"{_REWRITE}:follow"),
        Point("proven", f"{_COMPACT}:rewrite"),
        Point("copy removed", f"{_COMPACT}:shutil.rmtree"),
    ),
    "upgrade": (
        Point("before the backup", f"{_MIGRATE}:_back_up", "before"),
        Point("backup not yet kept", f"{_MIGRATE}:keep_files", "before"),
        Point("after the backup", f"{_MIGRATE}:_back_up"),
        Point("before the first step", "alembic.op:execute", "before"),
        Point("after the first table", "alembic.op:execute", call=1),
        Point("after the last table of 0002", "alembic.op:execute", call=3),
        Point("after a comment", "alembic.op:execute", call=20),
        Point("before schema_migrations", "bri_assets.files:sha256_file", "before"),
        _MIGRATED,
        Point("after COMMIT, closed", f"{_MIGRATE}:migrations.upgrade"),
        Point("recorded, before COMMIT", f"{_MIGRATE}:audit.record"),
    ),
    "downgrade": (
        Point("before the backup", f"{_MIGRATE}:_back_up", "before"),
        Point("after the backup", f"{_MIGRATE}:_back_up"),
        Point("after the first table is dropped", "alembic.op:execute", call=1),
        Point("after the last table is dropped", "alembic.op:execute", call=10),
        _MIGRATED,
        Point("after COMMIT, closed", f"{_MIGRATE}:migrations.downgrade"),
        Point("recorded, before COMMIT", f"{_MIGRATE}:audit.record"),
    ),
    "restore": (
        Point("before the backup is looked at", f"{_RESTORE}:require_intact", "before"),
        Point("before the copy", f"{_RESTORE}:shutil.copyfile", "before"),
        Point("after the copy", f"{_RESTORE}:shutil.copyfile"),
        Point("before the replay", f"{_RESTORE}:Replayer.replay", "before"),
        Point("after the first event", f"{_RESTORE}:Replayer._happen"),
        Point("after the third event", f"{_RESTORE}:Replayer._happen", call=3),
        Point("after the replay", f"{_RESTORE}:Replayer.replay"),
        Point("proven", f"{_RESTORE}:examine"),
        Point("new journal written, not synced", f"{_JOURNAL}:os.fsync", "before"),
        Point("before the plan", f"{_RESTORE}:swap", "before"),
        Point("plan written", f"{_SWAP}:finish", "before"),
        Point("before the old database is put aside", f"{_SWAP}:_put_aside", "before"),
        Point("old database put aside", f"{_SWAP}:_put_aside"),
        Point("new database in place", f"{_SWAP}:_put_aside", "before", call=2),
        Point("old journal put aside", f"{_SWAP}:_put_aside", call=2),
        Point("new journal in place", f"{_SWAP}:sync_folder", call=4),
        Point("plan carried out", f"{_SWAP}:finish"),
        Point("before the acknowledgement", f"{_RESTORE}:swap"),
    ),
}

#: Places that only an owner comes to.
OWNER: dict[str, tuple[Point, ...]] = {
    "commit": (
        Point("asked, not begun", "bri_assets.serve.owner:_carry_out", "before"),
        Point("before the database", "bri_assets.store.store:commit", "before"),
        Point("done, not answered", "bri_assets.serve.owner:_carry_out"),
    ),
}
