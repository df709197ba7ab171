"""``bri serve``: the owner of the store with the API, kept running."""

from __future__ import annotations

import ipaddress
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from bri_assets.display import plain
from bri_assets.errors import AddressUnusable, StoreBusy
from bri_assets.processes import when_alone
from bri_assets.serve.supervisor import listening, supervised
from bri_assets.session import Session, open_session
from bri_assets.settings import Settings
from bri_assets.store import StoreFile
from bri_assets.store.tokens import Tokens

__all__ = ["app", "beside_another"]

app = typer.Typer()


@app.command()
def serve(
    store_only: Annotated[bool, typer.Option("--store-only", help="Own the store and nothing else.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: BRI_SERVE_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on, 0: any; default: BRI_SERVE_PORT.")
    ] = None,
) -> None:
    """Own the store, and answer REST (/v1) and MCP (/mcp); start again after a crash, and on SIGHUP without a gap."""
    session = open_session()
    settings = session.settings
    file = StoreFile.of(settings)
    if file.owner() is not None:
        raise StoreBusy(file.path, "is owned already by another `bri serve`.", "Stop that one, or leave it be.")
    over, again = threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    signal.signal(signal.SIGHUP, lambda *_: again.set())
    when_alone(over.set)
    with (
        _listener(settings, store_only, host, port) as listener,
        supervised(lambda text: session.console.print(f"[yellow]{plain(text)}[/]"), listener) as replace,
    ):
        _tell(session, file, listener)
        while not over.wait(0.1):
            if again.is_set():
                again.clear()
                replace()


def beside_another(session: Session) -> list[str]:
    """Arguments with which `bri serve` can start beside something that needs the store owned, whatever the API may do.

    Where the API cannot be had (its port is taken) a person is told, and the store is owned all the same.
    """
    settings = session.settings
    try:
        _require_address(settings, settings.serve_host)
        with listening(settings.serve_host, settings.serve_port):
            return []
    except AddressUnusable as error:
        session.console.print(f"[yellow]There is no API beside this:[/] {plain(str(error))}", soft_wrap=True)
        return ["--store-only"]


def _require_address(settings: Settings, host: str) -> None:
    """See that nobody listens to a network without a token.

    Raises:
        AddressUnusable: the address is not loopback's, and there is no token.
    """
    now = datetime.now(UTC)
    if not _is_loopback(host) and not any(token.holds_at(now) for token in Tokens.of(settings).tokens()):
        what = "is not this machine's own, and nobody has a token: anybody there could ask."
        raise AddressUnusable(host, what, "Run `bri tokens create` first, or listen on 127.0.0.1.")


@contextmanager
def _listener(
    settings: Settings, store_only: bool, host: str | None, port: int | None
) -> Iterator[socket.socket | None]:
    if store_only:
        if host is not None or port is not None:
            raise typer.BadParameter("who owns the store alone listens nowhere", param_hint="--store-only")
        yield None
        return
    host = settings.serve_host if host is None else host
    _require_address(settings, host)
    with listening(host, settings.serve_port if port is None else port) as listener:
        yield listener


def _tell(session: Session, file: StoreFile, listener: socket.socket | None) -> None:
    if listener is not None:
        host, port = listener.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        session.console.print(f"The API is at http://{name}:{port}", markup=False, soft_wrap=True)
    session.console.print(f"keeps {plain(str(file.path))} owned until Ctrl-C", soft_wrap=True)


def _is_loopback(host: str) -> bool:
    try:
        return all(
            ipaddress.ip_address(found[4][0]).is_loopback
            for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
    except OSError:
        return False  # what it is, and that it cannot be listened on, is said next
