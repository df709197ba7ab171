"""`bri serve` as a person runs it: a supervisor, an owner with the API, clients that go on through a restart."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from bri_assets.store import NewUpload
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, open_store, rows, stage
from bri_assets_tests.commands import ROOT, Bri

PATIENCE_S = 120.0

UPLOAD = NewUpload("/uploads/holiday.mp4", "holiday.mp4", "1-2-3-4-5", 1000, SOURCE_SHA256, VIDEO_ID)

TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
MCP_HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-06-18"}

#: What an owner that has no API must not import.
HEAVY = ("fastapi", "lancedb", "mcp", "torch", "transformers", "dagster", "limits", "sse_starlette")


@dataclass
class Served:
    """A `bri serve` that runs.

    Args:
        bri: the home.
        process: the supervisor.
        log: what it and its owner say.
    """

    bri: Bri
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Where its API is; waits until it says so."""
        until(lambda: self._found() or self.process.poll() is not None)
        found = self._found()
        assert found, self.log.read_text()
        return found

    @property
    def owner(self) -> psutil.Process:
        """The process that owns the store now; waits until there is one."""
        until(lambda: len(self._children()) == 1)
        (found,) = self._children()
        return found

    def client(self, **options: Any) -> httpx.Client:
        """A client that waits patiently."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S, **options)

    def lines(self) -> list[dict[str, Any]]:
        """The lines of its log, which is JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def told(self, number: int) -> int:
        """Tell it something by a signal, and wait for its end."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def _found(self) -> str | None:
        found = re.search(r"The API is at (http://\S+)", self.log.read_text())
        return found[1] if found else None

    def _children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


@dataclass
class Load:
    """Clients that ask without a pause, in threads.

    Args:
        ask: one request; returns the status.
        clients: at once.
    """

    ask: Callable[[], int]
    clients: int
    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[BaseException] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def going(self) -> Iterator[None]:
        """Ask for the time of the block."""
        threads = [threading.Thread(target=self._go) for _ in range(self.clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def more(self, than: int = 50) -> None:
        """Wait until so many more were answered."""
        goal = self.statuses.total() + than
        until(lambda: self.statuses.total() >= goal or self.errors)

    def _go(self) -> None:
        while not self._over.is_set():
            try:
                status = self.ask()
            except Exception as error:  # noqa: BLE001 - what a client met is what the test looks at
                with self._lock:
                    self.errors.append(error)
                return
            with self._lock:
                self.statuses[status] += 1


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def serving(home: Path, *arguments: str, **settings: str) -> Iterator[Served]:
    """Run `bri serve` for the time of the block, on any port."""
    variables = {"BRI_SERVE_RATE": "1000000/second", "BRI_LOG_FORMAT": "json", "BRI_DISK_FREE_MIN": "0"}
    bri = Bri(home, variables | {"BRI_DISK_FREE_MIN_GB": "0"} | settings)
    log = home.with_name(f"{home.name}.log")
    command = [*bri.command, "serve", *(arguments or ("--port", "0"))]
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=bri.environment, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
    served = Served(bri, process, log)
    try:
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one video."""
    home = tmp_path_factory.mktemp("served") / "data"
    home.mkdir()
    store = open_store(home)
    store.commit(stage(home, rows(home)), run_id="run-1", channel="test")
    return home


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    with serving(home, BRI_METRICS="on") as found:
        yield found


def test_it_answers_rest_mcp_and_whoever_needs_the_store(served: Served) -> None:
    with served.client() as client:
        ready = client.get("/health/ready")
        assert ready.status_code == 200, ready.text
        library = client.get("/v1/videos", headers={"x-request-id": "mine-1"})
        assert library.status_code == 200, library.text
        assert len(library.json()["items"]) == 1
        tools = client.post("/mcp", json=TOOLS, headers=MCP_HEADERS)
        assert "search" in {tool["name"] for tool in tools.json()["result"]["tools"]}
        assert client.get("/nope").headers["content-type"] == "application/problem+json"
        metrics = client.get("/metrics").text
        assert 'bri_http_requests_total{method="GET",route="/v1/videos",status="200"} 1.0' in metrics
        assert "bri_store_up 1.0" in metrics
    assert served.bri.store.file.owner() is not None
    assert served.bri.store.video("holiday")["video"]["version"] == 1
    (line,) = [line for line in served.lines() if line.get("request_id") == "mine-1"]
    assert (line["event"], line["route"], line["status"], line["caller"]) == ("request", "/v1/videos", 200, "anonymous")


def test_a_second_one_and_a_taken_port_are_refused_clearly(served: Served, tmp_path: Path) -> None:
    assert "is owned already" in served.bri("serve", exits=1)
    port = served.url.rsplit(":", 1)[1]
    said = Bri(tmp_path / "other")("serve", "--port", port, exits=1)
    assert f"127.0.0.1 port {port}: the server cannot listen there: Address already in use" in said


