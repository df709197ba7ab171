"""Who may call what: every scope against every route, and how soon a token ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from bri_assets.store.tokens import Scope
from bri_assets_tests.unit.serve.probes import PATIENCE_S, Probed, probed

ROUTES = (("GET", "/probe/read"), ("POST", "/probe/write"), ("DELETE", "/probe/admin"))

#: Statuses of the three routes, by what the caller has.
MATRIX: dict[str | None, tuple[int, int, int]] = {
    None: (401, 401, 401),
    "read": (200, 403, 403),
    "write": (200, 200, 403),
    "admin": (200, 200, 200),
}

MCP_CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
MCP_HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-06-18"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    with probed(tmp_path_factory.mktemp("locked"), trusting=False) as found:
        yield found


@pytest.fixture(scope="module")
def tokens(server: Probed) -> dict[Scope | None, str | None]:
    scopes: tuple[Scope, ...] = ("read", "write", "admin")
    return {None: None} | {scope: server.token(scope, f"{scope}-er") for scope in scopes}


@pytest.mark.parametrize("scope", MATRIX)
def test_what_each_scope_allows(server: Probed, tokens: dict[str | None, str | None], scope: str | None) -> None:
    with server.client(tokens[scope]) as client:
        answers = [client.request(method, path) for method, path in ROUTES]
    assert tuple(answer.status_code for answer in answers) == MATRIX[scope]
    for answer in answers:
        if answer.status_code == 200:
            assert answer.json() == f"api/{scope}-er"
        else:
            told = answer.headers["www-authenticate"]
            assert told == ('Bearer realm="bri"' if scope is None else 'Bearer realm="bri", error="insufficient_scope"')


def test_what_anybody_may_ask(server: Probed) -> None:
    with server.client() as client:
        for path in ("/health", "/health/live", "/health/ready", "/openapi.json"):
            assert client.get(path).status_code == 200
        assert client.get("/metrics").status_code == 401


def test_mcp_needs_a_token_too(server: Probed, tokens: dict[str | None, str | None]) -> None:
    with server.client() as client:
        answer = client.post("/mcp", json=MCP_CALL, headers=MCP_HEADERS)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_needed")
        assert client.get("/mcp").status_code == 405
    with server.client(tokens["read"]) as client:
        answer = client.post("/mcp", json=MCP_CALL, headers=MCP_HEADERS)
        assert answer.status_code == 200, answer.text
        assert answer.json()["result"]["tools"]
        refused = client.post("/mcp", json=MCP_CALL, headers=MCP_HEADERS | {"host": "evil.example"})
        assert refused.status_code == 421


def test_on_loopback_nobody_needs_a_token_but_a_wrong_one_is_refused(tmp_path: Path) -> None:
    with probed(tmp_path) as server:
        with server.client() as client:
            answers = [client.request(method, path) for method, path in ROUTES]
            assert [answer.json() for answer in answers] == ["api/anonymous"] * 3
        with server.client("bri_wrong") as client:
            assert client.get("/probe/read").status_code == 401
        with server.client(server.token("read", "reader")) as client:
            assert client.get("/probe/read").json() == "api/reader"
            assert client.post("/probe/write").status_code == 403


def test_a_token_that_is_revoked_or_over_ends_soon_and_one_that_is_new_holds_at_once(server: Probed) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=2)
    created = server.services.tokens.create("short", "read", ends, channel="test")
    revoked = server.token("read", "to-revoke")
    with server.client(revoked) as first, server.client(created.secret) as second:
        assert first.get("/probe/read").status_code == 200
        server.services.tokens.revoke("to-revoke", channel="test")
        for client in (first, second):
            _until_refused(client)
    again = server.token("read", "to-revoke")
    with server.client(again) as client:
        assert client.get("/probe/read").status_code == 200


def test_two_authorizations_are_none(server: Probed, tokens: dict[str | None, str | None]) -> None:
    secret = tokens["admin"]
    headers = [("authorization", f"Bearer {secret}"), ("authorization", "Bearer other")]
    with httpx.Client(base_url=server.url, headers=headers) as client:
        assert client.get("/probe/read").status_code == 401


def _until_refused(client: httpx.Client) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while client.get("/probe/read").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    answer = client.get("/probe/read")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_needed")
