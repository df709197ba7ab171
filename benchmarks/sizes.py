"""What is left of a store's file after everything was committed again and again, archived and compacted.

What does not belong here: what the archive itself takes, which is Parquet and no part of the store.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.commits import owned
from benchmarks.figures import Samples
from benchmarks.filling import stage, stage_captions
from benchmarks.synthetic import Video
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.access.swap import wal_of
from bri_assets.store.archives.archive import Archive
from bri_assets.store.compaction.compact import Compaction

__all__ = ["Sizes", "measure"]

_CHANNEL = "benchmark"


@dataclass(frozen=True)
class Sizes:
    """Bytes of a store's file while nobody has it open.

    Args:
        videos: in it.
        recommits: of each.
        fresh: after the first commit of each video.
        fresh_compacted: the same, after ``bri compact``: no file of these rows is smaller.
        recommitted: after the last.
        archived: after every superseded version moved to the archive.
        compacted: after ``bri compact``.
    """

    videos: int
    recommits: int
    fresh: int
    fresh_compacted: int
    recommitted: int
    archived: int
    compacted: int


def measure(settings: Settings, samples: Samples, *, videos: int, recommits: int) -> Sizes:
    """Commit, commit again, archive and compact a store of its own, through its owner.

    Args:
        settings: of a BRI_HOME where nothing is.
        samples: is told how far it came.
        videos: how many, > 0.
        recommits: of each, with other captions every time.
    """
    store = Store.of(settings)
    with owned(settings):
        for number in range(videos):
            store.commit(stage(settings, Video(number)), run_id="run-0", channel=_CHANNEL)
    fresh = _size(settings)
    _compact(settings)
    fresh_compacted = _size(settings)
    samples.say(f"sizes: {videos} videos are committed")
    with owned(settings):
        for edition in range(1, recommits + 1):
            for number in range(videos):
                bundle = stage_captions(settings, Video(number, edition))
                store.commit(bundle, run_id=f"run-{edition}", channel=_CHANNEL)
            samples.say(f"sizes: committed again, {edition} of {recommits}")
    recommitted = _size(settings)
    with owned(settings):
        done = Archive.of(settings).archive(0, channel=_CHANNEL)
    if len(done.archived) != videos * recommits:
        raise RuntimeError(f"{len(done.archived)} of {videos * recommits} superseded versions were archived")
    archived = _size(settings)
    samples.say("sizes: superseded versions are archived")
    _compact(settings)
    return Sizes(videos, recommits, fresh, fresh_compacted, recommitted, archived, _size(settings))


def _compact(settings: Settings) -> None:
    with owned(settings):
        Compaction.of(settings).compact(channel=_CHANNEL)


def _size(settings: Settings) -> int:
    files = (settings.store_path, wal_of(settings.store_path))
    return sum(file.stat().st_size for file in files if file.exists())
