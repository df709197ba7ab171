"""The process that owns the store: it holds the database open, and carries out operations that arrive over its socket.

The socket lies beside the database, and only its user may use it; it is bound after the store was opened and found
whole, so whoever can connect is answered. What does not belong here: starting this process again (``supervisor``) and
what the operations do (``store``).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from anyio import CapacityLimiter, to_thread
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bri_assets import telemetry
from bri_assets.errors import BriError, StorageFailed
from bri_assets.processes import when_alone
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import GROUPS
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.operations import OPERATIONS, Operations
from bri_assets.store.access.owned import OwnedFile, StoreIntruded
from bri_assets.store.access.remote import ANSWERED, REFUSED, address_of, in_reach
from bri_assets.store.access.wire import PROTOCOL, pack, pack_error, signature_of, unpack

__all__ = ["INTRUDED", "application", "groups_of", "main"]

#: Exit status of an owner that found that somebody else wrote to its file.
INTRUDED = 75

#: Requests are small: they name what is staged.
_MOST_BYTES = 10 * 1024 * 1024

#: Requests that may be worked on or wait for their turn at once.
_MOST_REQUESTS = 200

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

#: By name, for this module runs as ``__main__``.
log = telemetry.logger("bri_assets.serve.owner")


def groups_of(owned: OwnedFile, settings: Settings) -> dict[str, Operations]:
    """One of each group of operations, by the name of its class, all on the same database."""
    staging = StagingArea(settings.staged_dir)
    return {group.__name__: group(settings.home, owned, staging) for group in GROUPS}


def application(groups: dict[str, Operations], intruded: Callable[[], None]) -> Starlette:
    """The application: ``POST /operation`` carries one out, ``GET /health`` says which version of the package answers.

    Args:
        groups: the operations' objects by the name of their class.
        intruded: is called when the database turns out to have been written to by somebody else.
    """
    # Whoever waits for a turn holds a thread; more of them than can wait would keep reads from their cursors.
    threads = CapacityLimiter(_MOST_REQUESTS)

    async def operation(request: Request) -> Response:
        body = await request.body()
        if len(body) > _MOST_BYTES:
            return PlainTextResponse(f"a request may have {_MOST_BYTES} bytes", 413)
        try:
            asked = unpack(body)
            protocol = asked["protocol"]
        except (ValueError, TypeError, KeyError) as error:
            return PlainTextResponse(f"this is no request of bri-assets: {error}", 400)
        if protocol != PROTOCOL:
            said = f"the owner runs bri-assets {PROTOCOL}, you run {protocol}: start the owner again"
            return PlainTextResponse(said, 400)
        return await to_thread.run_sync(_carry_out, groups, asked, intruded, limiter=threads)

    async def health(_request: Request) -> Response:
        return PlainTextResponse(PROTOCOL)

    return Starlette(routes=[Route("/operation", operation, methods=["POST"]), Route("/health", health)])


def _carry_out(groups: dict[str, Operations], asked: dict[str, Any], intruded: Callable[[], None]) -> Response:
    name = asked["operation"]
    body = OPERATIONS.get(name)
    if body is None:
        return PlainTextResponse(f"there is no operation {name}", 404)
    signature = signature_of(body)
    try:
        arguments = signature.arguments(asked["arguments"])
    except ValidationError as error:
        return PlainTextResponse(f"the arguments of {name} do not fit: {error}", 422)
    try:
        with telemetry.operation(name):
            found = body(groups[name.split(".")[0]], **arguments)
    except StoreIntruded as error:
        log.critical("%s", error)
        intruded()
        raise
    except BriError as error:
        return Response(pack_error(error), REFUSED)
    except Exception as error:
        log.exception("%s failed", name)
        return PlainTextResponse(f"{type(error).__name__}: {error}", 500)
    return Response(pack(signature.plain_result(found)), ANSWERED)


def main() -> None:
    """Own the store of this process's settings until a signal, or until the pipe on standard input closes.

    Exit status: 0 it was told to stop, 1 the store cannot be owned (the log says why), ``INTRUDED`` as it says.
    """
    settings = Settings()
    telemetry.configure(settings, level="info")
    try:
        _own(settings)
    except BriError as error:
        log.critical("%s", error)
        raise SystemExit(1) from error


def _own(settings: Settings) -> None:
    file = StoreFile.of(settings)
    with OwnedFile.owning(file, settings.read_cursors) as owned, _listening(file) as listener:
        groups = groups_of(owned, settings)
        config = uvicorn.Config(application(groups, _leave), log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)

        def stop(*_: object) -> None:
            server.should_exit = True

        when_alone(stop)
        # The server has handlers of its own while it serves, and raises the signal again when it has stopped: that must
        # not end the process before it has closed. One that comes before it serves must not be lost.
        for number in _SIGNALS:
            signal.signal(number, stop)
        log.info("owns %s", file.path)
        asyncio.run(server.serve(sockets=[listener]))


def _leave() -> None:
    # Closing the database would write this process's view of it over what somebody else wrote.
    os._exit(INTRUDED)


@contextmanager
def _listening(file: StoreFile) -> Iterator[socket.socket]:
    address = address_of(file.path)
    address.unlink(missing_ok=True)  # of an owner that died: the lock says that there is none
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            with in_reach(address) as path:
                listener.bind(path)
        finally:
            os.umask(before)
        listener.listen(128)
        yield listener
    except OSError as error:
        raise StorageFailed(address, f"cannot be made: {error}.", "Check BRI_HOME's permissions.") from error
    finally:
        listener.close()
        address.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
