"""Whoever dies, owns or reads a store while it is compacted: the old store or the new one is there, whole."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bri_assets.commands.compact import app
from bri_assets.errors import StoreBusy
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.owned import OwnedFile
from bri_assets.store.compaction.rewrite import size_of
from bri_assets.store.recovery.whole import examine
from bri_assets_tests.commands import Bri
from bri_assets_tests.faults.killing import KILLED, Point
from bri_assets_tests.snapshots import snapshot
from bri_assets_tests.unit.store.compacting import (
    commit,
    compaction_of,
    files_beside,
    meanwhile,
    store_in,
)

#: Where a compaction dies: in the process that compacts, while nobody owns the store.
_DEATHS = (
    Point("the files are copied", "bri_assets.store.compaction.compact:Backups.copy_files"),
    Point("the new file is made", "bri_assets.store.compaction.rewrite:migrations.upgrade"),
    Point("rows are written", "bri_assets.store.compaction.rewrite:different_rows", "before"),
    Point("the new file is proven", "bri_assets.store.compaction.compact:rewrite"),
    Point("the new file caught up", "bri_assets.store.compaction.compact:catch_up"),
    Point("the event is in the new file", "bri_assets.store.compaction.compact:audit.record"),
    Point("before the swap is planned", "bri_assets.store.access.swap:write_atomically", "before"),
    Point("the swap is planned", "bri_assets.store.access.swap:write_atomically"),
    Point("the old file is gone", "bri_assets.store.access.swap:_put_aside"),
    Point("the new file is in place", "bri_assets.store.access.swap:os.replace"),
    Point("before the journal knows", "bri_assets.store.access.journal:Journal._append", "before"),
)

_COMPACT = """
import sys
from pathlib import Path
from bri_assets.settings import Settings
from bri_assets.store.compaction.compact import Compaction
from bri_assets_tests.faults.killing import Point, arm
arm(Point("", sys.argv[2], sys.argv[3]))
Compaction.of(Settings(home=Path(sys.argv[1]))).compact(channel="test")
"""


@pytest.mark.parametrize("point", _DEATHS, ids=lambda point: point.name)
def test_whoever_dies_leaves_the_old_store_or_the_new_one_whole(tmp_path: Path, point: Point) -> None:
    store = store_in(tmp_path)
    commit(store, note="first")
    commit(store, note="second")
    before = snapshot(store)
    command = [sys.executable, "-c", _COMPACT, str(tmp_path), point.target, point.when]
    died = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert died.returncode == KILLED, died.stderr
    assert snapshot(store) == before
    commit(store, note="third")
    before = snapshot(store)
    compaction_of(store).compact(channel="test")
    assert snapshot(store) == before
    assert files_beside(store) == {"bri.duckdb"}
    with store.file.open() as connection:
        assert examine(connection).wrong == []


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[Store]:
    """A store that this process owns, with two cursors for reads."""
    store = store_in(tmp_path, wait_s=0.5)
    with OwnedFile.owning(StoreFile.of(Settings(home=tmp_path, store_wait_s=0.5)), 2) as file:
        yield Store(store.home, file, store.staging)


def test_reads_go_on_while_an_owned_store_is_written_anew(owned: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(owned)
    read: list[int] = []

    def act() -> None:
        with owned.file.reading() as connection:
            read.append(connection.execute("SELECT count(*) FROM v_frames").fetchall()[0][0])

    meanwhile(monkeypatch, act)
    before = owned.file.path.stat().st_ino
    compaction_of(owned).compact(channel="test")
    assert owned.file.path.stat().st_ino != before
    assert read == [4]
    assert commit(owned, note="afterwards") == 2
    assert owned.video("holiday")["video"]["version"] == 2


def test_a_reader_of_an_owned_store_that_holds_on_leaves_everything_as_it_was(
    owned: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(owned)
    before = snapshot(owned, without=())
    with ExitStack() as holding:
        reader: list[Any] = []
        meanwhile(monkeypatch, lambda: reader.append(holding.enter_context(owned.file.reading())))
        with pytest.raises(StoreBusy):
            compaction_of(owned).compact(channel="test")
        assert reader[0].execute("SELECT count(*) FROM v_frames").fetchall() == [(4,)]
    assert snapshot(owned, without=()) == before
    assert files_beside(owned) == {"bri.duckdb"}
    assert commit(owned, note="afterwards") > 1
    monkeypatch.undo()
    compaction_of(owned).compact(channel="test")


class Owner:
    """A process that owns the store of a home; it may be told to die at a point."""

    def __init__(self, home: Path, point: Point | None = None) -> None:
        command = [*Bri(home).command, "serve", "--store-only"] if point is None else self._deadly(point)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, env=Bri(home).environment)
        wait_for(lambda: store_in(home).file.owner() is not None)

    @staticmethod
    def _deadly(point: Point) -> list[str]:
        lines = ["from bri_assets_tests.faults.killing import Point, arm", "from bri_assets.serve.owner import main"]
        return [sys.executable, "-c", "\n".join([*lines, f"arm({point!r})", "main()"])]

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)


def wait_for(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "what was waited for never came"
        time.sleep(0.02)


def test_commits_go_on_while_an_owner_adopts_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path, wait_s=30)
    committed = [commit(store, note="first")]
    over = threading.Event()
    bundles = [f"while it is compacted {number}" for number in range(400)]

    def keep_committing() -> None:
        for note in bundles:
            if over.is_set():
                return
            committed.append(commit(store, note=note))

    committing = threading.Thread(target=keep_committing)
    with Owner(tmp_path):
        committing.start()
        begun = len(committed)
        meanwhile(monkeypatch, lambda: wait_for(lambda: len(committed) >= begun + 3))
        try:
            done = compaction_of(store).compact(channel="test")
            swapped_at = len(committed)
            wait_for(lambda: len(committed) >= swapped_at + 2)
        finally:
            over.set()
            committing.join()
        assert store.file.owner() is not None
        assert store.video("holiday")["video"]["version"] == len(committed)
    assert done.rows_since > 0
    assert committed == list(range(1, len(committed) + 1))
    with store.file.open() as connection:
        found = examine(connection)
    assert (found.versions, found.wrong) == (len(committed), [])
    assert files_beside(store) == {"bri.duckdb"}


_OWNER_DEATHS = tuple(
    point
    for point in _DEATHS
    if point.target.startswith(("bri_assets.store.access.swap", "bri_assets.store.compaction.compact:catch_up"))
)


@pytest.mark.parametrize("point", _OWNER_DEATHS, ids=lambda point: point.name)
def test_an_owner_that_dies_while_it_adopts_is_replaced_and_the_file_adopted_once(tmp_path: Path, point: Point) -> None:
    store = store_in(tmp_path)
    commit(store)
    before = snapshot(store)
    with Owner(tmp_path, point) as owner:
        compaction_of(store).compact(channel="test")
        assert owner.process.wait(60) == KILLED
    after = snapshot(store, without=())
    assert [row[3] for row in after.pop("audit_log")].count("store.compacted") == 1
    assert after == before
    assert files_beside(store) == {"bri.duckdb"}


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    commit(store)
    monkeypatch.setenv("BRI_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    before = snapshot(store)
    said = CliRunner().invoke(app, [], catch_exceptions=False)
    assert said.exit_code == 0
    assert "compacted" in said.output
    told = json.loads(CliRunner().invoke(app, ["--json"], catch_exceptions=False).stdout)
    assert told["bytes_after"] == size_of(store.file.path)
    assert told["rows"] > 20
    assert snapshot(store) == before
