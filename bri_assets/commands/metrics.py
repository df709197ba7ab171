"""``bri metrics``: what BRI counts and measures, for Prometheus.

What does not belong here: the metrics themselves (``serve.metrics``, ``telemetry``).
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from starlette.applications import Starlette

from bri_assets import telemetry
from bri_assets.files import write_atomically
from bri_assets.serve.metrics import exposition, metrics_route
from bri_assets.session import Session, open_session

__all__ = ["app"]

app = typer.Typer()


@app.command()
def metrics(
    output: Annotated[
        Path | None, typer.Option(help="Write this .prom file, whole or not at all: for node_exporter's textfiles.")
    ] = None,
    serve: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Answer /metrics on this port of loopback; 0 takes a free one.")
    ] = None,
) -> None:
    """Print what processes have counted (BRI_METRICS=on) and what the store and its disks are like, for Prometheus."""
    if output is not None and serve is not None:
        raise typer.BadParameter("write a file or serve a port, not both", param_hint="--output")
    if output is not None and output.suffix != ".prom":
        raise typer.BadParameter("node_exporter reads only names that end in .prom", param_hint="--output")
    session = open_session()
    telemetry.configure(session.settings)
    if serve is not None:
        _serve(session, serve)
    elif output is not None:
        write_atomically(output.absolute(), exposition(session.settings))
    else:
        typer.echo(exposition(session.settings), nl=False)


def _serve(session: Session, port: int) -> None:
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise typer.BadParameter(f"port {port} cannot be used ({error.strerror})", param_hint="--serve") from error
    application = Starlette(routes=[metrics_route(session.settings)])
    with listener:
        session.console.print(f"http://127.0.0.1:{listener.getsockname()[1]}/metrics until Ctrl-C", soft_wrap=True)
        config = uvicorn.Config(application, log_config=None, access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])
