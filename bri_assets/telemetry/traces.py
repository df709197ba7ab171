"""Traces: a span for each stage and one for its run, sent by OTLP/HTTP to where the standard variables say.

The ids of a run's trace and of its root follow from the run's id, so that the steps of one run join one trace from
whatever process they work in. What is sent is sent when a span ends, for the process may end next. What does not belong
here: what is a stage or a run (``process``).
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING
from uuid import UUID

from bri_assets.telemetry import failures
from bri_assets.telemetry.logs import logger

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Span

__all__ = ["Tracer", "root_id_of", "trace_id_of", "wanted"]

Attributes = Mapping[str, str | int | float]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_TIMEOUTS = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")

#: Longest wait for a collector where the standard variables say nothing, in seconds. Their own 10 s are for processes
#: that send beside their work; here the work waits.
_WAIT_S = 3.0
#: A collector that failed is left alone for so many seconds, for each try may cost as long as the longest wait.
_REST_S = 60.0
#: Requests' spans are sent together, this long after the first, in seconds.
_LATER_S = 1.0
#: Spans that are kept for it meanwhile; the oldest are dropped.
_MOST_SPANS = 1000


def wanted() -> bool:
    """Whether the environment asks for traces, by the standard variables."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    none = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none"
    return not (off or none) and any(os.environ.get(name) for name in _ENDPOINTS)


def trace_id_of(run_id: str) -> int:
    """The id of a run's trace, 128 bits: the run's own id where that is a UUID."""
    try:
        return UUID(run_id).int
    except ValueError:
        return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:16])


def root_id_of(run_id: str) -> int:
    """The id of the span of a run, 64 bits."""
    return int.from_bytes(hashlib.sha256(b"root of " + run_id.encode()).digest()[:8])


class Tracer:
    """Makes spans and sends them; a collector that does not answer costs a limited wait and a line of the log."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource

        # Of a collector that is away it writes several lines at each try; we write one.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        own = {"service.name": os.environ.get("OTEL_SERVICE_NAME") or "bri-assets", "service.version": _version()}
        self._resource = Resource.create(own)
        wait_s = _longest_wait_s()
        self._sender = _Sender(OTLPSpanExporter(timeout=wait_s), wait_s)
        self._tracer = self._provider().get_tracer("bri_assets")

    def begin(self, name: str, run_id: str, attributes: Attributes) -> Span:
        """Begin the span of a stage of a run."""
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        root = SpanContext(trace_id_of(run_id), root_id_of(run_id), True, TraceFlags(TraceFlags.SAMPLED))
        parent = set_span_in_context(NonRecordingSpan(root))
        return self._tracer.start_span(name, parent, attributes=attributes)

    def end(self, span: Span, attributes: Attributes, error: BaseException | None = None) -> None:
        """End a span, with the error that ended it if there was one, and send it."""
        from opentelemetry.trace import Status, StatusCode

        span.set_attributes(attributes)
        if error is not None:
            told = {"exception.type": failures.kind(error), "exception.stacktrace": failures.stack(error)}
            words = failures.message(error)
            span.add_event("exception", told | ({"exception.message": words} if words else {}))
            span.set_attribute("error.type", failures.kind(error))
            span.set_status(Status(StatusCode.ERROR, words))
        span.end()
        self._sender.send()

    def run(self, name: str, run_id: str, began_s: float, ended_s: float, attributes: Attributes, failed: bool) -> None:
        """Send the span of a run that ended, the root of its stages'; times are seconds since 1970."""
        from opentelemetry.context import Context
        from opentelemetry.trace import Status, StatusCode

        tracer = self._provider(_ids_of(run_id)).get_tracer("bri_assets")
        span = tracer.start_span(name, Context(), attributes=attributes, start_time=int(began_s * 1e9))
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(int(ended_s * 1e9))
        self._sender.send()

    def request(self, name: str, seconds: float, attributes: Attributes, *, failed: bool) -> None:
        """Keep the span of a request that ended now, a trace of its own; it is sent by a thread, and nobody waits."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode

        ended = time.time()
        began_ns, ended_ns = int((ended - seconds) * 1e9), int(ended * 1e9)
        span = self._tracer.start_span(name, Context(), SpanKind.SERVER, attributes, start_time=began_ns)
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended_ns)
        self._sender.send_later()

    def _provider(self, ids: IdGenerator | None = None) -> TracerProvider:
        from opentelemetry.sdk.trace import TracerProvider

        provider = TracerProvider(resource=self._resource, id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(self._sender.processor)
        return provider


class _Sender:
    """Sends spans that ended, within the time that there is.

    The library's batch processor would do, but its ``force_flush`` knows no limit (opentelemetry-python issue 4568),
    and its simple one waits for the collector at each span.
    """

    def __init__(self, exporter: SpanExporter, wait_s: float) -> None:
        self._exporter, self._wait_s = exporter, wait_s
        self._ended: deque[ReadableSpan] = deque(maxlen=_MOST_SPANS)
        self._not_before = 0.0
        self._told = False
        self._lock = threading.Lock()
        self._later: threading.Timer | None = None
        self.processor = _collecting(self._ended)

    def send_later(self) -> None:
        """Send what ended, and what ends within a second, by a thread."""
        if self._later is None or not self._later.is_alive():
            self._later = threading.Timer(_LATER_S, self.send)
            self._later.daemon = True
            self._later.start()

    def send(self) -> None:
        """Send what ended, and wait for it for a limited time; while the collector is left alone, keep it."""
        with self._lock:
            if self._ended and time.monotonic() >= self._not_before:
                self._send(list(self._ended))

    def _send(self, spans: list[ReadableSpan]) -> None:
        sent = threading.Event()

        def export() -> None:
            from opentelemetry.sdk.trace.export import SpanExportResult

            if self._exporter.export(spans) is SpanExportResult.SUCCESS:
                sent.set()

        # A thread that nobody waits for at the end: the library's own limit is one for each read, not for all of them.
        thread = threading.Thread(target=export, name="traces", daemon=True)
        thread.start()
        thread.join(self._wait_s)
        if sent.is_set():
            for _ in spans:
                self._ended.popleft()
        else:
            self._not_before = time.monotonic() + _REST_S
            self._tell(len(spans))

    def _tell(self, spans: int) -> None:
        if not self._told:
            self._told = True
            log = logger(__name__)
            log.warning("traces could not be sent; the work goes on", spans=spans, waited_s=self._wait_s)


def _collecting(ended: deque[ReadableSpan]) -> SpanProcessor:
    from opentelemetry.sdk.trace import SpanProcessor

    class Collecting(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            ended.append(span)

    return Collecting()


def _ids_of(run_id: str) -> IdGenerator:
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    class Ids(IdGenerator):
        def generate_span_id(self) -> int:
            return root_id_of(run_id)

        def generate_trace_id(self) -> int:
            return trace_id_of(run_id)

    return Ids()


def _longest_wait_s() -> float:
    said = next((found for name in _TIMEOUTS if (found := os.environ.get(name))), "")
    try:
        return float(said) if said else _WAIT_S
    except ValueError:
        logger(__name__).warning("the timeout of OTLP is no number of seconds", said=said, used_s=_WAIT_S)
        return _WAIT_S


def _version() -> str:
    return version("bri-assets")
