"""Every error is the one envelope: each type of ours, each limit, each wrong request, on a real connection."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from bri_assets import errors
from bri_assets.errors import BriError
from bri_assets.serve.api.problems import STATUSES
from bri_assets_tests.unit.serve.probes import Probed, envelope, error_of, probed

#: Types that a route may raise.
TYPES = sorted(name for name in errors.__all__ if name != "BriError")

MOST_BYTES = 200_000

#: Settings under which each limit can be met in a moment.
TIGHT = {
    "read_timeout_s": 0.3,
    "serve_timeout_s": 2.0,
    "serve_body_mb": MOST_BYTES / 1e6,
    "serve_threads": 2,
    "serve_waiting": 1,
    "serve_rate": "100000/hour",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    with probed(tmp_path_factory.mktemp("served"), **TIGHT) as found:
        yield found


@pytest.mark.parametrize("name", TYPES)
def test_each_error_of_ours_has_a_status_and_tells_nothing_of_the_inside(server: Probed, name: str) -> None:
    kind: type[BriError] = getattr(errors, name)
    with server.client() as client:
        answer = client.get(f"/probe/error/{name}")
    told = envelope(answer, f"/probe/error/{name}")
    status = next((STATUSES[base] for base in kind.__mro__ if base in STATUSES), 500)
    assert told.status == status
    assert told.code.replace("_", "") == getattr(error_of(kind), "code", name.lower())
    assert ("happened." in told.detail) == (status < 500)
    assert ("retry-after" in answer.headers) == (name in {"ServerBusy", "StoreBusy", "OwnerGone", "BreakerOpen"})
    assert ("www-authenticate" in answer.headers) == (status in (401, 403))


def test_what_statuses_mean() -> None:
    """The table itself, where it must not change by accident."""
    assert {kind.__name__ for kind, status in STATUSES.items() if status == 404} == {
        "FrameNotFound",
        "MessageNotFound",
        "SourceMissing",
        "TokenNotFound",
        "UploadNotFound",
        "VersionNotFound",
        "VideoNotFound",
    }
    wanted = {
        "VideoDeleted": 410,
        "CursorWrong": 400,
        "RangeWrong": 422,
        "TokenNeeded": 401,
        "AccessDenied": 403,
        "UploadTooLarge": 413,
        "QueryTooSlow": 504,
        "ServerBusy": 503,
        "StoreBusy": 503,
        "StoreDamaged": 503,
        "StorageFailed": 507,
    }
    assert {name: STATUSES[getattr(errors, name)] for name in wanted} == wanted


def _chunked(client: httpx.Client) -> httpx.Response:
    return client.post("/probe/swallow", content=(b"x" * 10_000 for _ in range(MOST_BYTES // 10_000 + 1)))


def _slow_body(client: httpx.Client) -> httpx.Response:
    """The head of a request and a part of its body, and then nothing."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=60) as raw:
        raw.sendall(b"POST /probe/swallow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
        whole = b"".join(iter(lambda: raw.recv(65536), b""))
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
    return httpx.Response(int(lines[0].split()[1]), headers=headers, content=body)  # type: ignore[arg-type]


#: What is asked, and the status, code and headers of the answer.
WRONG: dict[str, tuple[Callable[[httpx.Client], httpx.Response], str, int, str, set[str]]] = {
    "unknown path": (lambda c: c.get("/nope"), "/nope", 404, "not_found", set()),
    "a path with a slash too many": (lambda c: c.get("/health/"), "/health/", 404, "not_found", set()),
    "a path that is no text": (lambda c: c.get("/nope/%ff%00"), "/nope/%EF%BF%BD%00", 404, "not_found", set()),
    "wrong method": (lambda c: c.put("/health"), "/health", 405, "method_not_allowed", {"allow"}),
    "a method that nobody knows": (
        lambda c: c.request("BREW", "/health"),
        "/health",
        405,
        "method_not_allowed",
        {"allow"},
    ),
    "values that cannot be": (
        lambda c: c.post("/probe/said", json={"text": "much too long", "number": 10}),
        "/probe/said",
        422,
        "request_wrong",
        set(),
    ),
    "no JSON": (
        lambda c: c.post("/probe/said", content=b"{", headers={"content-type": "application/json"}),
        "/probe/said",
        400,
        "json_wrong",
        set(),
    ),
    "a bug": (lambda c: c.get("/probe/boom"), "/probe/boom", 500, "internal", set()),
    "a body that says that it is too large": (
        lambda c: c.post("/probe/swallow", content=b"x" * (MOST_BYTES + 1)),
        "/probe/swallow",
        413,
        "content_too_large",
        set(),
    ),
    "a body that turns out to be": (_chunked, "/probe/swallow", 413, "content_too_large", set()),
    "a body that never ends": (_slow_body, "/probe/swallow", 408, "body_too_slow", {"connection"}),
    "headers that are too large": (
        lambda c: c.get("/health", headers={"x-much": "x" * 20_000}),
        "/health",
        431,
        "headers_too_large",
        set(),
    ),
    "a query that is too large": (
        lambda c: c.get("/health?x=" + "x" * 20_000),
        "/health",
        431,
        "headers_too_large",
        set(),
    ),
    "another name": (
        lambda c: c.get("/health", headers={"host": "evil.example"}),
        "/health",
        421,
        "host_refused",
        set(),
    ),
    "a name that only begins like ours": (
        lambda c: c.get("/health", headers={"host": "localhost.evil.example:80"}),
        "/health",
        421,
        "host_refused",
        set(),
    ),
    "a name with a user": (
        lambda c: c.get("/health", headers={"host": "localhost@evil.example"}),
        "/health",
        421,
        "host_refused",
        set(),
    ),
    "a page from elsewhere": (
        lambda c: c.post("/probe/swallow", headers={"origin": "http://evil.example"}),
        "/probe/swallow",
        403,
        "origin_refused",
        set(),
    ),
    "a sandboxed page": (
        lambda c: c.post("/probe/swallow", headers={"origin": "null"}),
        "/probe/swallow",
        403,
        "origin_refused",
        set(),
    ),
    "a token that nobody has": (
        lambda c: c.get("/probe/read", headers={"authorization": "Bearer bri_guess"}),
        "/probe/read",
        401,
        "token_needed",
        {"www-authenticate"},
    ),
    "an authorization that is none": (
        lambda c: c.get("/probe/read", headers={"authorization": "Basic YTpi"}),
        "/probe/read",
        401,
        "token_needed",
        {"www-authenticate"},
    ),
    "a query of the store that takes too long": (
        lambda c: c.get("/probe/query"),
        "/probe/query",
        504,
        "query_too_slow",
        set(),
    ),
    "a request that takes too long": (lambda c: c.get("/probe/hang"), "/probe/hang", 504, "too_slow", set()),
}


@pytest.mark.parametrize("what", WRONG)
def test_each_wrong_request_gets_the_envelope(server: Probed, what: str) -> None:
    ask, path, status, code, headers = WRONG[what]
    with server.client() as client:
        answer = ask(client)
        told = envelope(answer, path)
        assert (told.status, told.code) == (status, code)
        assert headers <= set(answer.headers)
        assert (told.errors is not None) == (status == 422 or code == "json_wrong")
        # The server, and where the answer does not say otherwise this connection, goes on.
        assert client.get("/health/live").status_code == 200


def test_what_is_wrong_is_told_value_by_value_without_the_values(server: Probed) -> None:
    with server.client() as client:
        answer = client.post("/probe/said", json={"text": "secret words", "number": 10})
    told = envelope(answer, "/probe/said")
    assert {tuple(one.loc) for one in told.errors or ()} == {("body", "text"), ("body", "number")}
    assert "secret words" not in answer.text
