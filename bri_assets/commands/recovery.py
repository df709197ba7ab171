"""``bri backup``, ``backups``, ``restore``, ``recovery-drill``, ``migrate``: what an operator saves and brings back."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from bri_assets.commands.options import TIMES, Json, aware
from bri_assets.display import plain, print_json
from bri_assets.session import Session, open_session
from bri_assets.store import StoreFile, migrations
from bri_assets.store.recovery.backup_folder import Backup, kept
from bri_assets.store.recovery.backups import Backups
from bri_assets.store.recovery.drill import Drill, DrillResult
from bri_assets.store.recovery.migrate import migrate as migrate_store
from bri_assets.store.recovery.restore import Restore, Restored

__all__ = ["app"]

app = typer.Typer()


@app.command()
def backup(as_json: Json = False) -> None:
    """Copy the store, prove the copy, and keep it; commits go on."""
    session = open_session()
    made = _make(session, "asked")
    if as_json:
        print_json(made.model_dump())
        return
    session.console.print(
        f"[green]backup[/] {made.backup_id}: {made.videos} videos, {made.versions} versions,"
        f" {made.size_bytes / 1e6:.1f} MB, proven, in {made.seconds:.1f} s"
    )
    session.console.print(f"in {plain(str(made.path))}", soft_wrap=True)


@app.command()
def backups(as_json: Json = False) -> None:
    """The backups that are kept, oldest first."""
    session = open_session()
    found = kept(session.settings.backup_dir)
    if as_json:
        print_json([one.model_dump() for one in found])
        return
    table = Table("backup", "made", "videos", "versions", "MB", "why")
    for one in found:
        made = f"{one.created_at:%Y-%m-%d %H:%M:%S} UTC"
        table.add_row(
            one.backup_id, made, str(one.videos), str(one.versions), f"{one.size_bytes / 1e6:.1f}", plain(one.reason)
        )
    session.console.print(table)


@app.command()
def restore(
    backup: Annotated[str | None, typer.Argument(help="A backup's id; default: the newest that fits.")] = None,
    until: Annotated[
        datetime | None,
        typer.Option(formats=TIMES, help="Bring back nothing that happened later; UTC unless it says."),
    ] = None,
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help="Go on where something cannot be had.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the store back from a backup and the journal; what was there is kept beside. Stop `bri serve` first."""
    session = open_session()
    restoring = Restore.of(session.settings)
    chosen = restoring.choose(backup, aware(until))
    done = restoring.restore(chosen, until=aware(until), accept_loss=accept_loss, channel="cli")
    if as_json:
        print_json(dataclasses.asdict(done))
        return
    _print_restored(session, done)


@app.command("rebuild-journal")
def rebuild_journal() -> None:
    """Write the journal anew from the store, where a line of it is damaged. Stop `bri serve` first."""
    session = open_session()
    aside = Restore.of(session.settings).rebuild_journal(channel="cli")
    session.console.print("The journal says again what the store says.")
    if aside is not None:
        session.console.print(f"what it said before is in {plain(str(aside))}", soft_wrap=True)


@app.command("recovery-drill")
def recovery_drill(as_json: Json = False) -> None:
    """Restore into a scratch place, compare with the store, and say how long it took; nothing is changed."""
    session = open_session()
    found = Drill.of(session.settings).run(Restore.of(session.settings))
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        _print_drill(session, found)
    if not found.recovers:
        raise typer.Exit(1)


@app.command()
def migrate(
    to: Annotated[str, typer.Option(help="A revision, four digits; an older one goes back.")] = migrations.HEAD,
) -> None:
    """Bring the store to the revision that this program needs; a backup is made first."""
    if to not in migrations.known():
        raise typer.BadParameter(f"the revisions are {', '.join(migrations.known())}", param_hint="--to")
    session = open_session()
    done = migrate_store(StoreFile.of(session.settings), session.settings.backup_dir, to=to, channel="cli")
    if done.backup is None:
        session.console.print("The store is up to date.")
        return
    session.console.print(f"The store went from revision {done.before} to {done.after}.")
    session.console.print(f"What it was is kept as backup {done.backup.backup_id}.")


def _make(session: Session, reason: str) -> Backup:
    settings = session.settings
    return Backups.of(settings).make(settings.backup_dir, keep=settings.backup_keep, reason=reason, channel="cli")


def _print_restored(session: Session, done: Restored) -> None:
    begun = f"backup {done.backup_id}" if done.backup_id else "the journal alone"
    session.console.print(
        f"[green]restored[/] from {begun}: {done.videos} videos, {done.total_versions} versions, proven,"
        f" in {done.seconds:.1f} s"
    )
    session.console.print(f"{done.events} events happened again since, {done.versions} commits among them")
    for lost in done.lost:
        session.console.print(f"[red]lost:[/] {plain(lost)}", soft_wrap=True)
    if done.unsaid:
        gone = f"{done.unsaid} turn(s) of the agent's conversations since that backup, for the journal holds no words"
        session.console.print(f"[yellow]not brought back:[/] {gone}", soft_wrap=True)
    if done.safety is not None:
        session.console.print(f"what was there before is in {plain(str(done.safety))}", soft_wrap=True)


def _print_drill(session: Session, found: DrillResult) -> None:
    begun = f"backup {found.backup_id}" if found.backup_id else "the journal alone, for there is no backup"
    verdict = "[green]recovery works[/]" if found.recovers else "[red]recovery does not give back what there is[/]"
    session.console.print(
        f"{verdict}: {found.videos} videos, {found.versions} versions, {found.rows} rows from {begun}"
        f" and {found.events} events, proven, in {found.seconds:.1f} s",
        soft_wrap=True,
    )
    if found.unsaid:
        gone = f"{found.unsaid} turn(s) of the agent's conversations since that backup would not come back"
        session.console.print(gone, soft_wrap=True)
    for difference in found.differences:
        session.console.print(f"[red]differs:[/] {plain(difference)}", soft_wrap=True)
