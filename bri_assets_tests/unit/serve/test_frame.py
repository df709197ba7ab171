"""What all requests have in common: ids, lines of the log, counts, pages from elsewhere, and the OpenAPI document."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bri_assets.serve.api.problems import MEDIA_TYPE
from bri_assets.serve.metrics import exposition
from bri_assets.telemetry import process, traces
from bri_assets.telemetry.metrics import Recorder
from bri_assets_tests.collectors import collector
from bri_assets_tests.unit.serve.probes import PATIENCE_S, Probed, probed

PAGE = "https://app.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    with probed(tmp_path_factory.mktemp("served"), serve_origins=f"{PAGE}, https://other.example") as found:
        yield found


@pytest.mark.parametrize("asked", ["abc-1", "A.b:c_9", "x" * 128])
def test_a_sane_request_id_is_taken(server: Probed, asked: str) -> None:
    with server.client() as client:
        answer = client.get("/nope", headers={"x-request-id": asked})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == asked


@pytest.mark.parametrize("asked", ["", "a b", "x" * 129, "a;b", "<script>", "é".encode("latin-1")])
def test_another_one_is_made(server: Probed, asked: str | bytes) -> None:
    with server.client() as client:
        answers = [client.get("/health/live", headers=[(b"x-request-id", asked)]) for _ in range(2)]
    made = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(made)) == 2
    assert all(len(one) == 32 for one in made)


def test_each_request_is_told_of_by_its_route_and_never_by_its_path(
    server: Probed, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "bri_assets"), server.client() as client:
        client.get("/probe/error/VideoNotFound", headers={"x-request-id": "told-1"})
        client.get("/secret/path", headers={"x-request-id": "told-2"})
        client.get("/probe/boom", headers={"x-request-id": "told-3"})
        client.get("/health/live")  # the line of the request before is written once this one is answered
    lines = {line["request_id"]: line for line in _lines(caplog, "request") if line["request_id"].startswith("told")}
    seen = {name: (line["method"], line["route"], line["status"], line["caller"]) for name, line in lines.items()}
    assert seen == {
        "told-1": ("GET", "/probe/error/{name}", 404, "anonymous"),
        "told-2": ("GET", "unknown", 404, "anonymous"),
        "told-3": ("GET", "/probe/boom", 500, "anonymous"),
    }
    assert all(line["ms"] >= 0 for line in lines.values())
    # What went wrong inside stands in the log, under the same id.
    (boom,) = _lines(caplog, "a request failed")
    assert boom["request_id"] == "told-3"
    assert "/secret/path" not in str([record.msg for record in caplog.records])


def test_requests_are_counted_by_route(server: Probed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = server.services.settings.model_copy(update={"home": tmp_path})
    monkeypatch.setattr(process._process, "recorder", Recorder(settings.metrics_dir))
    with server.client() as client:
        client.get("/probe/error/VideoNotFound")
        client.get("/probe/error/VideoNotFound")
        client.request("BREW", "/probe/error/VideoNotFound")
        client.get("/health/live")
    told = exposition(settings).decode()
    route = 'route="/probe/error/{name}"'
    assert f'bri_http_requests_total{{method="GET",{route},status="404"}} 2.0' in told
    assert f'bri_http_requests_total{{method="OTHER",{route},status="405"}} 1.0' in told
    assert f'bri_http_request_duration_seconds_count{{method="GET",{route}}} 2.0' in told


def test_pages_of_a_named_origin_may_ask(server: Probed) -> None:
    asks = {
        "origin": PAGE,
        "access-control-request-method": "DELETE",
        "access-control-request-headers": "authorization",
    }
    with server.client() as client:
        allowed = client.options("/probe/admin", headers=asks)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == PAGE
        assert "DELETE" in allowed.headers["access-control-allow-methods"]
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        answer = client.get("/nope", headers={"origin": PAGE})
        assert answer.status_code == 404
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
        strange = client.options("/probe/admin", headers=asks | {"access-control-request-method": "BREW"})
        assert (strange.status_code, strange.headers["content-type"]) == (400, MEDIA_TYPE)
        for origin in ("https://evil.example", f"{PAGE}.evil.example", "null"):
            refused = client.options("/probe/admin", headers=asks | {"origin": origin})
            assert (refused.status_code, refused.json()["code"]) == (403, "origin_refused")
            assert "access-control-allow-origin" not in refused.headers


def test_by_default_no_page_may_ask_but_the_servers_own(tmp_path: Path) -> None:
    with probed(tmp_path) as server, server.client() as client:
        assert client.get("/health/live", headers={"origin": PAGE}).status_code == 403
        own = client.get("/health/live", headers={"origin": server.url})
        assert own.status_code == 200
        assert "access-control-allow-origin" not in own.headers


def test_the_server_answers_to_the_names_that_it_is_given(tmp_path: Path) -> None:
    with probed(tmp_path, serve_hosts="bri.example, [::1]") as server, server.client() as client:
        for host, status in (("bri.example", 200), ("BRI.example:8600", 200), ("[::1]:8600", 200), ("localhost", 421)):
            assert client.get("/health/live", headers={"host": host}).status_code == status
    with probed(tmp_path / "any", serve_hosts="*") as server, server.client() as client:
        assert client.get("/health/live", headers={"host": "whatever.example"}).status_code == 200


def test_the_document_says_how_every_error_looks(server: Probed) -> None:
    with server.client() as client:
        told = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in str(told)
    problem = told["components"]["responses"]["Problem"]["content"]
    assert problem == {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert {"FieldProblem", "Problem"} <= set(told["components"]["schemas"])
    operations = [operation for path in told["paths"].values() for operation in path.values()]
    assert len(operations) > 10
    for operation in operations:
        for status in ("400", "401", "403", "404", "413", "422", "429", "500", "503", "504"):
            assert operation["responses"][status] == {"$ref": "#/components/responses/Problem"}
    scheme = told["components"]["securitySchemes"]["HTTPBearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_not_ready_says_why_and_is_no_error_of_the_index(server: Probed) -> None:
    with server.client() as client:
        ready = client.get("/health/ready")
        assert ready.status_code == 200, ready.text
        looks = {look["name"]: look for look in ready.json()["looks"]}
        assert looks["store"]["ok"]
        assert not looks["embedder"]["ok"]
        assert not looks["embedder"]["needed"]
        assert not looks["index"]["needed"]


def test_a_full_disk_is_not_ready(tmp_path: Path) -> None:
    with probed(tmp_path, disk_free_min=0.999999) as server, server.client() as client:
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.headers["content-type"]) == (503, MEDIA_TYPE)
        assert answer.json()["code"] == "not_ready"
        assert [one["loc"] for one in answer.json()["errors"]] == [["disk"]]
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/health/live").status_code == 200


def _lines(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    told = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [line for line in told if line["event"] == event]


def test_each_request_is_a_span_and_nobody_waits_for_the_collector(
    server: Probed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as far, server.client() as client:
        for name, value in far.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(process._process, "tracer", traces.Tracer())
        assert client.get("/probe/error/VideoNotFound").status_code == 404
        assert client.get("/probe/boom").status_code == 500
        deadline = time.monotonic() + PATIENCE_S
        while len(far.spans) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    spans = {span.name: span for span in far.spans}
    assert set(spans) == {"GET /probe/error/{name}", "GET /probe/boom"}
    assert [spans[name].failed for name in sorted(spans)] == [True, False]
    assert spans["GET /probe/boom"].attributes["http.response.status_code"] == 500
    assert len({span.trace for span in far.spans}) == 2
    assert all(span.parent == "" and span.ended_s >= span.began_s for span in far.spans)
