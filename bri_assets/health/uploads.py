"""Uploads that are no videos, failed, are stuck, wait too long or came too late.

What a person did (stopped an ingest, purges the video) is not told back to that person; a day later its lateness is.
What does not belong here: whether a failed one is tried again (``retries``), and files of which neither the store nor
the disk knows (``disagreements``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from operator import attrgetter

import dagster as dg
from dagster import DagsterRun, DagsterRunStatus

from bri_assets.breaker import open_breakers
from bri_assets.findings import Finding
from bri_assets.health.disk import has_space
from bri_assets.health.files import Files, files_of
from bri_assets.health.look import Look, Scene
from bri_assets.health.retries import RULES, World, outlook
from bri_assets.runs import find_runs
from bri_assets.store.health import Health, Ingesting
from bri_assets.store.reconciliation import DeadLetter, Reconciliation
from bri_assets.store.store import Store

__all__ = ["UPLOADS"]

#: Codes of failures that are a person's own doing.
_OWN_DOING = frozenset({"stopped", "deleted", "purging"})
#: Codes whose reason may quote what the video shows or says; the rule's own words are told instead.
_QUOTING = frozenset({"rows_invalid"})
#: A run in one of these states was not begun.
_WAITING = frozenset({DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED})


@dataclass(frozen=True)
class _Video:
    """The uploads that shall become one video, and are not committed."""

    video_id: str
    failed: Sequence[DeadLetter]
    ingesting: Sequence[Ingesting]

    @property
    def first(self) -> DeadLetter | Ingesting:
        """The one that arrived first: attempts and copies come and go, it stays."""
        every: list[DeadLetter | Ingesting] = [*self.failed, *self.ingesting]
        return min(every, key=lambda one: (one.created_at, one.upload_id))

    @property
    def retried(self) -> bool:
        """It failed before, and another attempt is under way."""
        return bool(self.ingesting) and (bool(self.failed) or any(one.attempts > 1 for one in self.ingesting))


def _find(scene: Scene) -> Iterator[Finding]:
    store = Health.of(scene.settings)
    letters, ingesting = Reconciliation.of(scene.settings).dead_letters(), store.ingesting()
    files = Files(scene.settings, Store.of(scene.settings).seen())
    videos = _videos(letters, ingesting)
    runs = find_runs(scene.instance, (one.attempt_id for one in ingesting if one.attempts))
    yield from _quarantined(letters, files)
    settings = scene.settings
    space = has_space(settings, settings.home)
    world = World(settings, scene.now, tuple(open_breakers(settings.home)), space)
    now = files_of(letters)
    for video in videos:
        yield from _failed(video, now, world)
        yield from _stuck(video, runs, scene)
        yield from _late(video, scene)
    yield from _backlog(ingesting, runs, files, scene)


def _videos(letters: Iterable[DeadLetter], ingesting: Iterable[Ingesting]) -> list[_Video]:
    failed = sorted((one for one in letters if one.state == "failed"), key=attrgetter("video_id"))
    busy = sorted(ingesting, key=attrgetter("video_id"))
    by_failed = {video_id: list(rows) for video_id, rows in groupby(failed, attrgetter("video_id"))}
    by_busy = {video_id: list(rows) for video_id, rows in groupby(busy, attrgetter("video_id"))}
    return [
        _Video(video_id, by_failed.get(video_id, []), by_busy.get(video_id, []))
        for video_id in sorted(by_failed.keys() | by_busy.keys())
    ]


def _quarantined(letters: Iterable[DeadLetter], files: Files) -> Iterator[Finding]:
    for letter in letters:
        if letter.state == "quarantined" and files.state(letter.path, letter.signature) == "there":
            yield Finding(
                "upload_quarantined",
                f"upload:{letter.upload_id}",
                f"{letter.filename} is not ingested: {letter.reason}",
                "Replace it by a whole video, or remove it.",
                facts={"code": letter.code, "path": letter.path, "since": letter.updated_at.isoformat()},
            )


def _failed(video: _Video, files: Mapping[str, str], world: World) -> Iterator[Finding]:
    """An ingest that failed; while another attempt is under way it still holds, but is not told for the first time."""
    letters = [one for one in video.failed if one.video in {"", "ingesting"} and one.code not in _OWN_DOING]
    subject = f"video:{video.video_id}"
    if video.retried:
        yield Finding(
            "ingest_failed",
            subject,
            summary=f"{video.first.filename} failed to be ingested before; another attempt is under way.",
            remedy="Wait for its end: `bri status`.",
            facts={"retrying": True, "attempts": max(one.attempts for one in video.ingesting)},
            version=video.first.upload_id,
            video_id=video.video_id,
        )
        return
    if not letters:
        return
    letter = max(letters, key=lambda one: one.updated_at)
    rule = RULES.get(letter.code or "")
    said = rule.meaning if rule and letter.code in _QUOTING else letter.reason or "Nobody said why."
    future = outlook(letter, files[letter.upload_id], world)
    again = f"It is tried again by itself: {future.why}." if future.by_machine else f"It waits for you: {future.why}."
    mend = rule.remedy if rule else "See the run's log for its cause."
    yield Finding(
        "ingest_failed",
        subject,
        summary=f"{letter.filename} could not be ingested ({letter.code}): {said} {again}",
        remedy=f"{mend} Then `bri retry {video.video_id}`; `bri purge {video.video_id}` forgets it.",
        facts={
            "code": letter.code,
            "attempts": letter.attempts,
            "run_id": letter.run_id,
            "by_machine": future.by_machine,
            "path": letter.path,
        },
        version=video.first.upload_id,
        video_id=video.video_id,
    )


def _stuck(video: _Video, runs: Mapping[str, DagsterRun], scene: Scene) -> Iterator[Finding]:
    for upload in video.ingesting:
        run = runs.get(upload.attempt_id)
        if run is None or run.status in _WAITING:
            continue
        silent = _silence(upload, run, scene)
        if silent >= timedelta(seconds=scene.settings.stuck_s):
            yield Finding(
                "ingest_stuck",
                f"video:{video.video_id}",
                f"The ingest of {upload.filename} has shown no sign of life for {_hours(silent)}:"
                f" its run {run.run_id} is {run.status.value}.",
                f"See the run in Dagster's UI, terminate it there, and `bri retry {video.video_id}`.",
                version=upload.attempt_id,
                video_id=video.video_id,
                facts={"run_id": run.run_id, "status": run.status.value, "silent_s": silent.total_seconds()},
            )
            return


def _silence(upload: Ingesting, run: DagsterRun, scene: Scene) -> timedelta:
    """How long ago the run or its upload last gave a sign of life."""
    silent = scene.now - upload.updated_at
    if silent < timedelta(seconds=scene.settings.stuck_s):
        return silent
    last = _last_event(scene.instance, run.run_id)
    return silent if last is None else min(silent, timedelta(seconds=scene.now.timestamp() - last))


def _last_event(instance: dg.DagsterInstance, run_id: str) -> float | None:
    found = instance.event_log_storage.get_records_for_run(run_id, limit=1, ascending=False).records
    return found[0].event_log_entry.timestamp if found else None


def _late(video: _Video, scene: Scene) -> Iterator[Finding]:
    first = video.first
    age, most = scene.now - first.created_at, timedelta(hours=scene.settings.freshness_h)
    if age < most or (not video.ingesting and all(one.video in {"committed", "deleted"} for one in video.failed)):
        return
    yield Finding(
        "not_fresh",
        f"video:{video.video_id}",
        f"{first.filename} arrived {_hours(age)} ago and is not committed; it should be within {_hours(most)}.",
        f"See why with `bri diagnose {video.video_id}` and `bri status`; then `bri retry {video.video_id}`,"
        f" or `bri purge {video.video_id}` to forget it.",
        version=first.upload_id,
        video_id=video.video_id,
        facts={
            "arrived_at": first.created_at.isoformat(),
            "state": "ingesting" if video.ingesting else "failed",
            "codes": sorted({one.code or "" for one in video.failed}),
        },
    )


def _backlog(
    ingesting: Iterable[Ingesting], runs: Mapping[str, DagsterRun], files: Files, scene: Scene
) -> Iterator[Finding]:
    since = [
        upload.updated_at
        for upload in ingesting
        if upload.attempts and ((run := runs.get(upload.attempt_id)) is None or run.status in _WAITING)
    ]
    since += files.unseen()
    oldest = scene.now - min(since) if since else timedelta(0)
    settings = scene.settings
    if len(since) <= settings.backlog_most and oldest <= timedelta(seconds=settings.backlog_wait_s):
        return
    yield Finding(
        "backlog",
        "uploads",
        f"{len(since)} upload(s) wait to be ingested, the oldest for {_hours(oldest)}.",
        "See that Dagster's daemon and the sensor `uploads` run (`make ui`, `bri watch`). Where they do, the machine is"
        " slower than what arrives: allow more runs at once in dagster.yaml, or raise BRI_BACKLOG_MOST and"
        " BRI_BACKLOG_WAIT_S.",
        facts={"waiting": len(since), "oldest_s": oldest.total_seconds()},
    )


def _hours(time: timedelta) -> str:
    seconds = time.total_seconds()
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


#: The look.
UPLOADS = Look("uploads", ("upload_quarantined", "ingest_failed", "ingest_stuck", "not_fresh", "backlog"), _find)