def test_a_restart_in_mid_load_costs_latency_only(served: Served) -> None:
    """Clients with connections that stay, clients with one a request, and the pipeline's way: none meets an error."""
    store, before = served.bri.store, served.owner.pid
    kept = Load(_with_own_client(served, lambda client: client.get("/v1/videos").status_code), 4)
    fresh = Load(lambda: httpx.get(f"{served.url}/health/ready", timeout=PATIENCE_S).status_code, 2)
    piped = Load(lambda: int(store.video("holiday")["video"]["version"]), 2)
    with kept.going(), fresh.going(), piped.going():
        for _ in range(2):
            kept.more()
            owner = served.owner.pid
            served.process.send_signal(signal.SIGHUP)
            until(lambda owner=owner: served._children() and owner not in [one.pid for one in served._children()])
            for load in (kept, fresh, piped):
                load.more()
    for load in (kept, fresh, piped):
        assert not load.errors, load.errors[:3]
    assert set(kept.statuses) == set(fresh.statuses) == {200}
    assert set(piped.statuses) == {1}
    assert served.owner.pid != before
    assert served.process.poll() is None


def test_a_killed_owner_in_mid_load_costs_a_retry_and_latency(served: Served) -> None:
    store, resets = served.bri.store, Counter[str]()

    def read(client: httpx.Client) -> int:
        for _ in range(3):
            try:
                return client.get("/v1/videos").status_code
            except (httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError) as error:
                resets[type(error).__name__] += 1
        raise AssertionError("the connection was cut three times")

    kept = Load(_with_own_client(served, read), 4)
    piped = Load(lambda: int(store.video("holiday")["video"]["version"]), 2)
    with kept.going(), piped.going():
        for _ in range(2):
            kept.more()
            served.owner.kill()
            kept.more()
            piped.more(5)
    assert not kept.errors, kept.errors[:3]
    assert not piped.errors, piped.errors[:3]
    assert set(kept.statuses) == {200}
    assert resets.total() > 0  # it was killed while they asked
    assert "ended with status -9; it is started again" in served.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_though_streams_and_idle_connections_are_open(tmp_path: Path, number: int) -> None:
    with serving(tmp_path / "data") as served, served.client() as idle, served.client() as client:
        owner = served.owner
        assert idle.get("/health/live").status_code == 200
        served.bri.store.claim(UPLOAD, requested_by="test")
        with client.stream("GET", f"/v1/uploads/{UPLOAD.upload_id}/events") as events:
            lines = events.iter_lines()
            assert any(line == "event: progress" for line in lines)
            assert served.told(number) == 0
            assert not list(lines)[5:]  # the stream came to an end of its own
        assert not owner.is_running()
        assert served.bri.store.file.owner() is None


def test_who_owns_the_store_alone_imports_nothing_of_the_api(tmp_path: Path) -> None:
    script = f"""
import os, signal, sys, threading, time
from bri_assets.serve import owner
from bri_assets.settings import Settings
from bri_assets.store import StoreFile
def stop():
    while StoreFile.of(Settings()).owner() is None:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=stop).start()
owner.main()
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    bri = Bri(tmp_path / "data")
    (bri.home / "store").mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", script], env=bri.environment, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_network_is_listened_to_only_with_a_token(tmp_path: Path) -> None:
    bri = Bri(tmp_path / "data")
    said = bri("serve", "--host", "0.0.0.0", "--port", "0", exits=1)
    assert "nobody has a token" in said
    assert "bri tokens create" in said
    secret = re.search(r"bri_\S+", bri("tokens", "create", "me", "--scope", "read"))
    assert secret
    with serving(bri.home, "--host", "0.0.0.0", "--port", "0") as served:
        port = served.url.rsplit(":", 1)[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            assert client.get("/v1/videos").status_code == 401
            found = client.get("/v1/videos", headers={"authorization": f"Bearer {secret[0]}"})
            assert found.status_code == 200


def test_on_loopback_tokens_may_be_asked_for_too(tmp_path: Path) -> None:
    with serving(tmp_path / "data", BRI_SERVE_AUTH="on") as served, served.client() as client:
        assert client.get("/v1/videos").status_code == 401
        assert client.get("/health/live").status_code == 200


def _with_own_client(served: Served, ask: Callable[[httpx.Client], int]) -> Callable[[], int]:
    """The same request, by a client of each thread's own, whose connection stays open."""
    own = threading.local()

    def call() -> int:
        if not hasattr(own, "client"):
            own.client = httpx.Client(base_url=served.url, timeout=PATIENCE_S)
        return ask(own.client)

    return call
