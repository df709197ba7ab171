"""The API within the owner of the store: on a listening socket that outlives this process.

Whoever keeps the socket (``supervisor``) lets connections queue while one such process follows another; so an end must
lose no request of a connection that is open. What does not belong here: the application (``api``).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bri_assets import telemetry
from bri_assets.errors import BriError
from bri_assets.search.vectors import embedder_of
from bri_assets.serve.api.app import build_app
from bri_assets.serve.api.limits import MOST_HEADER_BYTES
from bri_assets.serve.follower import following
from bri_assets.serve.loop import Server
from bri_assets.serve.services import Services
from bri_assets.settings import Settings
from bri_assets.store.access.operations import Operations

__all__ = ["load_models", "public"]

#: How long connections get for their next request, which is told to be the last, in seconds.
_DRAIN_S = 1.0

#: How long requests may go on then, in seconds.
_GRACE_S = 5

#: Longest turn of a thread that runs Python, in seconds; Python's own default is ten times this.
_TURN_S = 0.0005

log = telemetry.logger(__name__)


class _Public(Server):
    """The server of the API."""

    def __init__(self, services: Services, listener: socket.socket) -> None:
        super().__init__(
            build_app(services),
            listener,
            lifespan=True,
            grace_s=_GRACE_S,
            most_header_bytes=4 * MOST_HEADER_BYTES,
        )
        self._services = services

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and let those that are open end with an answer that says so.

        A connection that is closed between two requests may be closed just while the next is on its way, and the
        client cannot know whether that one was carried out.
        """
        self._services.stopping.set()
        for server in self.servers:
            server.close()
        until = time.monotonic() + _DRAIN_S
        while self.server_state.connections and time.monotonic() < until:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


@contextmanager
def public(
    settings: Settings,
    groups: Mapping[str, Operations],
    listener: socket.socket,
    intruded: Callable[[], None],
) -> Iterator[Server]:
    """A server of the API, and what works beside it, for the time of the block.

    Args:
        settings: of the process.
        groups: the owner's operations.
        listener: where it is asked.
        intruded: is called when the database turns out to have been written to by somebody else.
    """
    host = listener.getsockname()[0]
    trusting = settings.serve_auth == "auto" and ipaddress.ip_address(host).is_loopback
    services = Services.of(settings, groups, trusting=trusting, intruded=intruded)
    # A thread that comes back from the database waits for its turn to run Python, up to this long each time, while
    # another one (a commit that checks its rows) has it; a request comes back ten times.
    sys.setswitchinterval(_TURN_S)
    threading.Thread(target=_warm_up, args=[services], name="warm-up", daemon=True).start()
    with following(services):
        try:
            yield _Public(services, listener)
        finally:
            services.stopping.set()
            # Reads end in time by themselves, and a write must; the database is closed after this.
            services.threads.close()
            services.answers.close()


def load_models(settings: Settings) -> None:
    """Load the embedder, which takes seconds and needs no store; one that cannot be used is what searches tell of."""
    import torch

    # Questions are short: a second thread for each would only take turns with other questions.
    torch.set_num_threads(1)
    try:
        embedder_of(settings).embed(["warm"])
    except BriError as error:
        log.warning("the embedder is not ready", error=type(error).__name__, message=str(error))


def _warm_up(services: Services) -> None:
    """Load what the first search would wait for: the embedder, and the index."""
    began = time.perf_counter()
    load_models(services.settings)
    try:
        services.search.warm()
    except BriError as error:
        log.warning("the search is not ready", error=type(error).__name__, message=str(error))
    else:
        log.info("the search is ready", seconds=round(time.perf_counter() - began, 1))
