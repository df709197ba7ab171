"""Giving disk space back: the store goes on in a new, small file, because DuckDB's files never shrink.

The files are copied while commits wait; the copy is written anew and proven while they go on; then, while they wait
again, the new file catches up with what was committed since and takes the store's place. What does not belong here: how
a file is written anew (``rewrite``) and how one takes the place of another (``swap``).
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import portalocker

from bri_assets.errors import StoreBusy, StoreDamaged
from bri_assets.files import storing
from bri_assets.store import audit
from bri_assets.store.access import swap
from bri_assets.store.access.connection import OwnedElsewhere, transaction
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.compaction.rewrite import FRESH, attached, catch_up, rewrite, size_of
from bri_assets.store.compaction.same import quoted
from bri_assets.store.recovery.backups import Backups

__all__ = ["Adopted", "Compacted", "Compaction"]

_SCRATCH, _SUFFIX = "compacting-", ".compact-"
_ACTION = "store.compacted"


@dataclass(frozen=True)
class Adopted:
    """A new file that took the store's place.

    Args:
        bytes_before: of the file that it replaced.
        bytes_after: of the new file.
        rows: that it had to catch up with.
        seconds: for which commits waited; if that is read from the audit log, without the last step.
    """

    bytes_before: int
    bytes_after: int
    rows: int
    seconds: float


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    Args:
        bytes_before: size of the store's file before, with its WAL.
        bytes_after: size of the file that took its place.
        rows: that were written into it.
        rows_since: that were added, changed or removed by others meanwhile, and that it caught up with.
        seconds: in all.
        paused_copy_s: seconds for which commits waited while the files were copied.
        paused_swap_s: seconds for which commits waited while the new file caught up and took the store's place.
    """

    bytes_before: int
    bytes_after: int
    rows: int
    rows_since: int
    seconds: float
    paused_copy_s: float
    paused_swap_s: float


