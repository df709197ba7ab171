"""What is safe to repair where uploads, partitions, runs, staged bundles and committed versions disagree.

Pure: what was found goes in, typed repairs come out; each of them does nothing where it was done already. What does not
belong here: finding it (``disagreements``), carrying it out (``sensors.reconcile``), and what a person has to decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from bri_assets.breaker import OpenBreaker
from bri_assets.health.bundles import StagedBundle
from bri_assets.health.retries import Outlook, World, outlook
from bri_assets.health.seen import Asked, IndexSeen, PendingSeen, RunSeen
from bri_assets.settings import Settings
from bri_assets.store import PendingUpload
from bri_assets.store.reconciliation import DeadLetter, Known

__all__ = [
    "AddPartition",
    "Asked",
    "CommitStaged",
    "EndAttempt",
    "FailRun",
    "IndexSeen",
    "Label",
    "PendingSeen",
    "Repair",
    "RetryUpload",
    "RunSeen",
    "State",
    "SyncIndex",
    "outlooks",
    "plan",
]

#: A bundle is left alone for so long after its last table was staged: whoever staged it may be about to commit it. And
#: so is the index after a change of what is shown, for whoever made it may be about to bring the index up to it.
_GRACE = timedelta(seconds=120)


@dataclass(frozen=True)
class State:
    """What was found.

    Args:
        settings: of the process.
        now: the time, UTC.
        known: the videos of the store.
        letters: failed and quarantined uploads, the most urgent first.
        files: of these by their ids: ``there``, ``changed`` or ``gone``.
        pending: uploads that are being ingested.
        partitions: keys of Dagster's partitions.
        dead: unfinished runs whose processes are gone.
        working: partitions of unfinished runs.
        bundles: complete staged bundles that changed since their video was committed.
        judged: those of them that were ``committed`` or ``refused``, by their hashes.
        asked: those of them whose commit was asked for.
        failed_runs: runs among those that made them that failed.
        breakers: models and hubs that are not asked for now.
        has_space: see ``World``.
        index: the index of the search, where it is not what is shown; None where it is.

    A further thing that must agree with the committed versions joins here: as a field, with a repair of its own in
    ``plan``.
    """

    settings: Settings
    now: datetime
    known: Known
    letters: tuple[DeadLetter, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    pending: tuple[PendingSeen, ...] = ()
    partitions: frozenset[str] = frozenset()
    dead: tuple[RunSeen, ...] = ()
    working: frozenset[str] = frozenset()
    bundles: tuple[StagedBundle, ...] = ()
    judged: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, Asked] = field(default_factory=dict)
    failed_runs: frozenset[str] = frozenset()
    breakers: tuple[OpenBreaker, ...] = ()
    has_space: bool = True
    index: IndexSeen | None = None


@dataclass(frozen=True)
class AddPartition:
    """A video that the store knows has no partition: Dagster's home was lost, or nobody came to add it."""

    video_id: str

    def __str__(self) -> str:
        """As a sentence."""
        return f"added the partition {self.video_id}"


@dataclass(frozen=True)
class FailRun:
    """A run has lost its process, and Dagster does not know."""

    run: RunSeen

    def __str__(self) -> str:
        """As a sentence."""
        of = f" of {self.run.partition}" if self.run.partition else ""
        return f"marked the run {self.run.run_id} ({self.run.job}{of}) as failed: its process is gone"


@dataclass(frozen=True)
class EndAttempt:
    """A run has ended, and its upload still says that it is being ingested."""

    upload: PendingUpload
    run_id: str

    def __str__(self) -> str:
        """As a sentence."""
        return f"recorded the end of attempt {self.upload.attempt} at {self.upload.video_id}"


@dataclass(frozen=True)
class Label:
    """A video is committed, and an upload of it is not recorded as that."""

    video_id: str

    def __str__(self) -> str:
        """As a sentence."""
        return f"recorded the uploads of {self.video_id} as committed"


@dataclass(frozen=True)
class RetryUpload:
    """A failed upload whose retry is due; the sensor ``uploads`` asks for the run, as for every attempt."""

    letter: DeadLetter

    def __str__(self) -> str:
        """As a sentence."""
        return f"tries {self.letter.filename} again ({self.letter.code}), attempt {self.letter.attempts + 1}"


