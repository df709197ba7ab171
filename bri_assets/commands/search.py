"""``bri search``: where something is seen or said.

What does not belong here: the search itself (``search.search``).
"""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from bri_assets.commands.options import Json
from bri_assets.display import plain, print_json
from bri_assets.search.model import Kind, Mode, SearchAnswer, SearchHit, SearchRequest
from bri_assets.search.search import Search
from bri_assets.session import open_session

__all__ = ["app"]

app = typer.Typer()


@app.command()
def search(
    text: Annotated[str, typer.Argument(help='Words, or a question; "quoted words" are a phrase.')],
    video: Annotated[
        list[str] | None, typer.Option("--video", help="Only in this video (may be repeated): id, beginning or name.")
    ] = None,
    mode: Annotated[Mode, typer.Option(help="By words, by meaning, or both.")] = "hybrid",
    kind: Annotated[Kind | None, typer.Option(help="Only captions, or only speech.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="Most hits.")] = 10,
    as_json: Json = False,
) -> None:
    """Where something is seen (captions) or said (speech); exit status 0 also when nothing is found."""
    session = open_session()
    found = Search.of(session.settings)
    ids = list(found.queries.resolve(video).values()) if video else None
    try:
        request = SearchRequest(text=text, mode=mode, video_ids=ids, kinds=[kind] if kind else None, limit=limit)
    except ValidationError as error:
        raise typer.BadParameter("; ".join(one["msg"] for one in error.errors())) from error
    (answer,) = found.search([request])
    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        _print(session.console, answer)


def _print(console: Console, answer: SearchAnswer) -> None:
    for hit in answer.hits:
        console.print(_line(hit), soft_wrap=True, highlight=False)
        console.print(f"  [dim]{plain(hit.evidence.image_path)}[/]", soft_wrap=True, highlight=False)
    if not answer.hits:
        console.print("Nothing was found.")
    if answer.index.state != "current" or not answer.complete:
        console.print(f"[yellow]{plain(answer.index.said)}[/]", soft_wrap=True)


def _line(hit: SearchHit) -> str:
    lasts = f"–{hit.end_s:.1f}" if hit.end_s > hit.start_s else ""
    verb = "seen" if hit.kind == "caption" else "said"
    ways = "+".join(hit.matched_by)
    return (
        f"[bold]{plain(hit.source.filename)}[/] {hit.start_s:.1f}{lasts} s {verb}: {plain(hit.text)}"
        f"  [dim]{hit.score:.2f} {ways}, {hit.source.video_id} version {hit.source.version}[/]"
    )
