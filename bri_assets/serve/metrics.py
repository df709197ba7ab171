"""Metrics as Prometheus reads them: what processes have counted, and gauges of the store and its disks at that moment.

What does not belong here: what processes count (``telemetry.metrics``), and asking for it (``commands.metrics``).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bri_assets.errors import BriError
from bri_assets.schemas.uploads import UPLOAD_STATES
from bri_assets.search.index import Index
from bri_assets.settings import Settings
from bri_assets.store.telemetry import StoreFigures, Telemetry
from bri_assets.telemetry import logger

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

__all__ = ["exposition", "metrics_route", "registry"]

#: Actions of the audit log, and what an upload or a commit then came to.
_UPLOADS = {"upload.accepted": "accepted", "upload.quarantined": "quarantined", "upload.failed": "failed"}
_COMMITS = {"version.committed": "committed", "version.refused": "refused"}

#: Longest wait for a store that is busy, in seconds: whoever scrapes waits for 10 s by default.
_WAIT_S = 5.0


def registry(settings: Settings, store: Telemetry | None = None, index: Index | None = None) -> CollectorRegistry:
    """Everything that there is to tell, read anew each time that it is collected.

    Args:
        settings: of the process.
        store: what the store is asked through; None: through the file, or whoever owns it.
        index: of the search, the same.
    """
    from prometheus_client import CollectorRegistry

    made = CollectorRegistry()
    made.register(_Everything(settings, store, index))
    return made


def exposition(settings: Settings) -> bytes:
    """The same as text, in Prometheus' format; each metric once, each line ends."""
    from prometheus_client import generate_latest

    return generate_latest(registry(settings))


def metrics_route(settings: Settings, store: Telemetry | None = None, index: Index | None = None) -> Route:
    """``GET /metrics``, for whichever server; a scrape is read in a thread and never changes anything.

    Args:
        settings: of the process.
        store: as ``registry`` has it.
        index: as ``registry`` has it.
    """
    from prometheus_client.exposition import choose_encoder

    found = registry(settings, store, index)

    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(found), media_type=content_type)

    return Route("/metrics", metrics, methods=["GET"])


@dataclass(frozen=True)
class _Everything:
    settings: Settings
    store: Telemetry | None = None
    index: Index | None = None

    def collect(self) -> Iterator[Metric]:
        from bri_assets.telemetry.metrics import kept

        metrics, damaged = kept(self.settings.metrics_dir)
        yield from metrics
        yield _gauge("bri_metrics_files_damaged", "Files of metrics that cannot be read; they are left out.", damaged)
        yield from _disks({"home": self.settings.home, "backups": self.settings.backup_dir})
        figures = self._figures()
        yield _gauge("bri_store_up", "Whether the store could be read: 1 or 0.", figures is not None)
        if figures is not None:
            yield _gauge("bri_store_size_bytes", "Size of the database and its WAL.", _size(self.settings.store_path))
            yield from _of_store(figures)
            yield from self._of_index()

    def _of_index(self) -> Iterator[Metric]:
        try:
            status = (self.index or Index.of(self.settings)).status()
        except BriError as error:
            logger(__name__).warning("metrics without the index", error=type(error).__name__, message=str(error))
            return
        up = status.state in {"current", "behind"}
        yield _gauge("bri_index_up", "Whether the search has an index that it can use: 1 or 0.", up)
        yield _gauge("bri_index_rows", "Captions and segments that are in the index of the search.", status.texts)
        yield _gauge("bri_index_behind_videos", "Videos that are shown and not in the index.", status.behind_videos)

    def _figures(self) -> StoreFigures | None:
        # Looking at a store makes one where there is none: nobody who asks for metrics asks for that.
        if not self.settings.store_path.exists():
            return None
        try:
            store = self.store or Telemetry.of(self.settings.model_copy(update={"store_wait_s": _WAIT_S}))
            return store.figures()
        except BriError as error:
            # That the store cannot be read is itself what is told; the other metrics are wanted all the more.
            logger(__name__).warning("metrics without the store", error=type(error).__name__, message=str(error))
            return None


def _of_store(figures: StoreFigures) -> Iterator[Metric]:
    yield _gauges("bri_uploads", "Uploads.", "state", dict.fromkeys(UPLOAD_STATES, 0) | figures.uploads)
    alerts = {"ERROR": 0, "WARN": 0} | figures.alerts
    yield _gauges("bri_alerts_open", "Alerts that are not resolved.", "severity", alerts)
    yield _gauge("bri_videos", "Videos that are shown.", figures.videos)
    yield _gauge("bri_versions", "Versions that were committed, archived ones too.", figures.versions)
    yield _gauge("bri_backlog_age_seconds", "How long the oldest unfinished ingest takes.", figures.backlog_age_s)
    # Not bri_uploads_total: in OpenMetrics that is of the same family as the gauge bri_uploads.
    yield _counter("bri_upload_outcomes", "What became of uploads, ever.", "outcome", _UPLOADS, figures.events)
    yield _counter("bri_commits", "What became of commits, ever.", "outcome", _COMMITS, figures.events)
    if figures.backup_age_s is not None:
        yield _gauge("bri_backup_age_seconds", "Age of the newest backup.", figures.backup_age_s)
    if figures.completeness_min is not None:
        yield _gauge("bri_completeness_min", "Least completeness of a video, 0 to 1.", figures.completeness_min)


def _disks(folders: Mapping[str, Path]) -> Iterator[Metric]:
    found = {name: shutil.disk_usage(folder) for name, folder in folders.items() if folder.exists()}
    free = {name: usage.free for name, usage in found.items()}
    yield _gauges("bri_disk_free_bytes", "Free bytes of the disk with that folder.", "folder", free)
    total = {name: usage.total for name, usage in found.items()}
    yield _gauges("bri_disk_size_bytes", "Bytes of the disk with that folder.", "folder", total)


def _size(path: Path) -> int:
    # By name and never by opening: closing a descriptor of a database drops the lock of the process that has it open.
    sizes = []
    for name in (path.name, f"{path.name}.wal"):
        try:
            sizes.append(path.with_name(name).stat().st_size)
        except FileNotFoundError:
            continue  # the WAL comes and goes
    return sum(sizes)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, meaning, value=float(value))


def _gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, meaning, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _counter(name: str, meaning: str, label: str, actions: Mapping[str, str], events: Mapping[str, int]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, meaning, labels=[label])
    for action, outcome in actions.items():
        family.add_metric([outcome], events.get(action, 0))
    return family
