"""``bri archive``, ``bri unarchive`` and ``bri orphans``: what is no longer needed, out of the way and back.

What does not belong here: the archive and the search themselves (``store``).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bri_assets.commands.options import Json
from bri_assets.display import plain, print_json
from bri_assets.session import open_session
from bri_assets.store.archives.archive import Archive, ArchiveResult, SupersededVersion
from bri_assets.store.archives.orphans import Orphans, OrphansRemoved
from bri_assets.store.archives.strays import Findings

__all__ = ["app"]

app = typer.Typer()


@app.command()
def archive(
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="Superseded this long ago; default: BRI_ARCHIVE_AFTER_DAYS."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which versions would move.")] = False,
    as_json: Json = False,
) -> None:
    """Move superseded versions to Parquet files below archive/; `bri unarchive` brings one back."""
    session = open_session()
    store = Archive.of(session.settings)
    days = session.settings.archive_after_days if older_than is None else older_than
    if dry_run:
        due = store.due(days)
        if as_json:
            print_json({"due": [asdict(version) for version in due]})
        else:
            _print_due(session.console, due, days)
        return
    result = store.archive(days, channel="cli")
    if as_json:
        print_json(asdict(result))
    else:
        _print_archived(session.console, result)
    if result.failed:
        raise typer.Exit(1)


@app.command()
def unarchive(
    video: Annotated[str, typer.Argument(help="A video's id, the beginning of it, or its file name.")],
    version: Annotated[int, typer.Argument(min=1, help="Version of the video; `bri history` lists them.")],
    as_json: Json = False,
) -> None:
    """Bring the rows of an archived version back into the store."""
    session = open_session()
    back = Archive.of(session.settings).unarchive(video, version, channel="cli")
    if as_json:
        print_json(asdict(back))
        return
    what = "is in the store again" if back.changed else "is not archived; nothing changed"
    session.console.print(f"{back.video_id} version {back.version} {what} ({back.row_count} rows)", soft_wrap=True)


@app.command()
def orphans(
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is reported.")] = False,
    as_json: Json = False,
) -> None:
    """Files that no version names and that were left alone for BRI_ORPHAN_AFTER_HOURS; removes none unless asked."""
    session = open_session()
    store, hours = Orphans.of(session.settings), session.settings.orphan_after_hours
    found = store.report(hours)
    removed = store.remove([orphan.path for orphan in found.orphans], hours, channel="cli") if remove else None
    if as_json:
        said: dict[str, Any] = asdict(found) | {"size_bytes": found.size_bytes}
        print_json(said | ({"removed": asdict(removed)} if removed else {}))
    else:
        _print_orphans(session.console, found, removed)


def _print_due(console: Console, due: list[SupersededVersion], days: float) -> None:
    for version in due:
        console.print(
            f"{version.video_id} version {version.version}, {version.row_count} rows,"
            f" superseded {version.superseded_at:%Y-%m-%d %H:%M:%S} UTC",
            soft_wrap=True,
        )
    console.print(f"{len(due)} version(s) were superseded at least {days:g} days ago and would move.")


def _print_archived(console: Console, result: ArchiveResult) -> None:
    for colour, word, outcomes in (
        ("green", "archived", result.archived),
        ("yellow", "skipped", result.skipped),
        ("red", "failed", result.failed),
    ):
        for one in outcomes:
            reason = f": {plain(one.reason)}" if one.reason else f", {one.row_count} rows"
            console.print(f"[{colour}]{word}[/] {one.video_id} version {one.version}{reason}", soft_wrap=True)
    console.print(
        f"{len(result.archived)} archived, {len(result.skipped)} skipped, {len(result.failed)} failed."
        " The database file keeps its size until `bri compact`."
    )


def _print_orphans(console: Console, found: Findings, removed: OrphansRemoved | None) -> None:
    if found.orphans:
        table = Table("file", "bytes", "what it is")
        for orphan in found.orphans:
            table.add_row(plain(orphan.path), str(orphan.size_bytes), orphan.why)
        console.print(table)
    for video in found.left_alone:
        console.print(f"[yellow]left alone:[/] {video.video_id}: {plain(video.why)}", soft_wrap=True)
    if found.awaiting_backups:
        console.print(f"{len(found.awaiting_backups)} file(s) of the archive are kept until older backups expire.")
    console.print(f"{len(found.orphans)} orphan(s), {found.size_bytes} bytes.")
    if removed is not None:
        kept = f"; {len(removed.kept)} are no orphans any more" if removed.kept else ""
        console.print(f"{len(removed.paths)} removed, {removed.size_bytes} bytes{kept}.")
    elif found.orphans:
        console.print("`bri orphans --remove` removes them.")
