"""Where uploads, partitions, runs, staged bundles and committed versions disagree: what can be repaired, and the rest.

Shared by whoever repairs (``sensors.reconcile``) and whoever tells (``DISAGREEMENTS``, ``bri diagnose``). What does
not belong here: which repair is safe (``repairs``), orphaned files (the job ``keep_up`` has them) and what the failed
run, the failed check or the failed upload behind a disagreement says already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC

import dagster as dg
from dagster import DagsterRun, RunsFilter

from bri_assets.breaker import open_breakers
from bri_assets.errors import StorageFailed
from bri_assets.findings import Finding
from bri_assets.health.bundles import Bundles, StagedBundle
from bri_assets.health.disk import has_space
from bri_assets.health.files import files_of
from bri_assets.health.index import index_seen
from bri_assets.health.look import Look, Scene
from bri_assets.health.repairs import Asked, PendingSeen, Repair, RunSeen, State, plan
from bri_assets.partitions import videos
from bri_assets.runs import UNFINISHED, find_runs, is_dead
from bri_assets.store import PendingUpload, Store
from bri_assets.store.reconciliation import Reconciliation

__all__ = ["BUNDLE_TAG", "DISAGREEMENTS", "Comparison", "compare", "look_at"]

#: The run's tag that names the bundle which it was asked to commit.
BUNDLE_TAG = "bri/bundle"

#: What was read of staged bundles stays known for as long as the process lives.
_bundles = Bundles()


@dataclass(frozen=True)
class Comparison:
    """What a comparison came to: what was found, the repairs that are safe and due, and what a person has to decide."""

    state: State
    repairs: tuple[Repair, ...]
    findings: tuple[Finding, ...]


def compare(scene: Scene) -> Comparison:
    """Compare all that there is; changes nothing.

    Raises:
        BriError: the store cannot be read, as ``Operations`` says.
        StorageFailed: the staging area cannot be listed.
    """
    state = look_at(scene)
    return Comparison(state, tuple(plan(state)), tuple(_findings(state)))


def look_at(scene: Scene) -> State:
    """Find what there is; it raises as ``compare``.

    Dagster is asked before the store: what happens in between is then at most repaired a look later.
    """
    settings, instance, store = scene.settings, scene.instance, Store.of(scene.settings)
    unfinished = instance.get_runs(RunsFilter(statuses=list(UNFINISHED)))
    partitions = frozenset(instance.get_dynamic_partitions(str(videos.name)))
    reconciliation = Reconciliation.of(settings)
    pending, letters, known = store.pending(), reconciliation.dead_letters(), reconciliation.known()
    try:
        bundles = _bundles.changed(store.staging, known.committed, known.uploaded, settings.intake_budget_s)
    except OSError as error:
        raise StorageFailed(settings.staged_dir, f"cannot be listed: {error}.", "Check its permissions.") from error
    hashes = [bundle.sha256 for bundle in bundles]
    return State(
        settings=settings,
        now=scene.now,
        known=known,
        letters=tuple(letters),
        files=files_of(letters),
        pending=tuple(_pending(instance, pending)),
        partitions=partitions,
        dead=tuple(
            RunSeen(run.run_id, run.job_name, run.tags.get("dagster/partition"))
            for run in unfinished
            if is_dead(instance, run)
        ),
        working=frozenset(run.tags["dagster/partition"] for run in unfinished if "dagster/partition" in run.tags),
        bundles=tuple(bundles),
        judged=reconciliation.judged(hashes) if hashes else {},
        asked=_asked(instance, hashes),
        failed_runs=_failed(instance, bundles),
        breakers=tuple(open_breakers(settings.home)),
        has_space=has_space(settings, settings.home),
        index=index_seen(scene),
    )


def _pending(instance: dg.DagsterInstance, pending: Sequence[PendingUpload]) -> Iterator[PendingSeen]:
    runs = find_runs(instance, (upload.attempt_id for upload in pending))
    for upload in pending:
        run = runs.get(upload.attempt_id)
        is_over = run is not None and (run.is_finished or is_dead(instance, run))
        yield PendingSeen(upload, run.run_id if run else None, is_over)


def _asked(instance: dg.DagsterInstance, hashes: list[str]) -> dict[str, Asked]:
    found: dict[str, Asked] = {}
    if not hashes:
        return found
    for record in instance.get_run_records(RunsFilter(tags={BUNDLE_TAG: hashes})):
        bundle, before = record.dagster_run.tags[BUNDLE_TAG], found.get(record.dagster_run.tags[BUNDLE_TAG])
        at = record.create_timestamp.astimezone(UTC)
        found[bundle] = Asked(before.times + 1, max(before.last_at, at)) if before else Asked(1, at)
    return found


def _failed(instance: dg.DagsterInstance, bundles: Sequence[StagedBundle]) -> frozenset[str]:
    """The runs that made the newest table of a torn bundle, and failed then."""
    made_by = [bundle.run_id for bundle in bundles if bundle.torn]
    if not made_by:
        return frozenset()
    found: Sequence[DagsterRun] = instance.get_runs(RunsFilter(run_ids=made_by))
    return frozenset(run.run_id for run in found if run.is_finished and not run.is_success)


def _findings(state: State) -> Iterator[Finding]:
    known = {*state.known.committed, *state.known.uploaded, *state.known.others}
    for partition in sorted(state.partitions - known - state.working):
        yield Finding(
            "unreconciled",
            f"partition:{partition}",
            f"Dagster has the partition {partition}, but the store knows no upload and no video of it: the store was"
            " restored or made anew since, or somebody added the partition by hand.",
            "`bri ingest` its file if it is wanted; otherwise delete the partition on the page of any asset in the UI.",
            video_id=partition,
        )
    yield from _torn(state)
    for upload_id, path in sorted(state.known.unfounded.items()):
        yield Finding(
            "unreconciled",
            f"upload:{upload_id}",
            f"The upload {path} is recorded as committed, but no version of its video is there.",
            f"`bri ingest {path}`",
            facts={"path": path},
        )


def _torn(state: State) -> Iterator[Finding]:
    """Staged tables that do not belong together, and that nobody is about to make again."""
    busy = {seen.upload.video_id for seen in state.pending} | state.working
    failed = {letter.video_id for letter in state.letters}
    for bundle in state.bundles:
        shown_since = state.known.committed.get(bundle.video_id)
        if not bundle.torn or shown_since is None or bundle.video_id in busy | failed:
            continue
        age_s = (state.now - bundle.made_at).total_seconds()
        if bundle.made_at <= shown_since or bundle.run_id in state.failed_runs or age_s < state.settings.stuck_s:
            continue
        yield Finding(
            "unreconciled",
            f"staged:{bundle.video_id}",
            f"What is staged for {bundle.video_id} is newer than what is shown, but is not whole: {bundle.torn}.",
            "Materialize the assets that Dagster shows as outdated, and committed_video, of this partition.",
            version=bundle.sha256[:12],
            video_id=bundle.video_id,
            facts={"staged_at": bundle.made_at.isoformat(), "shown_since": shown_since.isoformat()},
        )


def _find(scene: Scene) -> Iterator[Finding]:
    yield from compare(scene).findings


#: What no program may mend.
DISAGREEMENTS = Look("disagreements", ("unreconciled",), _find)
