"""An upload's whole way over HTTP: sent to `bri serve`, followed while Dagster's daemon has it made, and read."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest

from bri_assets.schemas import STAGED_TABLES
from bri_assets_tests.clips import make_clip, make_text
from bri_assets_tests.commands import ROOT, Bri
from bri_assets_tests.integration.conftest import SAMPLE

#: From a cold start to a commit with everything else busy.
PATIENCE_S = 300.0

DAEMON = [sys.executable, "-m", "dagster._daemon", "run", "--module-name", "bri_assets.definitions"]

T = TypeVar("T")


@contextmanager
def started(command: list[str], bri: Bri, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command for the time of the block, and stop it as Ctrl-C does."""
    with log.open("w") as said:
        process = subprocess.Popen(command, cwd=ROOT, env=bri.environment, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def bri(light_variables: dict[str, str], tmp_path: Path) -> Bri:
    home = tmp_path / "data"
    variables = {
        "BRI_SETTLE_S": "1",
        "BRI_DISK_FREE_MIN": "0",
        "BRI_DISK_FREE_MIN_GB": "0",
        "DAGSTER_HOME": str(home / "dagster"),
    }
    return Bri(home, light_variables | variables)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "serve.log"


@pytest.fixture
def server(bri: Bri, log: Path) -> Iterator[psutil.Process]:
    """`bri serve` on a port of its own."""
    with started([*bri.command, "serve", "--port", "0"], bri, log) as process:
        yield psutil.Process(process.pid)


@pytest.fixture
def client(server: psutil.Process, log: Path) -> Iterator[httpx.Client]:
    def address() -> str | None:
        assert server.is_running(), log.read_text()
        found = re.search(r"The API is at (http://\S+)", log.read_text())
        return found.group(1) if found else None

    with httpx.Client(base_url=until("the address", address), timeout=PATIENCE_S) as opened:
        until("an answer", lambda: opened.get("/health/live").status_code == 200)
        yield opened


def until(what: str, ready: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = ready()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come about in {PATIENCE_S:g} s")


def events(client: httpx.Client, url: str) -> list[tuple[str, dict[str, Any]]]:
    """Every event of a stream until it ends, connecting again as a browser would where it breaks off."""
    found: list[tuple[str, dict[str, Any]]] = []
    last, kind, deadline = "", "", time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with client.stream("GET", url, headers={"Last-Event-ID": last}) as response:
            if response.status_code == 204:
                return found
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    last = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    found.append((kind, json.loads(value)))
    raise AssertionError(f"the stream did not end: {found[-1:]}")


@pytest.mark.timeout(700)
def test_a_video_that_is_sent_is_followed_to_its_commit_and_read(
    client: httpx.Client, bri: Bri, tmp_path: Path
) -> None:
    sent = client.put("/v1/uploads/tour.mp4", content=SAMPLE.read_bytes())
    assert sent.status_code == 202, sent.text
    told = sent.json()
    # Nobody is there yet who would start its run, and it says so.
    assert "Start the daemon" in told["hint"]
    refused = client.put("/v1/uploads/notes.mp4", content=make_text(tmp_path / "notes.mp4").read_bytes())
    assert refused.status_code == 415
    with ExitStack() as stack:
        daemon_log = tmp_path / "daemon.log"
        stack.enter_context(started(DAEMON, bri, daemon_log))
        seen = events(client, told["events_url"])
        assert seen[-1][0] == "committed", (seen[-1], daemon_log.read_text()[-4000:])
        video_id = seen[-1][1]["upload"]["video_id"]
        # Sent again, it is known; and its stream has only its end to tell.
        again = client.put("/v1/uploads/tour.mp4", content=SAMPLE.read_bytes())
        assert (again.status_code, again.json()["hint"]) == (200, None)
        assert [kind for kind, _ in events(client, f"/v1/videos/{video_id}/events")] == ["committed"]
    states = [{one["stage"]: one["state"] for one in state["stages"]} for _, state in seen]
    assert states[0] == dict.fromkeys(states[0], "waiting")
    assert {table: states[-1][table] for table in STAGED_TABLES} == dict.fromkeys(STAGED_TABLES, "done")
    # At least one was seen while it worked, and what was done stayed so.
    assert any("running" in state.values() for state in states)
    for table in STAGED_TABLES:
        ways = [state[table] for state in states]
        assert "running" not in ways[ways.index("done") :]
    found = client.get(f"/v1/videos/{video_id}")
    assert found.status_code == 200, found.text
    assert bri.store.video(video_id)["video"]["version"] == 1
    assert client.get(f"/v1/videos/{video_id}/history").json()["versions"][0]["is_current"]
    status = client.get(told["status_url"]).json()
    assert (status["upload"]["state"], status["upload"]["attempts"], status["again"]) == ("committed", 1, None)


@pytest.mark.timeout(600)
def test_a_server_that_is_killed_in_mid_upload_leaves_nothing_that_anybody_takes_for_a_video(
    client: httpx.Client, server: psutil.Process, bri: Bri, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=2, audio="tone").read_bytes()
    uploads = bri.home / "uploads"
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=60) as connection:
        head = f"PUT /v1/uploads/clip.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(clip)}\r\n\r\n"
        connection.sendall(head.encode() + clip[: len(clip) // 2])
        until("the hidden file", lambda: [*uploads.glob(".copy-api-*")])
        (owner,) = server.children()
        owner.kill()
        assert connection.recv(1) == b""
    # New connections wait while the next owner starts.
    with httpx.Client(base_url=client.base_url, timeout=PATIENCE_S) as another:
        sent = another.put("/v1/uploads/clip.mp4", content=clip)
        assert sent.status_code == 202, sent.text
        assert len(another.get("/v1/uploads").json()["items"]) == 1
    assert [path.name for path in uploads.iterdir() if not path.name.startswith(".")] == ["clip.mp4"]
    assert (uploads / "clip.mp4").read_bytes() == clip
