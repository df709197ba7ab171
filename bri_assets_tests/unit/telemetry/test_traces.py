"""Traces as a collector gets them, and collectors that do not answer."""

from __future__ import annotations

import socket
from typing import Literal
from uuid import UUID

import pytest

from bri_assets.telemetry import traces
from bri_assets_tests.collectors import collector, silent_collector
from bri_assets_tests.unit.telemetry.conftest import Workers
from bri_assets_tests.unit.telemetry.work import RUN, SECRET

TRACE = UUID(RUN).hex


def test_a_run_is_one_trace_with_a_span_for_each_stage(workers: Workers) -> None:
    with collector() as far:
        workers.run("traced", **far.variables)
    assert [span.name for span in far.spans] == ["frames", "detections", "ingest"]
    assert {span.trace for span in far.spans} == {TRACE}
    frames, detections, root = far.spans
    assert root.parent == ""
    assert frames.parent == detections.parent == root.span
    assert len({span.span for span in far.spans}) == 3
    assert (root.began_s, root.ended_s, root.failed) == (1_700_000_000.0, 1_700_000_010.5, False)
    assert root.attributes == {"dagster.run.id": RUN, "dagster.job.name": "ingest", "bri.outcome": "done"}
    assert frames.attributes == {
        "bri.video.id": "tour-1",
        "bri.stage": "frames",
        "bri.attempt": 0,
        "bri.rows": 3,
        "bri.outcome": "done",
        "bri.result": "complete",
        "bri.model": "yolo26n.pt",
        "dagster.run.id": RUN,
    }
    assert frames.resource["service.name"] == "bri-assets"
    assert frames.ended_s >= frames.began_s


def test_stages_of_several_processes_join_the_trace_of_their_run(workers: Workers) -> None:
    with collector() as far:
        workers.run("done", **far.variables)
        workers.run("commit", **far.variables)
    assert [(span.name, span.trace) for span in far.spans] == [("frames", TRACE), ("committed_video", TRACE)]
    assert len({span.parent for span in far.spans}) == 1


@pytest.mark.parametrize(
    ("mode", "kind", "outcome"),
    [
        ("failed", "ModelFailed", "failed"),
        ("quoted", "RowsInvalid", "failed"),
        ("foreign", "RuntimeError", "failed"),
        ("stopped", "KeyboardInterrupt", "stopped"),
    ],
)
def test_an_error_is_recorded_without_content(workers: Workers, mode: str, kind: str, outcome: str) -> None:
    with collector() as far:
        workers.run(mode, **far.variables)
    (span,) = far.spans
    assert span.failed
    assert (span.attributes["error.type"], span.attributes["bri.outcome"]) == (kind, outcome)
    (event,) = span.events
    assert (event["name"], event["exception.type"]) == ("exception", kind)
    assert "work.py" in event["exception.stacktrace"]
    assert SECRET.encode() not in far.raw
    assert ("exception.message" in event) == (mode == "failed")


@pytest.mark.parametrize("how", ["hangs", "drips"])
def test_a_collector_that_does_not_answer_costs_a_wait_and_a_line(
    workers: Workers, how: Literal["hangs", "drips"]
) -> None:
    with silent_collector(how) as far:
        printed = workers.run("traced", OTEL_EXPORTER_OTLP_TIMEOUT="0.3", **far.variables).stderr
    assert far.requests == 1
    assert printed.count("traces could not be sent") == 1
    assert printed.count("from a library") == 2
    assert len(printed.splitlines()) == 3


def test_a_collector_that_is_not_there_costs_a_line(workers: Workers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    printed = workers.run(
        "traced", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_TRACES_TIMEOUT="0.3"
    ).stderr
    assert printed.count("traces could not be sent") == 1
    assert len(printed.splitlines()) == 3


def test_what_a_collector_refused_is_sent_again_when_it_was_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with collector(refusals=1) as far:
        for name, value in far.variables.items():
            monkeypatch.setenv(name, value)
        tracer = traces.Tracer()
        monkeypatch.setattr(traces, "_REST_S", 0.0)
        for name in ("frames", "captions", "detections"):
            tracer.end(tracer.begin(name, "run-1", {}), {})
    assert [span.name for span in far.spans] == ["frames", "captions", "detections"]
    assert {span.trace for span in far.spans} == {f"{traces.trace_id_of('run-1'):032x}"}


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}, ""),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "0.1"},
            "opentelemetry",
        ),
    ],
)
def test_off_costs_nothing_not_even_an_import(workers: Workers, variables: dict[str, str], found: str) -> None:
    assert workers.run("imported", **variables).stdout == found + "\n"


def test_what_is_no_endpoint_costs_a_line(workers: Workers) -> None:
    printed = workers.run("done", OTEL_EXPORTER_OTLP_ENDPOINT="nowhere", OTEL_EXPORTER_OTLP_TIMEOUT="soon").stderr
    assert printed.count("traces could not be sent") == 1
    assert printed.count("no number of seconds") == 1