@dataclass(frozen=True)
class CommitStaged:
    """A bundle is complete and was never committed; ``time``: how often it is asked for with this, from 1."""

    video_id: str
    bundle_sha256: str
    time: int

    def __str__(self) -> str:
        """As a sentence."""
        return f"asked for the commit of what is staged for {self.video_id}"


@dataclass(frozen=True)
class SyncIndex:
    """The index of the search is not what is shown.

    Args:
        fingerprint: of what is wrong.
        time: how often a run is asked to mend it with this, from 1.
        rebuild: whether it has to be made anew.
    """

    fingerprint: str
    time: int
    rebuild: bool

    def __str__(self) -> str:
        """As a sentence."""
        return "asked for a new index of the search" if self.rebuild else "asked for the index to follow what is shown"


Repair = AddPartition | FailRun | EndAttempt | Label | RetryUpload | CommitStaged | SyncIndex


def plan(state: State) -> list[Repair]:
    """The repairs that are safe and due; at most ``intake_batch`` retries, and as many commits."""
    committed = set(state.known.mislabelled)
    most = state.settings.intake_batch
    return [
        *(Label(video_id) for video_id in state.known.mislabelled),
        *(FailRun(run) for run in state.dead),
        *(
            EndAttempt(seen.upload, seen.run_id)
            for seen in state.pending
            if seen.is_over and seen.run_id is not None and seen.upload.video_id not in committed
        ),
        *(AddPartition(video_id) for video_id in _without_partition(state)),
        *islice((RetryUpload(letter) for letter in _due(state)), most),
        *islice(_commits(state), most),
        *_index(state),
    ]


def outlooks(state: State) -> dict[str, Outlook]:
    """What becomes of each dead letter, by the upload's id."""
    world = World(state.settings, state.now, state.breakers, state.has_space)
    return {letter.upload_id: outlook(letter, state.files[letter.upload_id], world) for letter in state.letters}


def _without_partition(state: State) -> list[str]:
    return sorted({*state.known.committed, *state.known.uploaded} - state.partitions)


def _due(state: State) -> Iterator[DeadLetter]:
    """Letters whose retry is due: of copies of one file the first, and one trial a breaker."""
    found, taken, tried = outlooks(state), set[str](), set[str]()
    for letter in state.letters:
        look, video_id = found[letter.upload_id], letter.video_id
        if video_id is None or video_id in state.working or video_id in taken or not look.is_due(state.now):
            continue
        if look.trial_of is not None and look.trial_of in tried:
            continue
        taken.add(video_id)
        if look.trial_of is not None:
            tried.add(look.trial_of)
        yield letter


def _commits(state: State) -> Iterator[CommitStaged]:
    failed_at: dict[str, datetime] = {}
    for letter in state.letters:
        if letter.video_id is not None:
            failed_at[letter.video_id] = max(letter.updated_at, failed_at.get(letter.video_id, letter.updated_at))
    busy = {seen.upload.video_id for seen in state.pending} | state.working
    for bundle in state.bundles:
        if bundle.torn or bundle.video_id in busy or bundle.sha256 in state.judged:
            continue
        # Made before a failure, it is what the upload's own retry or a person takes up; made before a restore, the
        # restore may have left it behind on purpose.
        since = state.known.committed.get(bundle.video_id) or failed_at.get(bundle.video_id)
        after = [time for time in (since, state.known.restored_at) if time is not None]
        if since is None or any(bundle.made_at <= time for time in after) or state.now - bundle.made_at < _GRACE:
            continue
        asked = state.asked.get(bundle.sha256, Asked(0, bundle.made_at))
        if _may_ask(state, asked):
            yield CommitStaged(bundle.video_id, bundle.sha256, asked.times + 1)


def _index(state: State) -> Iterator[SyncIndex]:
    """What a run works on is left to it: that ends in the index too."""
    seen = state.index
    # Without the embedder no run could do it; a person is told.
    if seen is None or seen.at_work or seen.embedder:
        return
    follows = seen.since is not None and state.now - seen.since < _GRACE
    if not seen.needs_rebuild and (follows or not (seen.surplus or set(seen.videos) - state.working)):
        return
    asked = seen.asked or Asked(0, state.now)
    if _may_ask(state, asked):
        yield SyncIndex(seen.fingerprint, asked.times + 1, seen.needs_rebuild)


def _may_ask(state: State, asked: Asked) -> bool:
    wait = timedelta(seconds=state.settings.retry_after_s if asked.times else 0)
    return asked.times < state.settings.upload_attempts and state.now - asked.last_at >= wait
