"""The API in the test's own process, over a store that this process owns as `bri serve` does; and that itself."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.testclient import TestClient

from bri_assets.serve.api.app import build_app
from bri_assets.serve.owner import groups_of
from bri_assets.serve.services import Services
from bri_assets.settings import Settings
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.owned import OwnedFile
from bri_assets_tests.commands import ROOT, Bri

__all__ = ["Api", "api", "listening", "served"]

PATIENCE_S = 120.0


@dataclass(frozen=True)
class Api:
    """An API and a client of it.

    Args:
        services: what it works with; the test may change the store through them.
        client: of the API.
    """

    services: Services
    client: TestClient

    def get(self, path: str, **asked: Any) -> Any:
        """What is answered to a GET below ``/v1``, which must be 200."""
        found = self.client.get(f"/v1{path}", params=asked or None)
        assert found.status_code == 200, found.text
        return found.json()

    def post(self, path: str, body: Any) -> Any:
        """What is answered to a POST below ``/v1``, which must be 200 or 201."""
        found = self.client.post(f"/v1{path}", json=body)
        assert found.status_code in (200, 201), found.text
        return found.json()

    def refused(self, path: str, **asked: Any) -> tuple[int, str]:
        """Status and code of a GET that is refused, whose answer must be the envelope of errors."""
        found = self.client.get(f"/v1{path}", params=asked or None)
        assert found.headers["content-type"] == "application/problem+json", found.text
        told = found.json()
        assert told["status"] == found.status_code
        return found.status_code, told["code"]


@contextmanager
def api(home: Path, **settings: Any) -> Iterator[Api]:
    """An API over the store of a home, which must have one; it trusts whoever asks, unless ``serve_auth`` is ``on``.

    Args:
        home: BRI_HOME.
        **settings: fields of ``Settings``; nobody is kept from asking often unless they say so.
    """
    set_up = Settings(home=home, **{"serve_rate": "1000000/second"} | settings)
    with OwnedFile.owning(StoreFile.of(set_up), set_up.read_cursors) as owned:
        services = Services.of(set_up, groups_of(owned, set_up), trusting=set_up.serve_auth == "auto")
        with TestClient(build_app(services), "http://localhost", raise_server_exceptions=False) as client:
            yield Api(services, client)
        services.answers.close()
        services.threads.close()


@contextmanager
def listening(home: Path, **settings: Any) -> Iterator[tuple[Api, str]]:
    """The same, on a port of loopback besides, by a real server; yields its address too."""
    with api(home, **settings) as made, socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(made.client.app, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield made, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def served(bri: Bri, log: Path) -> Iterator[str]:
    """`bri serve` on a free port for the time of the block; yields its address."""
    with log.open("wb") as said:
        command = [*bri.command, "serve", "--port", "0"]
        process = subprocess.Popen(command, env=bri.environment, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + PATIENCE_S
        while not (found := re.search(r"The API is at (http://\S+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield found[1]
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
