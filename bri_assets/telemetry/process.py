"""One process's telemetry: set up once, from its settings, and told of every stage, operation, request and run.

Neither metrics nor traces may cost a video: where they cannot be kept or sent, a line of the log says so once, and the
work goes on. What does not belong here: how any of the three is kept or sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from bri_assets.errors import BriError, TelemetryFailed
from bri_assets.settings import Settings
from bri_assets.telemetry import failures, logs, traces

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from bri_assets.telemetry.metrics import Recorder

__all__ = ["Stage", "configure", "operation", "read_from", "redis_asked", "request", "run_ended", "stage"]

#: Names of the run of this process's stage in each line of the log.
_CONTEXT = ("video", "run", "stage")

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


@dataclass
class _Process:
    """What this process tells with: nothing, before it is set up."""

    ready: bool = False
    recorder: Recorder | None = None
    tracer: traces.Tracer | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_process = _Process()


@dataclass
class Stage:
    """A stage at work."""

    rows: int = 0
    model: str = ""
    result: str = ""

    def made(self, rows: int, *, model: str | None = None, result: str = "") -> None:
        """Say what it made.

        Args:
            rows: how many rows, >= 0.
            model: that made them; of a path only the name is told.
            result: what came of it, as the manifest's outcome: ``complete``, ``no_audio``.
        """
        # As a path, the model of one user is another one than the same of the next.
        self.rows, self.result = rows, result
        self.model = PurePath(model).name if model and PurePath(model).is_absolute() else model or ""


def configure(settings: Settings, *, level: str = "warning") -> None:
    """Set this process's telemetry up; the first call counts, later ones cost nothing.

    Args:
        settings: of the process.
        level: least level of its log where the settings name none.
    """
    with _process.lock:
        if _process.ready:
            return
        _process.ready = True
        logs.set_up(settings, level)
        if settings.metrics == "on":
            _process.recorder = _recorder(settings)
        if traces.wanted():
            _process.tracer = _tracer()


@contextmanager
def stage(settings: Settings, name: str, *, video_id: str, run_id: str, attempt: int = 0) -> Iterator[Stage]:
    """Tell of a stage: the block is its work.

    Every line that is logged in the block has its video, run and stage. An error that ends the block goes on as it is.

    Args:
        settings: of the process, which is set up by them unless it is already.
        name: of the asset.
        video_id: the video.
        run_id: Dagster's run.
        attempt: how often it was tried before, >= 0.

    Yields:
        The stage, to be told what it made.
    """
    configure(settings)
    logs.adopt()
    made, log, started = Stage(), logs.logger(__name__), time.perf_counter()
    with _bound(video=video_id, run=run_id, stage=name):
        span = _begin(name, video_id, run_id, attempt)
        _count(lambda recorder: recorder.began_again(name) if attempt else None)
        log.info("stage began", attempt=attempt)
        failed: BaseException | None = None
        try:
            yield made
        except BaseException as error:
            failed = error
            raise
        finally:
            seconds, outcome = time.perf_counter() - started, _outcome(failed)
            _count(lambda recorder: recorder.ended(name, outcome, seconds, made.rows, made.model))
            if failed is None:
                log.info("stage ended", seconds=round(seconds, 3), rows=made.rows, result=made.result)
            else:
                tell = log.warning if isinstance(failed, BriError) and failed.retryable else log.error
                tell("stage ended", seconds=round(seconds, 3), outcome=outcome, **_told(failed))
            if span is not None:
                _end(span, made, outcome, failed)


@contextmanager
def operation(name: str) -> Iterator[None]:
    """Count and time an operation of the store that its owner carries out; an error goes on as it is."""
    started, outcome = time.perf_counter(), "failed"
    try:
        yield
        outcome = "done"
    except BriError:
        outcome = "refused"
        raise
    finally:
        _count(lambda recorder: recorder.carried_out(name, outcome, time.perf_counter() - started))


def read_from(level: str) -> None:
    """Count a read or search by where its answer came from: ``process``, ``redis`` or ``store``."""
    _count(lambda recorder: recorder.read_from(level))


def redis_asked(outcome: str) -> None:
    """Count what came of asking Redis: ``done``, ``failed``, or ``left_alone`` because it failed a moment ago."""
    _count(lambda recorder: recorder.redis_asked(outcome))


def request(method: str, route: str, status: int, seconds: float) -> None:
    """Count and time a request that the server has answered; its span ended now.

    Args:
        method: as HTTP has it; one that HTTP does not know counts as ``OTHER``.
        route: the path of its route, with names for what varies: never what was asked for.
        status: of the answer, 0 where there was none.
        seconds: that it took, until the last byte.
    """
    method = method if method in _METHODS else "OTHER"
    _count(lambda recorder: recorder.answered(method, route, status, seconds))
    if _process.tracer is not None:
        told: dict[str, str | int | float] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }
        _process.tracer.request(f"{method} {route}", seconds, told, failed=status >= 500 or not status)


def run_ended(settings: Settings, job: str, run_id: str, *, began_s: float, ended_s: float, success: bool) -> None:
    """Tell of a run that ended; who sees it end tells it, once.

    Args:
        settings: of the process.
        job: its name.
        run_id: Dagster's run.
        began_s: when it began, in seconds since 1970.
        ended_s: when it ended, the same.
        success: whether all of it succeeded.
    """
    configure(settings)
    if _process.tracer is not None:
        told = {"dagster.run.id": run_id, "dagster.job.name": job, "bri.outcome": "done" if success else "failed"}
        _process.tracer.run(job, run_id, began_s, ended_s, told, failed=not success)


@contextmanager
def _bound(**values: str) -> Iterator[None]:
    from structlog.contextvars import bind_contextvars, get_contextvars, unbind_contextvars

    # Not by tokens, which only their own context takes back: a stage is a generator, that may end in another one.
    before = {name: value for name, value in get_contextvars().items() if name in values}
    bind_contextvars(**values)
    try:
        yield
    finally:
        unbind_contextvars(*values)
        bind_contextvars(**before)


def _recorder(settings: Settings) -> Recorder | None:
    from bri_assets.telemetry.metrics import Recorder

    try:
        return Recorder(settings.metrics_dir)
    except TelemetryFailed as error:
        logs.logger(__name__).warning("this process counts nothing", **_told(error))
        return None


def _tracer() -> traces.Tracer | None:
    try:
        return traces.Tracer()
    except (ValueError, OSError) as error:
        logs.logger(__name__).warning("this process sends no traces", **_told(error))
        return None


def _count(what: Callable[[Recorder], None]) -> None:
    if _process.recorder is None:
        return
    try:
        what(_process.recorder)
    except TelemetryFailed as error:
        _process.recorder = None
        logs.logger(__name__).warning("this process counts nothing from now on", **_told(error))


def _begin(name: str, video_id: str, run_id: str, attempt: int) -> Span | None:
    if _process.tracer is None:
        return None
    told: dict[str, str | int] = {"bri.video.id": video_id, "bri.stage": name, "dagster.run.id": run_id}
    told |= {"bri.attempt": attempt}
    return _process.tracer.begin(name, run_id, told)


def _end(span: Span, made: Stage, outcome: str, failed: BaseException | None) -> None:
    told: dict[str, str | int] = {"bri.rows": made.rows, "bri.outcome": outcome}
    told |= {name: said for name, said in (("bri.result", made.result), ("bri.model", made.model)) if said}
    if _process.tracer is not None:
        _process.tracer.end(span, told, failed)


def _outcome(failed: BaseException | None) -> str:
    if failed is None:
        return "done"
    return "failed" if isinstance(failed, Exception) else "stopped"


def _told(error: BaseException) -> dict[str, str]:
    return {"error": failures.kind(error), "message": failures.message(error)}
