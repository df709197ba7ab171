"""``bri quality``: the figures of a video with their thresholds, or those of the collection.

What does not belong here: what is measured and what is too low (``store.quality``, ``store.verdicts``).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bri_assets.commands.options import Json
from bri_assets.display import plain, print_json
from bri_assets.session import Session, open_session
from bri_assets.store.measured import Collection, Quality, VideoQuality
from bri_assets.store.quality import FIGURES
from bri_assets.store.verdicts import Limit, Verdict, judge, limits

__all__ = ["app"]

app = typer.Typer()


@app.command()
def quality(
    video: Annotated[
        str | None,
        typer.Argument(help="A video's id, the beginning of it, or its file name; without one, the collection."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Quality figures with their thresholds: of a video, or of all videos together."""
    session = open_session()
    store = Quality.of(session.settings)
    known = limits(session.settings, store.spreads())
    if video is None:
        _collection(session, store, known, as_json)
        return
    found = store.video(video)
    verdicts = judge(found.figures, known)
    if as_json:
        print_json(asdict(found) | {"figures": [_as_json(verdict) for verdict in verdicts]})
    else:
        _print_video(session.console, found, verdicts)


def _collection(session: Session, store: Quality, known: list[Limit], as_json: bool) -> None:
    found = store.collection(freshness_h=session.settings.freshness_h, stuck_s=session.settings.stuck_s)
    beyond = [(one, [v for v in judge(one.figures, known) if not v.passed]) for one in store.beyond(known)]
    if as_json:
        print_json(asdict(found) | {"beyond": [_named(video, verdicts) for video, verdicts in beyond]})
    else:
        _print_collection(session.console, found, known)
        _print_beyond(session.console, beyond)


def _named(video: VideoQuality, verdicts: list[Verdict]) -> dict[str, Any]:
    return asdict(video) | {"figures": [_as_json(verdict) for verdict in verdicts]}


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "figure": verdict.figure.name,
        "value": verdict.value,
        "least": verdict.limit.least if verdict.limit else None,
        "most": verdict.limit.most if verdict.limit else None,
        "passed": verdict.passed,
        "unit": verdict.figure.unit,
        "meaning": verdict.figure.meaning,
        "setting": f"BRI_{verdict.limit.setting.upper()}" if verdict.limit else None,
    }


def _print_video(console: Console, found: VideoQuality, verdicts: list[Verdict]) -> None:
    console.print(f"[bold]{plain(found.filename)}[/]  {found.video_id}, version {found.version}")
    if not verdicts:
        console.print("It was committed before figures were measured: materialize the asset `collection`.")
        return
    table = Table("figure", "value", "expected", "what it is")
    for verdict in verdicts:
        colour = "green" if verdict.passed else "red"
        value = "–" if verdict.value is None else f"[{colour}]{verdict.value:.3g}[/] {verdict.figure.unit}"
        table.add_row(verdict.figure.name, value, verdict.expected, plain(verdict.figure.meaning))
    console.print(table)


def _print_collection(console: Console, found: Collection, known: list[Limit]) -> None:
    rows = ", ".join(f"{count} {table}" for table, count in found.rows.items())
    console.print(f"{found.videos} videos are shown, of {found.versions} versions in all: {rows}")
    arrivals = found.arrivals
    if arrivals.slowest_h is not None:
        told = f"{arrivals.fresh} of {arrivals.uploads} uploads were committed in time, the slowest took"
        console.print(f"{told} {arrivals.slowest_h:.1f} h; {arrivals.stuck} are stuck")
    table = Table("figure", "mean", "least", "most", "expected", "videos")
    expected = {limit.figure: Verdict(FIGURES[limit.figure], None, limit).expected for limit in known}
    for summary in found.summaries:
        values = (f"{value:.3g}" for value in (summary.mean, summary.least, summary.most))
        table.add_row(summary.figure, *values, expected.get(summary.figure, ""), str(summary.videos))
    console.print(table)


def _print_beyond(console: Console, beyond: list[tuple[VideoQuality, list[Verdict]]]) -> None:
    for video, verdicts in beyond:
        told = "; ".join(f"{one.figure.name} {one.value:.3g}, {one.expected}" for one in verdicts)
        console.print(f"[yellow]{plain(video.filename)}[/]  {video.video_id}: {told}", soft_wrap=True)
