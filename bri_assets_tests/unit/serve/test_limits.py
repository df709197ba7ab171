"""Limits that take more than one request to meet: streams, uploads, work at once, and how often somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bri_assets_tests.unit.serve.probes import Probed, envelope, probed
from bri_assets_tests.unit.serve.test_problems import MOST_BYTES, TIGHT


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    with probed(tmp_path_factory.mktemp("served"), **TIGHT) as found:
        yield found


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    """One that wants tokens, and lets nobody ask more than five times."""
    with probed(tmp_path_factory.mktemp("locked"), trusting=False, serve_rate="5/hour") as found:
        yield found


def test_a_half_answer_is_never_taken_for_a_whole_one(server: Probed) -> None:
    with server.client() as client, pytest.raises(httpx.RemoteProtocolError):
        client.get("/probe/half")


def test_a_stream_of_events_may_outlast_the_time_limit(tmp_path: Path) -> None:
    with probed(tmp_path, serve_timeout_s=0.4) as server, server.client() as client:
        assert client.get("/probe/events").text.count("data:") == 3


def test_a_stream_that_never_ends_does_not_keep_the_server_from_ending(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with probed(tmp_path) as server:
            client = stack.enter_context(server.client())
            events = stack.enter_context(client.stream("GET", "/probe/for-ever"))
            parts = events.iter_text()
            assert next(parts) == "data: 0\n\n"
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)


def test_uploads_have_limits_of_their_own(server: Probed) -> None:
    with server.client() as client:
        body = (b"x" * 10_000 for _ in range(MOST_BYTES // 5_000))
        assert client.post("/v1/uploads/probe", content=body).json() == MOST_BYTES * 2


def test_a_body_of_just_the_size_is_taken(server: Probed) -> None:
    with server.client() as client:
        assert client.post("/probe/swallow", content=b"x" * MOST_BYTES).json() == MOST_BYTES


def test_too_much_work_at_once_is_sent_away_for_a_moment(tmp_path: Path) -> None:
    with (
        probed(tmp_path, **TIGHT | {"serve_timeout_s": 60}) as server,
        ThreadPoolExecutor(4) as pool,
        server.client() as client,
    ):
        at_work = [pool.submit(client.get, "/probe/work") for _ in range(2)]
        for _ in at_work:
            assert server.at_work.acquire(timeout=60)
        # Two work, one may wait: of two more, one is sent away and one is answered when there is room.
        more = [pool.submit(client.get, "/probe/work") for _ in range(2)]
        (away,) = wait(more, timeout=60, return_when=FIRST_COMPLETED).done
        told = envelope(away.result(), "/probe/work")
        assert (told.status, told.code) == (503, "server_busy")
        assert away.result().headers["retry-after"] == "1"
        server.go_on.set()
        answers = sorted(one.result().status_code for one in (*at_work, *more))
        assert answers == [200, 200, 200, 503]
        assert client.get("/probe/work").json().startswith("serve")


def test_an_owner_that_was_written_past_is_told_by_the_api_too(tmp_path: Path) -> None:
    with probed(tmp_path) as server, server.client() as client:
        assert envelope(client.get("/probe/intruded"), "/probe/intruded").status == 503
        assert server.intruded.is_set()


def test_who_asks_too_often_is_told_when_to_ask_again_and_others_are_not(locked: Probed) -> None:
    mine, other = locked.token("read", "mine"), locked.token("read", "other")
    with locked.client(mine) as client:
        left = [client.get("/probe/read").headers["ratelimit-remaining"] for _ in range(6)]
        refused = client.get("/probe/read")
        told = envelope(refused, "/probe/read")
        assert (told.status, told.code) == (429, "too_many_requests")
        assert 0 < int(refused.headers["retry-after"]) <= 3600
        assert refused.headers["ratelimit-limit"] == "5"
        assert sorted(left, reverse=True)[-1] == "0"
        for free in ("/health", "/health/live", "/health/ready", "/metrics"):
            assert client.get(free).status_code == 200
    with locked.client(other) as client:
        assert client.get("/probe/read").status_code == 200
    # Who guesses tokens counts by address, and is sent away before the store is asked.
    statuses = []
    for guess in range(8):
        with locked.client(f"bri_guess{guess}") as client:
            statuses.append(client.get("/probe/read").status_code)
    assert statuses[-1] == 429
    assert set(statuses) == {401, 429}
