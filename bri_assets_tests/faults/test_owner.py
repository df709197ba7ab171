"""The owner of the store: it dies, its supervisor dies, a stranger writes past it, a stranger's version asks it."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import psutil
import pytest

from bri_assets.errors import OwnerFailed, StoreBehind
from bri_assets.serve.owner import INTRUDED
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.access import remote
from bri_assets.store.access.connection import StoreFile
from bri_assets_tests.faults import jobs
from bri_assets_tests.faults.invariants import broken
from bri_assets_tests.faults.killing import Point, Worker
from bri_assets_tests.faults.ledger import entries
from bri_assets_tests.faults.work import bring, commit_new

#: A new owner is a new process, which imports the package; on two busy cores that takes seconds.
SECONDS = 60.0


def until(holds: Callable[[], object]) -> float:
    """Wait until something holds; returns the seconds that it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < SECONDS
        time.sleep(0.02)
    return time.monotonic() - began


def test_an_owner_that_is_killed_is_started_again_and_commits_go_on(home: Path) -> None:
    bundles = [bring(home, f"another {number}").bundle_in(home) for number in range(6)]
    supervisor = Worker(home.with_name("supervisor.log"), jobs.supervise, home)
    supervisor.ready(SECONDS)
    (first,) = psutil.Process(supervisor.pid).children()
    client = Worker(home.with_name("client.log"), jobs.commit_all, home, bundles)
    until(lambda: len(entries(home)) > 3 + 1)

    first.kill()

    committed = client.result()
    assert len({entry.version_id for entry in committed}) == 6
    took = until(lambda: StoreFile.of(Settings(home=home)).owner())
    (second,) = psutil.Process(supervisor.pid).children()
    assert second.pid != first.pid
    assert "it is started again" in supervisor.said(), took
    assert Store.of(Settings(home=home)).video(committed[-1].video_id)["video"]["version"] == 1

    supervisor.kill()

    until(lambda: not second.is_running() or second.status() == psutil.STATUS_ZOMBIE)
    assert StoreFile.of(Settings(home=home)).owner() is None
    commit_new(home, "the direct way")
    assert not broken(home)


def test_only_its_user_may_use_the_socket(home: Path) -> None:
    owner = Worker(home.with_name("owner.log"), jobs.own, home, None)
    owner.ready()
    address = remote.address_of(home / "store" / "bri.duckdb")
    assert stat.S_ISSOCK(address.stat().st_mode)
    assert stat.S_IMODE(address.stat().st_mode) == 0o600
    assert owner.terminate() == 0
    assert not address.exists()


def test_a_client_of_another_version_is_refused_clearly(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Worker(home.with_name("owner.log"), jobs.own, home, None)
    owner.ready()
    monkeypatch.setattr(remote, "PROTOCOL", "0.0.0")
    with pytest.raises(OwnerFailed, match=r"you run 0\.0\.0: start the owner again"):
        Store.of(Settings(home=home)).status()
    assert owner.terminate() == 0


def test_an_owner_keeps_a_second_one_out(home: Path) -> None:
    owner = Worker(home.with_name("owner.log"), jobs.own, home, None)
    owner.ready()
    second = Worker(home.with_name("second.log"), jobs.own, home, None)
    assert second.wait() == 1
    assert "is owned by another process" in second.said()
    assert Store.of(Settings(home=home)).status() == []
    assert owner.terminate() == 0


@pytest.mark.parametrize("moment", ["between commits", "in a commit"])
def test_a_stranger_does_not_get_in_when_the_owner_closes_a_descriptor_of_its_file(home: Path, moment: str) -> None:
    """The owner opens and closes its file, as a careless line of code would, and so gives DuckDB's own lock away."""
    pause = Point("", "bri_assets.store.pointer:flip", "before") if moment == "in a commit" else None
    bundle = bring(home, "another").bundle_in(home)
    owner = Worker(home.with_name("owner.log"), jobs.own_carelessly, home, pause)
    owner.ready()
    Store.of(Settings(home=home)).status()
    client = Worker(home.with_name("client.log"), jobs.commit, home, bundle)
    if pause:
        until(home.with_name("paused").exists)
    stranger = Worker(home.with_name("stranger.log"), jobs.intrude, home, True)

    assert stranger.wait() == 1
    assert "Could not set lock" in stranger.said()

    home.with_name("go-on").touch()
    client.result()
    assert owner.terminate() == 0, owner.said()
    assert not broken(home)


@pytest.mark.parametrize("closes", [True, False])
def test_an_owner_that_was_written_past_says_so_and_ends(home: Path, closes: bool) -> None:
    """As before, but on a system that has no lock which survives it; the stranger's rows are there too."""
    bundle = bring(home, "another").bundle_in(home)
    owner = Worker(home.with_name("owner.log"), jobs.own_carelessly, home, None, guarded=False)
    owner.ready()
    Store.of(Settings(home=home)).status()
    stranger = Worker(home.with_name("stranger.log"), jobs.intrude, home, closes)
    stranger.result() if closes else stranger.ready()
    client = Worker(home.with_name("client.log"), jobs.commit, home, bundle)

    assert owner.wait() == INTRUDED
    assert "was written to by somebody else while this process owned it" in owner.said()

    assert stranger.kill() is not closes
    assert client.result().version == 1  # by the direct way, once the stranger is gone
    assert not broken(home)
    with duckdb.connect(str(home / "store" / "bri.duckdb")) as connection:
        assert connection.execute("SELECT count(*) FROM strange").fetchone() == (1000,)


def test_an_owner_whose_file_was_replaced_says_so_and_ends(home: Path) -> None:
    """An older copy is put over the file, which no lock keeps out: what was acknowledged since is named as missing."""
    path = home / "store" / "bri.duckdb"
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    commit_new(home, "second")
    owner = Worker(home.with_name("owner.log"), jobs.own, home, None)
    owner.ready()
    commit_new(home, "acknowledged")
    copy.replace(path)
    with pytest.raises(StoreBehind, match="an old copy, or lost some"):
        commit_new(home, "next")
    assert owner.wait() == INTRUDED
    with pytest.raises(StoreBehind):
        Store.of(Settings(home=home)).status()
