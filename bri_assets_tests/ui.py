"""`make ui` as a person starts it: webserver, daemon, code server and owner on loopback, with a home of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bri_assets_tests.commands import ROOT, Bri

__all__ = ["PATIENCE_S", "Ui", "running_ui"]

#: From a cold start to a commit with everything else busy; a quiet machine needs a quarter of it.
PATIENCE_S = 240

T = TypeVar("T")


class Ui:
    """A running `make ui`."""

    def __init__(self, bri: Bri, port: int) -> None:
        self.bri, self.port = bri, port

    @property
    def url(self) -> str:
        """Where its pages are."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, **variables: Any) -> Any:
        """One GraphQL query, as the pages make it."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def wait_for(self, what: str, ready: Callable[[], T]) -> T:
        """Ask until there is an answer; fails with the store's state where there is none in time."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = ready()
            if found:
                return found
            time.sleep(1)
        raise AssertionError(f"{what} did not come about in {PATIENCE_S} s: {self.bri.store.status()}")

    def runs(self, **filter_by: Any) -> list[dict[str, Any]]:
        """Runs that a filter of GraphQL's ``RunsFilter`` lets through, newest first."""
        query = """query ($filter: RunsFilter!) { runsOrError(filter: $filter) {
                     ... on Runs { results { runId jobName status tags { key value } } } } }"""
        found: list[dict[str, Any]] = self.ask(query, filter=filter_by)["runsOrError"]["results"]
        return found


@contextmanager
def running_ui(bri: Bri, log: Path) -> Iterator[Ui]:
    """Start it, wait until it answers, and stop it as Ctrl-C does.

    Args:
        bri: the home, with the settings that it is started with.
        log: where it writes what it says.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as said:
        server = subprocess.Popen(
            ["make", "-o", ".venv/.installed", "ui", f"PORT={port}"],
            cwd=ROOT,
            env=bri.environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    opened = Ui(bri, port)
    try:
        opened.wait_for("the webserver", lambda: _answers(opened, server, log))
        yield opened
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        opened.wait_for("the end of the owner", lambda: bri.store.file.owner() is None)


def _answers(opened: Ui, server: subprocess.Popen[bytes], log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    try:
        return bool(opened.ask("{ version }"))
    except OSError:
        return False
