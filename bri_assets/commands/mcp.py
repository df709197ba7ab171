"""``bri mcp``: the tools of the server for one agent, over this process's standard input and output.

Standard output belongs to the protocol alone. What does not belong here: the tools (``serve.mcp``), and the same over
HTTP (``bri serve``).
"""

from __future__ import annotations

import signal

import anyio
import typer

from bri_assets import telemetry
from bri_assets.home import prepare
from bri_assets.settings import Settings

__all__ = ["app"]

app = typer.Typer()


@app.command()
def mcp() -> None:
    """Answer an agent over MCP on standard input and output, until the input closes; with or without `bri serve`."""
    # The SDK costs a second to import, which no other command shall wait for.
    from bri_assets.serve.mcp import build_mcp
    from bri_assets.serve.services import Services

    settings = Settings()
    telemetry.configure(settings, level="warning")
    prepare(settings)
    # The thread that waits for input hears of no signal; nothing is held open that a sudden end would harm.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    anyio.run(build_mcp(Services.of(settings)).run_stdio_async)
