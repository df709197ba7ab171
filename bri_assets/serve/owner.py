"""The process that owns the store: it holds the database open, and carries out operations that arrive over its socket.

Where it is handed a listening socket it answers the API there, in the same event loop; without one it imports nothing
of the API, so that it owns the store the sooner.

The socket lies beside the database, and only its user may use it; it is bound after the store was opened and found
whole, so whoever can connect is answered. What does not belong here: starting this process again (``supervisor``) and
what the operations do (``store``).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

from anyio import CapacityLimiter, to_thread
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bri_assets import telemetry
from bri_assets.errors import BriError, StorageFailed
from bri_assets.processes import when_alone
from bri_assets.serve.loop import Server, serve_all
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


def main(arguments: Sequence[str] = ()) -> None:
    """Own the store of this process's settings until a signal, or until the pipe on standard input closes.

    Exit status: 0 it was told to stop, 1 the store cannot be owned (the log says why), ``INTRUDED`` as it says.

    Args:
        arguments: ``--listener N``, the descriptor of a listening socket on which the API is answered; ``--ready N``,
            that of a pipe into which a byte is written when all is imported: the store is owned only once a byte
            arrives on standard input, so that another owner can end meanwhile.
    """
    parser = argparse.ArgumentParser(description="Own the store; see `bri serve`.")
    parser.add_argument("--listener", type=int)
    parser.add_argument("--ready", type=int)
    asked = parser.parse_args(arguments)
    settings = Settings()
    telemetry.configure(settings, level="info")
    listener = None if asked.listener is None else socket.socket(fileno=asked.listener)
    if listener is not None:
        api = import_module("bri_assets.serve.public")  # now, while nobody waits for this process
        if asked.ready is not None:
            api.load_models(settings)
    if asked.ready is not None and not _turn_comes(asked.ready):
        return
    try:
        _own(settings, listener)
    except BriError as error:
        log.critical("%s", error)
        raise SystemExit(1) from error


def _turn_comes(ready: int) -> bool:
    """Say that this process is ready, and wait for its turn; False where whoever started it is gone."""
    os.write(ready, b".")
    os.close(ready)
    return os.read(0, 1) != b""


def _own(settings: Settings, listener: socket.socket | None) -> None:
    file = StoreFile.of(settings)
    with ExitStack() as stack:
        owned = stack.enter_context(OwnedFile.owning(file, settings.read_cursors))
        own = stack.enter_context(_listening(file))
        groups = groups_of(owned, settings)
        servers = [Server(application(groups, _leave), own)]
        if listener is not None:
            from bri_assets.serve.public import public

            servers.append(stack.enter_context(public(settings, groups, listener, _leave)))

        def stop(*_: object) -> None:
            for server in servers:
                server.should_exit = True

        when_alone(stop)
        # One that comes before they serve must not be lost.
        for number in _SIGNALS:
            signal.signal(number, stop)
        log.info("owns %s", file.path)
        if listener is not None:
            log.info("answers on %s port %s", *listener.getsockname()[:2])
        asyncio.run(serve_all(servers))


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
    main(sys.argv[1:])
    # The database is closed, and the next owner waits for this process: to take the libraries apart costs seconds.
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)
