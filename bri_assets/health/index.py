"""The index of the search beside what is shown: one finding, whatever is the matter with it.

Dagster is asked for the check ``agrees``, whose verdicts say of each video whether its rows are right; the rest is read
off the index and the store at once. What does not belong here: mending it (``repairs``, the job ``sync_index``), and
reading its rows (``checks.indexed``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from dagster import RunsFilter

from bri_assets.checks.indexed import differing
from bri_assets.errors import WeightsDamaged, WeightsMissing
from bri_assets.findings import Finding
from bri_assets.health.look import Look, Scene
from bri_assets.health.seen import Asked, IndexSeen
from bri_assets.jobs import INDEX as JOB
from bri_assets.models.weights import locate_embedder
from bri_assets.runs import UNFINISHED
from bri_assets.search.index import Index
from bri_assets.settings import Settings
from bri_assets.store.health import Health

__all__ = ["INDEX", "INDEX_TAG", "index_seen"]

#: The run's tag that names what it was asked to mend.
INDEX_TAG = "bri/index"
#: How far back attempts to mend the same are counted.
_WINDOW = timedelta(days=1)
#: Videos that are named in a sentence.
_NAMED = 3


def index_seen(scene: Scene) -> IndexSeen | None:
    """What of the index is not as it should be; None where all of it is. No model is loaded for it.

    Raises:
        BriError: the store cannot be asked, as ``Operations`` says.
    """
    status, shown = Index.of(scene.settings).status(), Health.of(scene.settings).shown()
    if status.state == "missing" and not shown.since:
        return None
    embedder = _embedder(scene.settings)
    wrong = tuple(differing(scene.instance, status.made_at)) if status.state in {"current", "behind"} else ()
    if status.state == "current" and not (status.surplus or wrong or embedder):
        return None
    since = [at for video_id, at in shown.since.items() if video_id in status.behind]
    since += [shown.less_at] if status.surplus and shown.less_at is not None else []
    seen = IndexSeen(
        videos=tuple(status.behind),
        lacking=status.behind_videos,
        surplus=status.surplus,
        wrong=tuple(video_id for video_id in wrong if video_id in shown.since),
        unusable=status.said if status.state == "unusable" and not embedder else "",
        embedder=embedder,
        since=min(since, default=None),
    )
    return seen.with_runs(*_runs(scene, seen.fingerprint))


def _embedder(settings: Settings) -> str:
    try:
        locate_embedder(settings.embedder_model, settings.weights_dir)
    except (WeightsMissing, WeightsDamaged) as error:
        return str(error)
    return ""


def _runs(scene: Scene, fingerprint: str) -> tuple[Asked | None, bool]:
    at_work = scene.instance.get_runs_count(RunsFilter(job_name=JOB, statuses=list(UNFINISHED))) > 0
    # The same may be wrong again long after it was mended.
    lately = RunsFilter(job_name=JOB, tags={INDEX_TAG: fingerprint}, created_after=scene.now - _WINDOW)
    records = scene.instance.get_run_records(lately)
    times = [record.create_timestamp.astimezone(UTC) for record in records]
    return (Asked(len(times), max(times)) if times else None), at_work


def _find(scene: Scene) -> Iterator[Finding]:
    seen = index_seen(scene)
    if seen is None or not _is_told(seen, scene.now, scene.settings.index_behind_s):
        return
    yield Finding(
        "index_behind",
        "index",
        f"{' '.join(_sentences(seen))} Searches answer all the same: by a slower way, or by words alone.",
        _remedy(seen),
        facts={
            "lacking": seen.lacking,
            "surplus": seen.surplus,
            "wrong": len(seen.wrong),
            "unusable": bool(seen.unusable),
            "embedder": bool(seen.embedder),
            "videos": list(seen.videos[:_NAMED]),
        },
    )


def _is_told(seen: IndexSeen, now: datetime, after_s: float) -> bool:
    """At once where something is wrong; where it only has to follow, it gets the time for that."""
    if seen.unusable or seen.wrong or seen.embedder:
        return True
    return seen.since is None or (now - seen.since).total_seconds() >= after_s


def _sentences(seen: IndexSeen) -> Iterator[str]:
    if seen.unusable:
        yield seen.unusable
        return
    if seen.embedder:
        yield f"No meanings can be looked for, and nothing new gets into the index of the search: {seen.embedder}"
    if seen.lacking:
        yield f"The index of the search lacks {seen.lacking} video(s) that are shown ({_names(seen.videos)})."
    if seen.surplus:
        yield f"It keeps {seen.surplus} version(s) that are shown no more; no answer gives them."
    if seen.wrong:
        yield f"Its rows of {_names(seen.wrong)} are not those of the store."


def _remedy(seen: IndexSeen) -> str:
    if seen.embedder:
        return "`bri models pull` fetches it; then `bri index sync`."
    by_itself = "The sensor `reconcile` has that tried a few times by itself."
    if seen.needs_rebuild:
        return f"`bri index rebuild` makes it anew while searches go on. {by_itself}"
    return f"`bri index sync` brings it up, or says what is in the way. {by_itself}"


def _names(video_ids: tuple[str, ...]) -> str:
    more = f", and {len(video_ids) - _NAMED} more" if len(video_ids) > _NAMED else ""
    return ", ".join(video_ids[:_NAMED]) + more


#: The look.
INDEX = Look("index", ("index_behind",), _find)
