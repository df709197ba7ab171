"""``bri delete``, ``undelete``, ``purge`` and ``export``: a video that somebody wants gone, or wants to have.

What does not belong here: the work itself (``store.deletion``, ``store.purge``, ``export``).
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bri_assets.commands.options import Json, Video
from bri_assets.display import plain, print_json, tell_of_index
from bri_assets.export import Exported
from bri_assets.export import export as write_export
from bri_assets.search.following import erase, erase_due, follow
from bri_assets.session import Session, open_session
from bri_assets.settings import Settings
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.holdings import Holdings
from bri_assets.store.erasure.purge import Purged

__all__ = ["app"]

app = typer.Typer()


@app.command()
def delete(video: Video, as_json: Json = False) -> None:
    """Hide a video from every read; `bri undelete` brings it back until it is purged."""
    session = open_session()
    done = Deletion.of(session.settings).delete(video, channel="cli")
    if as_json:
        print_json(asdict(done) | {"index": follow(session.settings, [done.video_id])})
        return
    days = session.settings.purge_after_days
    session.console.print(
        f"{done.video_id} {'is' if done.changed else 'was already'} deleted ({done.deleted_at:%Y-%m-%d %H:%M} UTC)."
        f" `bri undelete {done.video_id}` brings it back until the scheduled purge, {days:g} days after that.",
        soft_wrap=True,
    )
    tell_of_index(session.console, follow(session.settings, [done.video_id]))


@app.command()
def undelete(video: Video, as_json: Json = False) -> None:
    """Bring a deleted video back, exactly as it was."""
    session = open_session()
    done = Deletion.of(session.settings).undelete(video, channel="cli")
    if as_json:
        print_json(asdict(done) | {"index": follow(session.settings, [done.video_id])})
    else:
        what = "is back, as it was" if done.changed else "was not deleted; nothing changed"
        session.console.print(f"{done.video_id} {what}.")
        tell_of_index(session.console, follow(session.settings, [done.video_id]))


@app.command()
def purge(
    video: Annotated[str | None, typer.Argument(help="A video's id, the beginning of it, or its file name.")] = None,
    due: Annotated[
        bool,
        typer.Option("--due", help="All videos deleted more than BRI_PURGE_AFTER_DAYS ago, and unfinished purges."),
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; the audit log keeps it for ever, so name no person.")] = "asked for",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a video for good: rows, staged files, images, archive, index. Says what it removed and what it leaves."""
    if (video is None) is not due:
        raise typer.BadParameter("name a video, or say --due")
    session = open_session()
    if video is None:
        _purge_due(session, as_json)
        return
    if not yes:
        _ask(Deletion.of(session.settings).find(video))
    done = erase(session.settings, video, reason=reason, channel="cli")
    if as_json:
        print_json(asdict(done))
    else:
        _print_purged(session.console, session.settings, done)


@app.command()
def export(
    video: Video,
    folder: Annotated[Path, typer.Argument(help="New folder to write into; must not be there.")],
    with_upload: Annotated[bool, typer.Option("--with-upload", help="Copy the uploaded file too.")] = False,
    as_json: Json = False,
) -> None:
    """Write everything that is held about a video, deleted or not, into a folder: Parquet, JSON, images."""
    session = open_session()
    done = write_export(Holdings.of(session.settings), video, folder, with_upload=with_upload)
    if as_json:
        print_json(asdict(done))
    else:
        _print_exported(session.console, done)


def _ask(video_id: str) -> None:
    """Ask on a terminal whether this video is meant.

    Raises:
        typer.BadParameter: there is no terminal to ask on.
        typer.Exit: 1 where the answer is no.
    """
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"this would remove {video_id} for good; say --yes where nobody can be asked")
    if not typer.confirm(f"Remove {video_id} for good? This cannot be undone.", err=True):
        raise typer.Exit(1)


def _purge_due(session: Session, as_json: bool) -> None:
    done = erase_due(session.settings, after_days=session.settings.purge_after_days, channel="cli")
    if as_json:
        print_json(asdict(done))
    else:
        for purged in done.purged:
            _print_purged(session.console, session.settings, purged)
        for error in done.failed.values():
            session.console.print(f"[red]not purged:[/] {plain(error)}", soft_wrap=True)
        if not done.purged and not done.failed:
            session.console.print("No purge is due.")
    if done.failed:
        raise typer.Exit(1)


def _print_purged(console: Console, settings: Settings, done: Purged) -> None:
    def say(text: str) -> None:
        console.print(text, soft_wrap=True)

    rows = ", ".join(f"{count} {table}" for table, count in sorted(done.rows.items())) or "none"
    say(f"[bold]{done.video_id}[/] is purged.")
    say(f"  removed  rows: {rows}; files: {done.files.count} ({done.files.size_bytes} bytes)")
    say("  [yellow]left[/]")
    for path in done.left.uploads:
        say(f"  - the uploaded file {plain(path)}: remove it yourself")
    for backup in done.left.backups:
        more = max(settings.backup_keep - backup.newer, 1)
        what = f"the backup {backup.backup_id} of {backup.created_at:%Y-%m-%d %H:%M} UTC in {plain(backup.path)}"
        when = f"when {more} more have been made (the schedule is `{settings.backup_cron}`, UTC)"
        say(f"  - {what}: goes {when}, or remove it yourself")
    say(f"  - {done.left.audit_events} events of the audit log that name its id")
    for sentence in done.left.elsewhere:
        say(f"  - {plain(sentence)}")


def _print_exported(console: Console, done: Exported) -> None:
    size = sum(file.size_bytes for file in done.files)
    what = f"{done.versions} version(s) in {len(done.files)} files of {size} bytes"
    console.print(f"{done.video_id}: {what} in {plain(str(done.folder))}", soft_wrap=True)
