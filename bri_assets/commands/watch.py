"""``bri watch``: run by cron or systemd, it tells what cannot be told from inside.

What does not belong here: what is looked at and what is remembered (``bri_assets.watch``).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker
import typer
from rich.console import Console

from bri_assets.alerts import Messenger
from bri_assets.commands.options import Json
from bri_assets.display import plain, print_json
from bri_assets.settings import Settings
from bri_assets.watch import Report
from bri_assets.watch import watch as look_and_tell

__all__ = ["app"]

app = typer.Typer()


@app.command()
def watch(as_json: Json = False) -> None:
    """Look from outside whether the store, the daemon and the alerts work, and tell whom BRI_ALERT_URLS names.

    Exit status: 0 nothing is wrong, 1 something is.
    """
    settings = Settings()
    # No session: that would make folders where a disk is not mounted.
    dagster_home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").expanduser().absolute()
    with _alone(settings.home) as alone:
        if not alone:
            Console().print("Another `bri watch` is at work.")
            return
        report = look_and_tell(settings, dagster_home, Messenger.of(settings))
    for trouble in report.troubles:
        Console(stderr=True).print(f"[red]bri watch:[/] {plain(trouble)}", soft_wrap=True)
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        _print(report)
    if not report.well:
        raise typer.Exit(1)


@contextmanager
def _alone(home: Path) -> Iterator[bool]:
    """Whether no other watch of this home is at work; a full disk keeps nobody from a lock on a folder."""
    if not home.is_dir() or not os.access(home, os.R_OK):
        yield True
        return
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            portalocker.lock(descriptor, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.LockException:
            alone = False
        else:
            alone = True
        yield alone
    finally:
        os.close(descriptor)


def _print(report: Report) -> None:
    console = Console()
    for finding in report.findings:
        colour = "red" if finding.weight == "ERROR" else "yellow"
        console.print(f"[{colour}]{finding.rule}[/] {plain(finding.subject)}", soft_wrap=True)
        console.print(f"  {plain(finding.summary)}", soft_wrap=True)
        console.print(f"  [bold]next:[/] {plain(finding.remedy)}", soft_wrap=True)
    for note in report.notes:
        console.print(plain(note), soft_wrap=True)
    if report.well:
        console.print("Nothing is wrong.")
