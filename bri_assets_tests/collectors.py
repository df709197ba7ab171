"""OTLP/HTTP collectors on loopback: one that understands what it is sent, and some that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

__all__ = ["Collector", "Sent", "collector", "silent_collector"]


@dataclass(frozen=True)
class Sent:
    """A span as it arrived; ids are hex, times are seconds since 1970."""

    name: str
    trace: str
    span: str
    parent: str
    began_s: float
    ended_s: float
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: list[dict[str, Any]]


@dataclass
class Collector:
    """What arrived so far.

    Args:
        port: where it listens.
        refusals: so many requests are refused first.
    """

    port: int = 0
    refusals: int = 0
    requests: int = 0
    spans: list[Sent] = field(default_factory=list)
    raw: bytes = b""

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process that sends here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}"}


@contextmanager
def collector(refusals: int = 0) -> Iterator[Collector]:
    """A collector that decodes spans."""
    found = Collector(refusals=refusals)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.requests += 1
            refused = found.requests <= found.refusals or self.path != "/v1/traces"
            if not refused:
                found.raw += body
                found.spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(400 if refused else 200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def silent_collector(how: Literal["hangs", "drips"]) -> Iterator[Collector]:
    """A collector that takes a request and never answers, or answers for ever, a byte at a time."""
    over = threading.Event()
    found = Collector()

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            found.requests += 1
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nx: " if how == "drips" else b"")
                while not over.wait(0.05):
                    connection.sendall(b"x" if how == "drips" else b"")
            except OSError:
                return  # the process that sent has ended

    def accept(listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            if over.is_set():
                connection.close()
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found.port = listener.getsockname()[1]
        accepting = threading.Thread(target=accept, args=(listener,))
        accepting.start()
        try:
            yield found
        finally:
            over.set()
            socket.create_connection(("127.0.0.1", found.port)).close()
            for thread in (accepting, *threads):
                thread.join()


def _spans(request: ExportTraceServiceRequest) -> Iterator[Sent]:
    for group in request.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Sent(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    began_s=span.start_time_unix_nano / 1e9,
                    ended_s=span.end_time_unix_nano / 1e9,
                    failed=span.status.code == 2,
                    attributes=_values(span.attributes),
                    resource=_values(group.resource.attributes),
                    events=[{"name": event.name, **_values(event.attributes)} for event in span.events],
                )


def _values(pairs: Any) -> dict[str, Any]:
    def value(pair: KeyValue) -> Any:
        return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")

    return {pair.key: value(pair) for pair in pairs}
