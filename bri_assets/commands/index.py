"""``bri index status``, ``sync`` and ``rebuild``: the index of the search, looked at, brought up to date, made anew.

What does not belong here: the index itself (``search.index``) and searching (``commands.search``).
"""

from __future__ import annotations

import typer
from rich.console import Console

from bri_assets.commands.options import Json
from bri_assets.display import plain, print_json
from bri_assets.search.index import Index
from bri_assets.search.model import IndexStatus, Synced
from bri_assets.session import open_session

__all__ = ["app"]

app = typer.Typer()
index = typer.Typer(help="The index of the search.", no_args_is_help=True)
app.add_typer(index, name="index")

_COLOURS = {"current": "green", "behind": "yellow", "missing": "yellow", "unusable": "red"}


@index.command()
def status(as_json: Json = False) -> None:
    """How the index stands against what the store shows; exit status 0 when it holds just that."""
    session = open_session()
    found = Index.of(session.settings).status()
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _print_status(session.console, found)
    if found.state != "current":
        raise typer.Exit(1)


@index.command()
def sync(as_json: Json = False) -> None:
    """Bring the index to what is shown now; `bri serve` and every ingest do it by themselves."""
    session = open_session()
    _tell(session.console, Index.of(session.settings).sync(), as_json)


@index.command()
def rebuild(as_json: Json = False) -> None:
    """Make the index anew, while searches go on with the present one."""
    session = open_session()
    _tell(session.console, Index.of(session.settings).rebuild(), as_json)


def _tell(console: Console, done: Synced, as_json: bool) -> None:
    if as_json:
        print_json(done.model_dump(mode="json"))
        return
    made = "made anew" if done.made else "brought up to date"
    console.print(
        f"[green]{made}[/]: {len(done.added)} videos with {done.texts} texts added, {done.embedded} of them embedded,"
        f" {done.removed} versions removed, in {done.seconds:.1f} s",
        soft_wrap=True,
    )


def _print_status(console: Console, found: IndexStatus) -> None:
    console.print(f"[{_COLOURS[found.state]}]{found.state}[/]: {plain(found.said)}", soft_wrap=True)
    if found.generation is None:
        return
    console.print(f"generation {found.generation}, made {found.made_at:%Y-%m-%d %H:%M} UTC, layout {found.layout}")
    console.print(f"model {plain(str(found.model))}, SHA-256 {found.weights_sha256}", soft_wrap=True)
    size = f"{found.size_bytes / 1e6:.1f} MB"
    console.print(f"{found.versions} versions with {found.texts} texts, vectors {found.vectors}, {size}")
    if found.behind:
        console.print(f"not in it: {plain(', '.join(found.behind))}", soft_wrap=True)