class Compaction(Operations):
    """Compaction of the store of one BRI_HOME; see ``Operations`` for what every operation raises."""

    def compact(self, *, channel: str) -> Compacted:
        """Write the store into a file without holes, and let that take its place.

        Needs room for two more copies of the store on its disk. A process that dies meanwhile leaves the old store or
        the new one, and files that the next compaction removes.

        Args:
            channel: the way in, for the audit log.

        Raises:
            StoreBusy: another compaction is running, or reads or writes go on for longer than ``wait_s``; the store is
                as it was.
            StoreDamaged: the new file cannot be proven; the store is as it was.
            StorageFailed: the disk refused; the store is as it was.
        """
        started = time.monotonic()
        identity = uuid.uuid4().hex[:8]
        fresh = self.file.path.with_name(f"{self.file.path.name}{_SUFFIX}{identity}")
        with self._alone():
            self.clear()
            scratch = self.file.path.parent / f"{_SCRATCH}{identity}"
            with storing(scratch, 0):
                scratch.mkdir()
            try:
                paused_s, rows = self._rewrite(scratch, fresh)
            except BaseException:
                _remove(fresh)
                raise
            finally:
                with storing(scratch, 0):
                    shutil.rmtree(scratch)
            adopted = self.adopt(fresh.name, channel=channel)
        return Compacted(
            bytes_before=adopted.bytes_before,
            bytes_after=adopted.bytes_after,
            rows=rows,
            rows_since=adopted.rows,
            seconds=round(time.monotonic() - started, 3),
            paused_copy_s=paused_s,
            paused_swap_s=adopted.seconds,
        )

    @operation()
    def clear(self) -> None:
        """Remove what compactions left behind that died; the caller has seen that none is running.

        A caller may have died while the owner adopts its file: that is waited for. A file that a swap still has to put
        in place stays.
        """
        folder, name = self.file.path.parent, self.file.path.name
        with self.file.still(), storing(folder, 0):
            if swap.pending(self.file.path):
                return
            for leftover in folder.glob(f"{name}{_SUFFIX}*"):
                leftover.unlink()
            for leftover in folder.glob(f"{_SCRATCH}*"):
                shutil.rmtree(leftover)

    @operation()
    def adopt(self, name: str, *, channel: str) -> Adopted:
        """Let a new file catch up with the store and take its place; one that did already stays there.

        Args:
            name: of the file, beside the store's; a store with no row that was never committed.
            channel: the way in, for the audit log.

        Raises:
            StoreBusy: reads or writes went on for longer than ``wait_s``; the store is as it was.
            StoreDamaged: the file cannot be brought to what the store holds; the store is as it was.
            StorageFailed: the disk refused; the store is as it was, or whoever opens it next finishes the swap.
            ValueError: the file has not the name of one that a compaction made.
        """
        fresh = self.file.path.with_name(name)
        if not name.startswith(f"{self.file.path.name}{_SUFFIX}"):
            raise ValueError(f"{name} is no file that a compaction made")  # and so none that one may remove
        made: list[Adopted] = []
        began: list[float] = []

        def make(connection: duckdb.DuckDBPyConnection) -> swap.Plan:
            began.append(time.monotonic())
            try:
                made.append(self._catch_up(connection, fresh, channel))
            except BaseException:
                _remove(fresh)
                raise
            return swap.Plan(database=name, safety=None)

        try:
            if (done := self._adopted(name)) is not None:
                return done
            self.file.replace(make)
        except OwnedElsewhere:
            raise  # its owner is asked to adopt the same file
        except StoreBusy:
            # An owner that died over this may have left the swap half done, and then this file is the store.
            if not swap.pending(self.file.path):
                _remove(fresh)
            raise
        seconds = round(time.monotonic() - began[0], 3)
        with self.file.open():
            pass  # brings the event into the journal
        return Adopted(made[0].bytes_before, size_of(self.file.path), made[0].rows, seconds)

    def _rewrite(self, scratch: Path, fresh: Path) -> tuple[float, int]:
        copy = scratch / self.file.path.name
        copied = Backups(self.home, self.file, self.staging).copy_files(copy)
        return copied.paused_s, rewrite(copy, fresh, self.file.key)

    def _adopted(self, name: str) -> Adopted | None:
        query = "SELECT detail FROM audit_log WHERE action = ? AND entity_id = ?"
        with self.file.reading() as connection:
            found = connection.execute(query, [_ACTION, name]).fetchone()
        return Adopted(**json.loads(found[0])) if found else None

    def _catch_up(self, connection: duckdb.DuckDBPyConnection, fresh: Path, channel: str) -> Adopted:
        """Bring the new file to what the store holds, and record in it that it takes the store's place."""
        started = time.monotonic()
        if not fresh.is_file():
            what = "is to take the store's place, but is not there."
            raise StoreDamaged(fresh, what, "The store is as it was. Run `bri compact` again.")
        before = size_of(self.file.path)
        with attached(connection, fresh, self.file.key):
            rows = catch_up(connection, fresh)
            connection.execute(f"CHECKPOINT {FRESH}")
            done = Adopted(before, size_of(fresh), rows, round(time.monotonic() - started, 3))
            with _working_on(connection, FRESH), transaction(connection):
                audit.record(
                    connection,
                    who=audit.actor(channel),
                    action=_ACTION,
                    entity="store",
                    entity_id=fresh.name,
                    detail=asdict(done),
                )
        return done

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only compaction of this store; the lock ends with the process, however it ends."""
        path = self.file.path.with_suffix(".compacting.lock")
        with storing(path, 0):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        with file:
            try:
                portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
            except portalocker.LockException as error:
                raise StoreBusy(self.file.path, "is being compacted already.", "Wait for that to end.") from error
            yield


@contextmanager
def _working_on(connection: duckdb.DuckDBPyConnection, database: str) -> Iterator[None]:
    before = str(connection.execute("SELECT current_database()").fetchall()[0][0])
    connection.execute(f"USE {database}")
    try:
        yield
    finally:
        connection.execute(f"USE {quoted(before)}")


def _remove(fresh: Path) -> None:
    with storing(fresh, 0):
        for path in (fresh, swap.wal_of(fresh)):
            path.unlink(missing_ok=True)
