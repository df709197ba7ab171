"""What a commit costs in a store that is empty and in one that is full, beside a bare insert of the same rows.

Everything is measured in turns, first in the one store and then in the other, so that whatever else the machine does
meanwhile falls on all alike. What does not belong here: judging the figures (``store``).
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import duckdb

from benchmarks.figures import BARE, BARE_ALL, Samples
from benchmarks.filling import arrow_tables, insert, numbers, stage, tables_beside
from benchmarks.synthetic import IMAGE_BYTES, Video
from bri_assets.settings import Settings
from bri_assets.staging import Bundle
from bri_assets.store import Store, StoreFile, rows
from bri_assets.store.access.duck import connect
from bri_assets.store.access.journal import Journal
from bri_assets.store.commit import CommitRequest, CommittedVersion, commit
from bri_assets.store.images import image_hashes

__all__ = ["Place", "measure", "owned"]

_RUN, _CHANNEL = "run-benchmark", "benchmark"

#: Goes first and is not counted: what is imported, compiled and read from disk once.
_WARM = 1


@dataclass(frozen=True)
class Place:
    """A store that is measured.

    Args:
        name: ``empty`` or ``full``.
        settings: of its BRI_HOME.
        videos: that it is filled with, the first ones of the synthetic ones.
    """

    name: str
    settings: Settings
    videos: int
    _count: Iterator[int] = field(default_factory=itertools.count)

    @property
    def file(self) -> StoreFile:
        """Its file."""
        return StoreFile.of(self.settings)

    def video(self) -> Video:
        """A video that is not in the store."""
        return Video(self.videos + next(self._count), image_bytes=IMAGE_BYTES)

    def staged(self) -> Bundle:
        """A video that is not in the store, staged."""
        return stage(self.settings, self.video())


def measure(places: list[Place], samples: Samples, *, rounds: int, each: int) -> None:
    """Measure every way of inserting a video into every place.

    Args:
        places: the stores.
        samples: is given every measured time, in seconds, as ``<what>/<place>``.
        rounds: how often each way has its turn.
        each: times that each is measured in a turn.
    """
    for number in range(rounds):
        _held_open(places, samples, each)
        _through_owners(places, samples, each)
        _directly(places, samples, each)
        samples.say(f"commits: turn {number + 1} of {rounds} done")


def _held_open(places: list[Place], samples: Samples, each: int) -> None:
    """The bare insert, and the commit's transaction as the owner has it, in turns on one open connection."""
    with ExitStack() as stack:
        held = [(place, stack.enter_context(_open(place))) for place in places]
        for number in range(_WARM + each):
            for place, connection in held:
                taken = {
                    BARE: _bare(place, connection),
                    BARE_ALL: _bare(place, connection, beside=True),
                    **_transaction(place, connection),
                }
                if number >= _WARM:
                    samples.take(place.name, taken)


def _bare(place: Place, connection: duckdb.DuckDBPyConnection, *, beside: bool = False) -> float:
    videos, version_ids = [place.video()], numbers(connection, "version_ids", 1)
    tables = arrow_tables(videos, version_ids)
    if beside:
        tables |= tables_beside(connection, videos, version_ids)
        del tables["uploads"]  # is there before a commit
    started = time.perf_counter()
    insert(connection, tables)
    return time.perf_counter() - started


def _transaction(place: Place, connection: duckdb.DuckDBPyConnection) -> dict[str, float]:
    store = Store.of(place.settings)
    request = _request(store, place.staged())
    started = time.perf_counter()
    committed = commit(connection, request)
    done = time.perf_counter()
    Journal(place.settings.journal_path).mirror(connection)
    journalled = time.perf_counter()
    back = _read_back(connection, committed)
    proofs = sum(result.seconds for result in committed.proofs)
    return {
        "transaction": done - started,
        "transaction: proofs": proofs,
        "transaction: rows read back and hashed, before and after COMMIT": 2 * back,
        "transaction: inserts, COMMIT and the rest": done - started - proofs - 2 * back,
        "transaction: journal": journalled - done,
    }


def _read_back(connection: duckdb.DuckDBPyConnection, committed: CommittedVersion) -> float:
    started = time.perf_counter()
    rows.read_back(connection, committed.video_id, committed.version_id)
    return time.perf_counter() - started


def _request(store: Store, bundle: Bundle) -> CommitRequest:
    tables = {name: store.staging.read(manifest) for name, manifest in bundle.manifests.items()}
    return CommitRequest(bundle, tables, image_hashes(store.home, tables["frames"]), _RUN, _CHANNEL)


def _through_owners(places: list[Place], samples: Samples, each: int) -> None:
    with ExitStack() as stack:
        for place in places:
            stack.enter_context(owned(place.settings))
        _commits(places, samples, each, "commit through the owner")


def _directly(places: list[Place], samples: Samples, each: int) -> None:
    _commits(places, samples, each, "commit directly")
    for number in range(_WARM + each):
        for place in places:
            taken = _parts(place)
            if number >= _WARM:
                samples.take(place.name, taken)


def _commits(places: list[Place], samples: Samples, each: int, what: str) -> None:
    for number in range(_WARM + each):
        for place in places:
            store, bundle = Store.of(place.settings), place.staged()
            started = time.perf_counter()
            store.commit(bundle, run_id=_RUN, channel=_CHANNEL)
            if number >= _WARM:
                samples.take(place.name, {what: time.perf_counter() - started})


def _parts(place: Place) -> dict[str, float]:
    """A direct commit in the steps that ``Store.commit`` and ``StoreFile.open`` take."""
    store, file, bundle = Store.of(place.settings), place.file, place.staged()
    times = [time.perf_counter()]
    tables = {name: store.staging.read(manifest) for name, manifest in bundle.manifests.items()}
    times.append(time.perf_counter())
    images = image_hashes(store.home, tables["frames"])
    times.append(time.perf_counter())
    with file.locked():
        with file.opened() as connection:
            times.append(time.perf_counter())
            commit(connection, CommitRequest(bundle, tables, images, _RUN, _CHANNEL))
            times.append(time.perf_counter())
            Journal(place.settings.journal_path).mirror(connection)
            times.append(time.perf_counter())
        times.append(time.perf_counter())
    names = ("staged files read", "images hashed", "file opened", "transaction", "journal", "file closed")
    taken = [after - before for before, after in itertools.pairwise(times)]
    return dict(zip((f"directly: {name}" for name in names), taken, strict=True))


@contextmanager
def _open(place: Place) -> Iterator[duckdb.DuckDBPyConnection]:
    file = place.file
    with file.locked():
        with file.opened():
            pass
        with connect(file.path) as connection:
            yield connection


@contextmanager
def owned(settings: Settings) -> Iterator[None]:
    """Have a real ``bri serve --store-only`` own a store for the time of the block."""
    command = [sys.executable, "-m", "bri_assets.cli", "serve", "--store-only"]
    environment = os.environ | {"BRI_HOME": str(settings.home)}
    log = settings.home / "serve.log"
    with (
        log.open("ab") as written,
        subprocess.Popen(  # noqa: S603 - our own words
            command, env=environment, stdin=subprocess.PIPE, stdout=written, stderr=subprocess.STDOUT
        ) as serving,
    ):
        try:
            while StoreFile.of(settings).owner() is None:
                if serving.poll() is not None:
                    raise RuntimeError(f"`bri serve` ended with status {serving.returncode}: {log.read_text()}")
                time.sleep(0.05)
            yield
        finally:
            serving.terminate()
