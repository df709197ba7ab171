"""The real application on loopback, in the test's own process: uvicorn, the routes, and a store that is owned here."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn

from bri_assets.serve.api.app import build_app
from bri_assets.serve.owner import groups_of
from bri_assets.serve.services import Services
from bri_assets.settings import Settings
from bri_assets.store import Store, StoreFile
from bri_assets.store.access.operations import Operations
from bri_assets.store.access.owned import OwnedFile
from bri_assets_tests.bundles import open_store

__all__ = ["PATIENCE_S", "Listening", "audit", "eventually", "listening"]

#: How long a test waits for what comes about in another thread.
PATIENCE_S = 60.0

T = TypeVar("T")
G = TypeVar("G", bound=Operations)


@dataclass(frozen=True)
class Listening:
    """A server that answers.

    Args:
        services: what it works with.
        port: on loopback.
        server: to be told to stop.
    """

    services: Services
    port: int
    server: uvicorn.Server

    @property
    def settings(self) -> Settings:
        """Of the process."""
        return self.services.settings

    @property
    def store(self) -> Store:
        """Its store."""
        return self.services.store

    def group(self, kind: type[G]) -> G:
        """A group of its operations."""
        return self.services.group(kind)

    def client(self, **options: Any) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE_S, **options)

    def socket(self) -> socket.socket:
        """A bare connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def uploads(self) -> list[str]:
        """Names of what lies in ``uploads/``, hidden files too."""
        return sorted(path.name for path in self.settings.uploads_dir.iterdir())


@contextmanager
def listening(home: Path, **settings: Any) -> Iterator[Listening]:
    """Start a server with a home of its own, and stop it.

    Args:
        home: BRI_HOME.
        **settings: fields of ``Settings``.
    """
    open_store(home)
    # Whatever the disk of the machine that runs the tests has left.
    spacious = {"disk_free_min": 0.0, "disk_free_min_gb": 0.0}
    read = Settings(home=home, **{**spacious, **settings})
    read.uploads_dir.mkdir(parents=True, exist_ok=True)
    with OwnedFile.owning(StoreFile.of(read), read.read_cursors) as owned, socket.socket() as listener:
        services = Services.of(read, groups_of(owned, read))
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(build_app(services), http="h11", log_config=None, timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=[[listener]], name="listening")
        thread.start()
        try:
            eventually(lambda: server.started or not thread.is_alive())
            assert server.started
            yield Listening(services, listener.getsockname()[1], server)
        finally:
            services.stopping.set()
            server.should_exit = True
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def audit(server: Listening, action: str) -> list[str]:
    """Who did something, by the audit log, the newest first."""
    with server.store.file.reading() as connection:
        query = "SELECT actor FROM audit_log WHERE action = ? ORDER BY event_id DESC"
        return [actor for (actor,) in connection.execute(query, [action]).fetchall()]


def eventually(ready: Callable[[], T]) -> T:
    """What a function returns once that is true; fails where it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = ready()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come about in time")
