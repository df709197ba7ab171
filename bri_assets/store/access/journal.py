"""The journal: every event of the audit log once more, outside of the database, so that what it lost can be told.

A line an event, checksummed, appended and synced before anybody is told that the event happened. A database that ends
before its journal is an old copy or lost commits; the journal, with what is staged, says how to bring them back
(``replay``). What does not belong here: what an event means.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from bri_assets.errors import JournalDamaged, StoreBehind
from bri_assets.files import storing, sync_folder

__all__ = ["JOURNAL", "Event", "Journal", "events_of"]

#: The file's name in the staging area.
JOURNAL = "journal.jsonl"

#: Read from the end of the file at first to find its last line; an event has a few hundred bytes.
_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class Event:
    """One row of ``audit_log``, its ``detail`` as a mapping."""

    event_id: int
    occurred_at: datetime
    actor: str
    action: str
    entity: str
    entity_id: str
    rows_sha256: str | None
    run_id: str | None
    detail: dict[str, Any]

    def row(self) -> list[Any]:
        """The values in the order of the table's columns."""
        return [*(getattr(self, field.name) for field in fields(self)[:-1]), json.dumps(self.detail, sort_keys=True)]


def events_of(connection: duckdb.DuckDBPyConnection, after: int = 0) -> list[Event]:
    """The events of the audit log with an id above ``after``, in their order."""
    found = connection.execute("FROM audit_log WHERE event_id > ? ORDER BY event_id", [after]).fetchall()
    return [Event(*(*row[:-1], json.loads(row[-1]))) for row in found]


@dataclass(frozen=True)
class Journal:
    """The journal of one store.

    Whoever calls ``mirror`` or ``rewrite`` holds the store, so that there is one writer at a time.

    Args:
        path: the file; made when first written to.
    """

    path: Path

    def last_event_id(self) -> int:
        """The id of the newest event, 0 where there is none.

        Raises:
            JournalDamaged: the last whole line is not what was written.
        """
        return self._end()[0]

    def _end(self) -> tuple[int, int]:
        """The id of the newest event, and how many events there are; raises as ``last_event_id``."""
        lines = self._tail()[1].split(b"\n")
        # What follows the last line break was torn off while it was written, and nobody was told of it.
        if len(lines) < 2:
            return 0, 0
        number, event = self._parse(lines[-2], "its last line")
        return event.event_id, number

    def events(self, after: int = 0, damaged: dict[int, str] | None = None) -> Iterator[Event]:
        """The events with an id above ``after``, in their order; a torn last line is none.

        Args:
            after: events up to this one are passed over.
            damaged: is given a sentence for each line that is not what was written, by the line's number, which is
                that of its event among all; None to stop at the first.

        Raises:
            JournalDamaged: a line is not what was written; says which.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    _, event = self._parse(line[:-1], f"line {number}")
                except JournalDamaged as error:
                    if damaged is None:
                        raise
                    damaged[number] = str(error)
                    continue
                if event.event_id > after:
                    yield event

    def require_not_ahead(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Refuse a database that does not hold what was acknowledged.

        Raises:
            StoreBehind: it ends before its journal, or lacks events before the journal's last (DuckDB takes the
                write-ahead log of a newer file for that of an older copy).
        """
        last, told = self._end()
        held = _count_up_to(connection, last)
        if told != held:
            raise StoreBehind(
                self.path,
                f"tells of {told} events, but the database has {held} of them: it is an old copy, or lost some.",
                "Run `bri restore`: it replays what is missing (docs/runbooks/recovery.md).",
            )

    def mirror(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Append the events that only the database has.

        Raises:
            StorageFailed: the disk refused; the events are appended by whoever opens the store next.
        """
        last, number = self._end()
        missing = events_of(connection, last)
        if missing:
            self._append(b"".join(_line(event, at) for at, event in enumerate(missing, number + 1)))

    def rewrite(self, path: Path, events: Iterable[Event]) -> None:
        """Write a journal of these events to another file, whole, synced.

        Raises:
            StorageFailed: the disk refused.
        """
        with storing(path, 0), path.open("wb") as file:
            file.writelines(_line(event, number) for number, event in enumerate(events, 1))
            file.flush()
            os.fsync(file.fileno())

    def _append(self, data: bytes) -> None:
        with storing(self.path, len(data)):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists()
            with self.path.open("ab") as file:
                file.truncate(self._whole_bytes())
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if new:
                sync_folder(self.path.parent)

    def _whole_bytes(self) -> int:
        """Length of the file up to its last line break."""
        begin, tail = self._tail()
        return begin + tail.rfind(b"\n") + 1

    def _tail(self) -> tuple[int, bytes]:
        """The end of the file, with its last whole line at least, and where it begins."""
        try:
            with self.path.open("rb") as file:
                size, span = os.fstat(file.fileno()).st_size, _TAIL_BYTES
                while True:
                    begin = max(0, size - span)
                    file.seek(begin)
                    tail = file.read()
                    if begin == 0 or tail.count(b"\n") > 1:
                        return begin, tail
                    span *= 4
        except FileNotFoundError:
            return 0, b""

    def _parse(self, line: bytes, where: str) -> tuple[int, Event]:
        """The number of an event among all of them, and the event."""
        checksum, _, text = line.partition(b" ")
        if checksum != _checksum(text):
            raise self._damaged(f"{where} is not what was written: its checksum does not fit")
        try:
            values = json.loads(text)
            number, occurred_at = values.pop("number"), datetime.fromisoformat(values.pop("occurred_at"))
            return number, Event(occurred_at=occurred_at, **values)
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(f"{where} is no event: {error!r}") from error

    def _damaged(self, what: str) -> JournalDamaged:
        remedy = "Run `bri rebuild-journal`: the database has every event too (docs/runbooks/recovery.md)."
        return JournalDamaged(self.path, f"{what}.", remedy)


def _count_up_to(connection: duckdb.DuckDBPyConnection, event_id: int) -> int:
    return int(connection.execute("SELECT count(*) FROM audit_log WHERE event_id <= ?", [event_id]).fetchall()[0][0])


def _line(event: Event, number: int) -> bytes:
    values = asdict(event) | {"number": number, "occurred_at": event.occurred_at.astimezone(UTC).isoformat()}
    text = json.dumps(values, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()
    return _checksum(text) + b" " + text + b"\n"


def _checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)
