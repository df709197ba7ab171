"""What each process of a campaign does: prepare, do and die, own the store, look at what is left.

Every function is the whole life of one forked process. What does not belong here: when it is killed (``campaign``).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from bri_assets.serve import owner
from bri_assets.serve.supervisor import supervised
from bri_assets.settings import Settings
from bri_assets.staging import Bundle
from bri_assets.store import Store, StoreFile, migrations
from bri_assets.store.access import owned
from bri_assets.store.memory import Memory, Turn
from bri_assets.store.recovery.whole import examine
from bri_assets_tests.faults.invariants import broken, held_by
from bri_assets_tests.faults.killing import Point, arm
from bri_assets_tests.faults.ledger import Entry, entries, fold, note
from bri_assets_tests.faults.work import WORKS, commit_new

__all__ = [
    "Found",
    "attempt",
    "commit",
    "commit_all",
    "do",
    "examine",
    "fill",
    "hold_lock",
    "hold_plainly",
    "hold_read",
    "intrude",
    "look",
    "own",
    "own_carelessly",
    "prepare",
    "remember_all",
    "supervise",
]

Ready = Callable[..., None]


@dataclass(frozen=True)
class Found:
    """What was found after a kill.

    Args:
        problems: what does not hold, a sentence each.
        there: whether what was under way was there, whole, before it was done again.
    """

    problems: list[str]
    there: bool


def fill(_ready: Ready, home: Path, seed: str) -> None:
    """Make a store with a few videos, one of them deleted."""
    for number in range(3):
        commit_new(home, f"{seed} video {number}")
    deleted = WORKS["delete"].prepare(home, f"{seed} deleted")
    note(home, WORKS["delete"].do(home, deleted))


def prepare(_ready: Ready, home: Path, work: str, seed: str) -> Entry:
    """Bring a home to where the work can be done."""
    return WORKS[work].prepare(home, seed)


def do(ready: Ready, home: Path, work: str, entry: Entry) -> None:
    """Do the work, and note that it was acknowledged."""
    ready()
    note(home, WORKS[work].do(home, entry))


def attempt(ready: Ready, home: Path, work: str, seed: str, point: Point | None) -> None:
    """Prepare the work, and die over it at a point, or whenever somebody kills this process."""
    entry = WORKS[work].prepare(home, seed)
    if point is not None:
        arm(point)
    ready(entry)
    note(home, WORKS[work].do(home, entry))


def own(ready: Ready, home: Path, point: Point | None, **settings: Any) -> None:
    """Own the store until it is told to stop, or die at a point."""
    os.environ |= {"BRI_HOME": str(home)} | {f"BRI_{name}".upper(): str(value) for name, value in settings.items()}
    if point is not None:
        arm(point)
    # It listens, and is told to stop by a signal, before it serves.
    arm(Point("ready", "bri_assets.serve.owner:asyncio.run", "before"), ready)
    owner.main()


def own_carelessly(ready: Ready, home: Path, pause: Point | None, *, guarded: bool = True) -> None:
    """Own the store, and open and close its file before each operation, which drops DuckDB's lock.

    At ``pause`` it waits until there is a file ``go-on`` beside the home. Not guarded, it does as on a system that has
    no locks but DuckDB's kind.
    """

    def careless() -> None:
        with StoreFile.of(Settings(home=home)).path.open("rb"):
            pass

    def wait() -> None:
        home.with_name("paused").touch()
        while not home.with_name("go-on").exists():
            time.sleep(0.01)

    if pause is not None:
        arm(pause, wait)
    if not guarded:
        owned.guarded = lambda _path: None
    arm(Point("every operation", "bri_assets.serve.owner:_carry_out", "before"), careless)
    own(ready, home, None)


def intrude(ready: Ready, home: Path, close: bool) -> None:
    """Write 1,000 rows into the file as a notebook would; then close it, or hold it until somebody kills this."""
    connection = duckdb.connect(str(StoreFile.of(Settings(home=home)).path))
    connection.execute("CREATE TABLE IF NOT EXISTS strange (number INTEGER)")
    connection.execute("INSERT INTO strange FROM range(1000)")
    if close:
        connection.close()
        return
    ready()
    threading.Event().wait()


def supervise(ready: Ready, home: Path) -> None:
    """Keep an owner running until somebody kills this process."""
    os.environ["BRI_HOME"] = str(home)
    with supervised(print):
        while StoreFile.of(Settings()).owner() is None:
            time.sleep(0.02)
        ready()
        threading.Event().wait()


def commit_all(ready: Ready, home: Path, bundles: list[Bundle]) -> list[Entry]:
    """Commit one bundle after another."""
    ready()
    return [commit(ready, home, bundle) for bundle in bundles]


def commit(_ready: Ready, home: Path, bundle: Bundle) -> Entry:
    """Commit a bundle, and note that it was acknowledged."""
    committed = Store.of(Settings(home=home)).commit(bundle, run_id="run", channel="test")
    entry = Entry("commit", bundle.video_id, bundle.sha256, committed.version, committed.version_id)
    note(home, entry)
    return entry


def remember_all(ready: Ready, home: Path, turns: list[Turn]) -> list[list[int]]:
    """Add one turn after another, and note that each was acknowledged; returns the numbers of their messages."""
    ready()
    memory, numbers = Memory.of(Settings(home=home)), []
    for turn in turns:
        numbers.append([message.message_id for message in memory.add(turn, channel="test")])
        note(home, Entry("remember", turn_id=turn.turn_id))
    return numbers


def hold_lock(ready: Ready, home: Path) -> None:
    """Hold the lock beside the store until somebody kills this process."""
    with StoreFile.of(Settings(home=home)).locked():
        ready()
        threading.Event().wait()


def hold_read(ready: Ready, home: Path) -> None:
    """Hold a read of the store until somebody kills this process."""
    with StoreFile.of(Settings(home=home)).reading() as connection:
        connection.execute("FROM v_videos").fetchall()
        ready()
        threading.Event().wait()


def hold_plainly(ready: Ready, home: Path) -> None:
    """Read the file as a notebook does, past our lock, until somebody kills this process."""
    with duckdb.connect(str(StoreFile.of(Settings(home=home)).path), read_only=True) as connection:
        connection.execute("FROM v_videos").fetchall()
        ready()
        threading.Event().wait()


def look(_ready: Ready, home: Path, work: str, entry: Entry | None, again: bool) -> Found:
    """Look for what does not hold; then do the work again, unless it was acknowledged, and look once more."""
    problems = _migrated_wrong(home) if WORKS[work].alone else []
    there = False
    if not WORKS[work].alone:
        problems += broken(home, entry)
        there = not problems and entry is not None and _there(home, entry)
    if again and entry is not None and not problems:
        note(home, WORKS[work].do(home, entry))
    if WORKS[work].alone and not problems:
        note(home, WORKS["upgrade"].do(home, Entry("upgrade")))
    return Found(problems or [f"done again: {what}" for what in broken(home)], there)


def _there(home: Path, entry: Entry) -> bool:
    """Whether the store holds the work; of one that changes nothing that readers see, nothing is said."""
    done = entries(home)
    if fold([*done, entry]) == fold(done):
        return False
    with StoreFile.of(Settings(home=home)).open() as connection:
        return held_by(connection) == fold([*done, entry])


def _migrated_wrong(home: Path) -> list[str]:
    """A store that a migration was killed over is of one revision or the other, and whole."""
    try:
        with duckdb.connect(str(Settings(home=home).store_path)) as connection:
            revision = migrations.revision_of(connection)
            tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    except duckdb.Error as error:
        return [str(error).splitlines()[0]]
    news = {"archived_tables", "backups", "purges"}
    expected = news if revision == migrations.HEAD else set()
    return [] if tables & news == expected else [f"revision {revision} with the tables {sorted(tables & news)}"]
