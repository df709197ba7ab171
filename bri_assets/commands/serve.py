"""``bri serve``: the owner of the store, kept running."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from bri_assets.display import plain
from bri_assets.errors import StoreBusy
from bri_assets.processes import when_alone
from bri_assets.serve.supervisor import supervised
from bri_assets.session import open_session
from bri_assets.store import StoreFile

__all__ = ["app"]

app = typer.Typer()


@app.command()
def serve(
    store_only: Annotated[bool, typer.Option("--store-only", help="Own the store and nothing else.")] = False,
) -> None:
    """Own the store: keep it open, carry out what the pipeline and `bri` ask for, start again after a crash."""
    if not store_only:
        raise typer.BadParameter("there is no API yet; own the store alone", param_hint="--store-only")
    session = open_session()
    file = StoreFile.of(session.settings)
    if file.owner() is not None:
        raise StoreBusy(file.path, "is owned already by another `bri serve`.", "Stop that one, or leave it be.")
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    when_alone(told.set)
    with supervised(lambda text: session.console.print(f"[yellow]{plain(text)}[/]")):
        session.console.print(f"keeps {plain(str(file.path))} owned until Ctrl-C", soft_wrap=True)
        told.wait()
