"""uvicorn's server as the owner of the store runs it: several in one event loop, told to stop by the owner alone.

What does not belong here: what they answer (``owner``, ``public``).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

__all__ = ["Server", "serve_all"]


class Server(uvicorn.Server):
    """A server on a socket that listens already; whoever makes it sets ``should_exit``.

    Args:
        app: what it serves.
        listener: where.
        lifespan: whether the application has something to do before it serves, and after.
        grace_s: how long requests may go on when it is told to stop, in seconds; None for as long as they take.
        most_header_bytes: of a request, until its connection is cut.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        lifespan: bool = False,
        grace_s: int | None = None,
        most_header_bytes: int | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            http="h11",  # the one of uvicorn's parsers that bounds what it keeps of a request that never ends
            ws="none",
            lifespan="on" if lifespan else "off",
            log_config=None,
            access_log=False,
            server_header=False,
            # Callers are told by their address: no header of theirs may say another.
            proxy_headers=False,
            timeout_graceful_shutdown=grace_s,
            h11_max_incomplete_event_size=most_header_bytes,
            backlog=1024,
        )
        super().__init__(config)
        self.listener = listener

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the owner: of several servers, each would take them from the others."""
        yield


async def serve_all(servers: Sequence[Server]) -> None:
    """Serve until every server was told to stop and has."""
    await asyncio.gather(*(server.serve(sockets=[server.listener]) for server in servers))
