"""Several processes at one store: the same video, different ones, one that dies, a reader that holds on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pytest

from bri_assets.errors import QueryTooSlow, StoreBusy
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import Store
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.owned import OwnedFile
from bri_assets.store.memory import Memory, Turn
from bri_assets_tests.faults import jobs
from bri_assets_tests.faults.invariants import broken
from bri_assets_tests.faults.killing import Worker
from bri_assets_tests.faults.ledger import entries
from bri_assets_tests.faults.work import bring, commit_new

#: Rows enough for minutes.
ENDLESS = "SELECT count(*) FROM range(100000000000) t(a) WHERE a % 7 = 3"


@contextmanager
def way(name: str, home: Path) -> Iterator[None]:
    """With an owner of the store, or without."""
    with ExitStack() as stack:
        if name == "owner":
            owner = Worker(home.with_name("owner.log"), jobs.own, home, None)
            owner.ready()
            stack.callback(lambda: _ends_well(owner))
        yield


def _ends_well(owner: Worker) -> None:
    assert owner.terminate() == 0, owner.said()


@pytest.mark.parametrize("by", ["direct", "owner"])
def test_two_processes_commit_the_same_bundle_once(home: Path, by: str) -> None:
    bundle = bring(home, "another").bundle_in(home)
    with way(by, home):
        rivals = [Worker(home.with_name(f"{number}.log"), jobs.commit, home, bundle) for number in range(2)]
        committed = [rival.result() for rival in rivals]
    assert committed[0] == committed[1]
    assert not broken(home)
    assert len(entries(home)) == 3 + 2


@pytest.mark.parametrize("by", ["direct", "owner"])
def test_two_processes_commit_different_bundles_of_a_video_as_two_whole_versions(home: Path, by: str) -> None:
    bundles = [bring(home, "another", frames=frames).bundle_in(home) for frames in (4, 6)]
    with way(by, home):
        rivals = [
            Worker(home.with_name(f"{number}.log"), jobs.commit, home, bundle) for number, bundle in enumerate(bundles)
        ]
        committed = [rival.result() for rival in rivals]
        shown = Store.of(Settings(home=home)).video(bundles[0].video_id)
    assert {entry.version for entry in committed} == {1, 2}
    last = max(committed, key=lambda entry: entry.version_id)
    assert shown["video"]["version_id"] == last.version_id
    assert len(shown["frames"]) == (4 if last.bundle == bundles[0].sha256 else 6)
    with StoreFile.of(Settings(home=home)).open() as connection:
        assert not jobs.examine(connection).wrong


@pytest.mark.parametrize("by", ["direct", "owner"])
def test_twenty_processes_commit_different_videos(home: Path, by: str) -> None:
    bundles = [bring(home, f"one of many {number}").bundle_in(home) for number in range(20)]
    with way(by, home):
        rivals = [
            Worker(home.with_name(f"{number}.log"), jobs.commit, home, bundle) for number, bundle in enumerate(bundles)
        ]
        committed = [rival.result() for rival in rivals]
    assert len({entry.version_id for entry in committed}) == 20
    assert not broken(home)
    assert {entry.bundle for entry in entries(home)} >= {bundle.sha256 for bundle in bundles}


@pytest.mark.parametrize("by", ["direct", "owner"])
def test_two_processes_add_turns_to_one_conversation(home: Path, by: str) -> None:
    """Each turn stays together, and one that both add is there once."""
    both = [Turn(conversation_id="talk", user=f"{n}?", assistant=f"{n}.", turn_id=f"both-{n}") for n in range(10)]
    own = [
        [Turn(conversation_id="talk", user=f"{who} {n}?", assistant=f"{who} {n}.") for n in range(10)]
        for who in range(2)
    ]
    mixed = [[turn for pair in zip(both, mine, strict=True) for turn in pair] for mine in own]
    with way(by, home):
        rivals = [
            Worker(home.with_name(f"{number}.log"), jobs.remember_all, home, turns)
            for number, turns in enumerate(mixed)
        ]
        first, second = [rival.result() for rival in rivals]
        said = Memory.of(Settings(home=home)).last("talk", n=500)
    assert first[::2] == second[::2]
    assert len(said) == 2 * 30
    pairs = [
        (one.turn_id, one.content, other.turn_id, other.content)
        for one, other in zip(said[::2], said[1::2], strict=True)
    ]
    assert all(turn == same and asked[:-1] == told[:-1] for turn, asked, same, told in pairs)
    assert sorted(number for pair in first + second[1::2] for number in pair) == [one.message_id for one in said]
    assert not broken(home)


def test_a_process_that_dies_with_the_lock_keeps_nobody_out(home: Path) -> None:
    holder = Worker(home.with_name("holder.log"), jobs.hold_lock, home)
    holder.ready()
    with pytest.raises(StoreBusy):
        Store(home, StoreFile(home / "store" / "bri.duckdb", wait_s=0.3), StagingArea(home / "staged")).status()
    assert holder.kill()
    began = time.monotonic()
    commit_new(home, "after")
    assert time.monotonic() - began < 10
    assert not broken(home)


@pytest.mark.parametrize("how", ["ours", "a stranger's"])
def test_a_reader_that_holds_on_makes_a_commit_wait_and_then_say_so(home: Path, how: str) -> None:
    reader = Worker(home.with_name("reader.log"), jobs.hold_read if how == "ours" else jobs.hold_plainly, home)
    reader.ready()
    bundle = bring(home, "another").bundle_in(home)
    impatient = Store(home, StoreFile(home / "store" / "bri.duckdb", wait_s=1.0), StagingArea(home / "staged"))
    began = time.monotonic()
    with pytest.raises(StoreBusy, match=r"held the store for more than 1 s"):
        impatient.commit(bundle, run_id="run", channel="test")
    assert 1.0 <= time.monotonic() - began < 10
    reader.kill()
    committed = Store.of(Settings(home=home)).commit(bundle, run_id="run", channel="test")
    assert committed.version == 1


def test_reads_and_commits_go_on_together_in_an_owner(home: Path) -> None:
    """A read that takes all the time it may; commits and other reads meanwhile; then it is stopped."""
    file = StoreFile(home / "store" / "bri.duckdb", wait_s=5, read_s=8)
    bundle = bring(home, "another").bundle_in(home)
    with OwnedFile.owning(file, cursors=2) as owned, _endless_read(owned) as failures:
        store = Store(home, owned, StagingArea(home / "staged"))
        committed = store.commit(bundle, run_id="run", channel="test")
        assert store.video(committed.video_id)["video"]["version"] == 1
        assert not failures
    assert [type(failure) for failure in failures] == [QueryTooSlow]


def test_reads_that_are_too_many_are_told_so_in_bounded_time(home: Path) -> None:
    file = StoreFile(home / "store" / "bri.duckdb", wait_s=0.5, read_s=3)
    with OwnedFile.owning(file, cursors=1) as owned, _endless_read(owned):
        store = Store(home, owned, StagingArea(home / "staged"))
        began = time.monotonic()
        with pytest.raises(StoreBusy, match="1 other reads went on"):
            store.status()
        assert 0.5 <= time.monotonic() - began < 10
    assert not broken(home)


@contextmanager
def _endless_read(owned: OwnedFile) -> Iterator[list[Exception]]:
    """A read in a thread of its own; how it failed is in the list when the block has ended."""
    begun, failures = threading.Event(), list[Exception]()

    def read() -> None:
        try:
            with owned.reading() as connection:
                begun.set()
                connection.execute(ENDLESS).fetchall()
        except QueryTooSlow as error:
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait(10)
    try:
        yield failures
    finally:
        thread.join(30)


def test_a_direct_read_that_takes_too_long_is_stopped(home: Path) -> None:
    file = StoreFile(home / "store" / "bri.duckdb", read_s=0.5)
    began = time.monotonic()
    with pytest.raises(QueryTooSlow, match=r"longer than 0\.5 s"), file.reading() as connection:
        connection.execute(ENDLESS).fetchall()
    assert time.monotonic() - began < 10
    assert not broken(home)


def test_a_stranger_cannot_open_a_store_that_is_owned(home: Path) -> None:
    with way("owner", home), pytest.raises(duckdb.IOException, match="Could not set lock"):
        duckdb.connect(str(home / "store" / "bri.duckdb"))
