"""``bri failed`` and ``bri retry``: uploads that failed or are quarantined, what becomes of them, and another try.

What does not belong here: which of them a machine tries again (``health.retries``), handing one over to the daemon
(``health.again``), the way of a file (``session``).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bri_assets.commands.options import Json
from bri_assets.display import plain, print_json
from bri_assets.errors import BriError, VideoNotFound
from bri_assets.health.again import Prospect, ask_again, hand_over, prospects
from bri_assets.health.files import files_of
from bri_assets.interrupts import noticed
from bri_assets.session import Session, open_session
from bri_assets.settings import Settings
from bri_assets.store.reconciliation import DeadLetter, Reconciliation

__all__ = ["app", "described"]

app = typer.Typer()

_Names = Annotated[list[str] | None, typer.Argument(metavar="VIDEO|FILE...", help="Ids of videos, or files.")]


@app.command()
def failed(as_json: Json = False) -> None:
    """Uploads that failed or are quarantined: why, whether they are tried again by themselves, and what to do."""
    session = open_session()
    found = described(Reconciliation.of(session.settings).dead_letters(), session.settings)
    if as_json:
        print_json(found)
    else:
        _print(session.console, found)


@app.command()
def retry(
    names: _Names = None,
    every: Annotated[bool, typer.Option("--all", help="All failed uploads; quarantined ones only by --code.")] = False,
    code: Annotated[str | None, typer.Option(help="Of these, only those with this code.")] = None,
    later: Annotated[
        bool, typer.Option("--later", help="Leave it to a running daemon, which makes only what is missing.")
    ] = False,
) -> None:
    """Try failed uploads again after mending: here and now, or with --later by the daemon. Exit status 0: all well."""
    if bool(names) is every:
        raise typer.BadParameter("name videos or files, or say --all")
    session = open_session()
    letters = Reconciliation.of(session.settings).dead_letters()
    chosen = _chosen(letters, names or [], code)
    if not chosen:
        session.console.print("Nothing has failed." if code is None else f"Nothing has failed with the code {code}.")
        return
    for name in ask_again(session.settings):
        session.console.print(f"{plain(name)} is asked again.", soft_wrap=True)
    left = _hand_over(session, chosen) if later else _ingest(session, chosen)
    if left:
        told = plain(", ".join(letter.filename for letter in left))
        session.console.print(f"[red]{len(left)} of {len(chosen)} not done:[/] {told}", soft_wrap=True)
        raise typer.Exit(1)


def described(letters: list[DeadLetter], settings: Settings) -> list[dict[str, Any]]:
    """Dead letters with what becomes of them, JSON-able.

    Args:
        letters: as ``Reconciliation.dead_letters`` gives them.
        settings: of the process.
    """
    return [_described(one) for one in prospects(letters, settings)]


def _described(prospect: Prospect) -> dict[str, Any]:
    letter, look = prospect.letter, prospect.outlook
    kept = ("upload_id", "video_id", "filename", "path", "state", "code", "reason", "attempts", "run_id")
    return {
        **{name: value for name, value in asdict(letter).items() if name in kept},
        "since": letter.updated_at,
        "arrived": letter.created_at,
        "retried_by_machine": look.by_machine,
        "retried_at": look.due_at,
        "retry": look.why,
        "remedy": prospect.remedy,
        "command": _command(letter),
    }


def _command(letter: DeadLetter) -> str:
    if letter.video == "deleted":
        return f"bri undelete {letter.video_id}"
    if letter.video == "purging":
        return f"bri purge {letter.video_id}"
    return f"bri retry {letter.video_id or quote(letter.path)}"


def _print(console: Console, found: list[dict[str, Any]]) -> None:
    if not found:
        console.print("Nothing has failed, and nothing is quarantined.")
        return
    table = Table("file", "code", "attempts", "since (UTC)", "tried again by itself")
    for one in found:
        table.add_row(
            plain(one["filename"]), one["code"] or "", str(one["attempts"]), _minute(one["since"]), _when(one)
        )
    console.print(table)
    for one in found:
        console.print(f"[bold]{plain(one['filename'])}[/]  {plain(one['reason'] or '')}", soft_wrap=True)
        if one["remedy"]:
            console.print(f"  {plain(one['remedy'])}", soft_wrap=True)
        console.print(f"  then: {plain(one['command'])}", soft_wrap=True, highlight=False)


def _when(one: dict[str, Any]) -> str:
    if not one["retried_by_machine"]:
        return f"no: {one['retry']}"
    return f"at {one['retried_at']:%H:%M:%S}" if one["retried_at"] else f"yes: {one['retry']}"


def _minute(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M}"


def _chosen(letters: list[DeadLetter], names: list[str], code: str | None) -> list[DeadLetter]:
    """The letters that are meant; of copies of one file, the first that is there.

    Raises:
        VideoNotFound: a name means none.
    """
    meant: list[DeadLetter] = []
    for name in names:
        found = [letter for letter in letters if _is_meant(letter, name)]
        if not found:
            raise VideoNotFound(name, "no failed or quarantined upload has this id or file.", "See `bri failed`.")
        meant += found
    if not names:
        meant = [letter for letter in letters if letter.state == "failed" or code is not None]
    meant, files = [letter for letter in meant if code is None or letter.code == code], files_of(meant)
    first: dict[str, str] = {}
    for letter in sorted(meant, key=lambda letter: files[letter.upload_id] == "gone"):
        first.setdefault(letter.video_id or letter.upload_id, letter.upload_id)
    return [letter for letter in meant if first[letter.video_id or letter.upload_id] == letter.upload_id]


def _is_meant(letter: DeadLetter, name: str) -> bool:
    return name in (letter.video_id, letter.filename, letter.path) or letter.path == str(Path(name).absolute())


def _ingest(session: Session, chosen: list[DeadLetter]) -> list[DeadLetter]:
    """Take each all the way, as ``bri ingest`` does; returns those that are not committed.

    Raises:
        typer.Exit: 130 where somebody asked to stop.
    """
    session.require_weights()
    todo, left = list(chosen), list[DeadLetter]()
    with noticed() as asked_to_stop:
        while todo and not asked_to_stop():
            letter = todo.pop(0)
            try:
                if not session.ingest(Path(letter.path)):
                    left.append(letter)
            except (BriError, OSError) as error:
                session.console.print(f"  [red]failed:[/] {plain(str(error))}", soft_wrap=True)
                left.append(letter)
        if asked_to_stop():
            session.console.print(f"[red]{len(todo)} of {len(chosen)} not begun.[/]")
            raise typer.Exit(130)
    return left


def _hand_over(session: Session, chosen: list[DeadLetter]) -> list[DeadLetter]:
    """Reserve another attempt of each for the daemon; returns those that only `bri retry` here can try."""
    refused = hand_over(Reconciliation.of(session.settings), chosen, channel="retry")
    for letter in chosen:
        if letter.upload_id in refused:
            told = f"{plain(letter.filename)} {refused[letter.upload_id]}"
            session.console.print(f"[red]not handed over:[/] {told}.", soft_wrap=True)
        else:
            session.console.print(f"{plain(letter.filename)} is left to the daemon; see `bri status`.")
    return [letter for letter in chosen if letter.upload_id in refused]
