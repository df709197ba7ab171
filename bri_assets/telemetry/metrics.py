"""Metrics that processes write: their names, labels and buckets, and the files in BRI_HOME/metrics that hold them.

Counters and histograms outlive their process, so that a step of a second counts like a server. No label names a video.
What does not belong here: which file a process writes (``slots``), and gauges of the store (``serve.metrics``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bri_assets.telemetry.slots import Slot, is_whole, written

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

__all__ = ["COMMIT", "Recorder", "kept"]

#: The stage that commits.
COMMIT = "committed_video"

#: Seconds. Each target of a stage (BRI_…_TARGET_S) is a limit by default: 10, 60, 120.
_STAGE_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_COMMIT_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_OPERATION_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class Recorder:
    """What this process counts and times.

    Args:
        folder: of the files.

    Every method, and making one, raises ``TelemetryFailed`` where this process can have no slot.
    """

    def __init__(self, folder: Path) -> None:
        # Imported here: a process that counts nothing does not pay for it.
        from prometheus_client import CollectorRegistry, Counter, Histogram, values

        slot = Slot(folder)
        slot.name()
        # The library reads the folder from here, and asks for the class when a metric is made.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        values.ValueClass = values.MultiProcessValue(process_identifier=slot.name)  # type: ignore[no-untyped-call]
        own = CollectorRegistry()
        self._stage_s = Histogram(
            "bri_stage_duration_seconds",
            "Seconds that a stage took, however it ended.",
            ["stage", "outcome"],
            buckets=_STAGE_S,
            registry=own,
        )
        self._stages = Counter("bri_stages_total", "Stages that ended.", ["stage", "outcome"], registry=own)
        self._rows = Counter("bri_stage_rows_total", "Rows that stages made.", ["stage", "model"], registry=own)
        self._retries = Counter("bri_retries_total", "Stages that were begun again.", ["stage"], registry=own)
        self._commit_s = Histogram(
            "bri_commit_duration_seconds",
            "Seconds from the staged files to the proven version.",
            buckets=_COMMIT_S,
            registry=own,
        )
        self._operations = Counter(
            "bri_store_operations_total",
            "Operations that the owner of the store carried out.",
            ["operation", "outcome"],
            registry=own,
        )
        self._operation_s = Histogram(
            "bri_store_operation_duration_seconds",
            "Seconds that an operation took in the owner of the store.",
            ["operation"],
            buckets=_OPERATION_S,
            registry=own,
        )
        self._requests = Counter(
            "bri_http_requests_total", "Requests to the API.", ["method", "route", "status"], registry=own
        )
        self._request_s = Histogram(
            "bri_http_request_duration_seconds",
            "Seconds that a request to the API took.",
            ["method", "route"],
            buckets=_REQUEST_S,
            registry=own,
        )

        self._answers = Counter(
            "bri_answers_total", "Reads and searches that were answered, by where from.", ["level"], registry=own
        )
        self._redis = Counter(
            "bri_redis_requests_total", "What came of asking Redis, left_alone: not asked.", ["outcome"], registry=own
        )

    def read_from(self, level: str) -> None:
        """A read or search was answered from ``process``, ``redis`` or ``store``."""
        self._answers.labels(level).inc()

    def redis_asked(self, outcome: str) -> None:
        """Redis was asked: ``done``, ``failed``, or ``left_alone`` because it failed a moment ago."""
        self._redis.labels(outcome).inc()

    def began_again(self, stage: str) -> None:
        """A stage is tried another time."""
        self._retries.labels(stage).inc()

    def ended(self, stage: str, outcome: str, seconds: float, rows: int, model: str) -> None:
        """A stage ended.

        Args:
            stage: name of the asset.
            outcome: ``done``, ``failed`` or ``stopped``.
            seconds: that it took.
            rows: that it made.
            model: that made them, empty for none.
        """
        self._stages.labels(stage, outcome).inc()
        self._stage_s.labels(stage, outcome).observe(seconds)
        if rows:
            self._rows.labels(stage, model).inc(rows)
        if stage == COMMIT and outcome == "done":
            self._commit_s.observe(seconds)

    def carried_out(self, operation: str, outcome: str, seconds: float) -> None:
        """The owner of the store carried out an operation: ``done``, ``refused`` (an error of ours) or ``failed``."""
        self._operations.labels(operation, outcome).inc()
        self._operation_s.labels(operation).observe(seconds)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """The server answered a request; ``status`` 0 for one that got no answer."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_s.labels(method, route).observe(seconds)


def kept(folder: Path) -> tuple[Iterable[Metric], int]:
    """What all processes have written so far, added up, and how many files of it cannot be read."""
    from prometheus_client.multiprocess import MultiProcessCollector

    files = [path for path in written(folder) if path.stat().st_size]
    whole = [str(path) for path in files if is_whole(path)]
    found: Iterable[Metric] = MultiProcessCollector.merge(whole)  # type: ignore[no-untyped-call]
    return found, len(files) - len(whole)
