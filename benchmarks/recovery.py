"""What backup and restore cost: the whole of a store copied, proven, and brought back.

What does not belong here: whether they bring back what was there, which is for the tests and the drill to say.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.commits import Place, owned
from benchmarks.figures import Samples
from bri_assets.staging import Bundle
from bri_assets.store import Store
from bri_assets.store.recovery.backup_folder import Backup
from bri_assets.store.recovery.backups import Backups, Copied
from bri_assets.store.recovery.restore import Restore

__all__ = ["Recovered", "measure"]

_CHANNEL = "benchmark"

#: Between two commits that are made while a backup is.
_PAUSE_S = 0.5


@dataclass(frozen=True)
class Recovered:
    """What was saved and brought back.

    Args:
        size_bytes: of the database file in the last backup.
        rows: of the four tables of all versions in the restored store.
        replayed: commits that happened again in each restore.
    """

    size_bytes: int
    rows: int
    replayed: int


@dataclass(frozen=True)
class _Watched(Backups):
    """Backups that remember for how long commits waited."""

    paused_s: list[float] = field(default_factory=list)

    def copy_files(self, target: Path) -> Copied:
        copied = super().copy_files(target)
        self.paused_s.append(copied.paused_s)
        return copied


def measure(place: Place, samples: Samples, *, times: int, commits: int) -> Recovered:
    """Back a store up while commits go on, and restore it with those commits.

    Args:
        place: the store; it stays as it is, but for the commits.
        samples: is given the seconds of each.
        times: how often.
        commits: made during each backup, which a restore has to replay.
    """
    for number in range(times):
        backup = _back_up(place, samples, commits)
        found = _restore(place, backup, samples)
        shutil.rmtree(backup.path)
        samples.say(f"recovery: {number + 1} of {times} done")
    return found


def _back_up(place: Place, samples: Samples, commits: int) -> Backup:
    bundles = [place.staged() for _ in range(commits)]
    settings = place.settings
    backups = _Watched.of(settings)
    with owned(settings), _committing(Store.of(settings), bundles) as waits:
        started = time.perf_counter()
        backup = backups.make(settings.backup_dir, keep=2, reason="asked", channel=_CHANNEL)
        seconds = time.perf_counter() - started
    taken = {"backup": seconds, "backup: commits paused": backups.paused_s[-1], "backup: longest commit": max(waits)}
    samples.take(place.name, taken)
    return backup


@contextmanager
def _committing(store: Store, bundles: list[Bundle]) -> Iterator[list[float]]:
    """Commit all bundles in the background; gives the seconds that each took, complete when the block ends."""
    waits: list[float] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for bundle in bundles:
                started = time.perf_counter()
                store.commit(bundle, run_id="run-benchmark", channel=_CHANNEL)
                waits.append(time.perf_counter() - started)
                time.sleep(_PAUSE_S)
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=work, name="commits")
    thread.start()
    try:
        yield waits
    finally:
        thread.join()
    if failed:
        raise RuntimeError("a commit failed while the backup was made") from failed[0]


def _restore(place: Place, backup: Backup, samples: Samples) -> Recovered:
    started = time.perf_counter()
    done = Restore.of(place.settings).restore(backup, channel=_CHANNEL)
    samples.take(place.name, {"restore": time.perf_counter() - started})
    if done.safety is not None:
        shutil.rmtree(done.safety)
    with Store.of(place.settings).file.open() as connection:
        rows = connection.execute(
            "SELECT sum(frames + captions + transcript_segments + detections)::BIGINT FROM video_versions"
        ).fetchall()[0][0]
    return Recovered(backup.size_bytes, rows, done.versions)
