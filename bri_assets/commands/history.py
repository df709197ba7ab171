"""``bri history``, ``bri diff`` and ``bri rollback``: the versions of a video, and how they are printed.

What does not belong here: what versions are and what may be shown (``store.history``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bri_assets.commands.options import Json, Video
from bri_assets.display import plain, print_json, tell_of_index
from bri_assets.search.following import follow
from bri_assets.session import open_session
from bri_assets.store.diff import TableDiff, VersionDiff
from bri_assets.store.history import History, VideoHistory

__all__ = ["app"]

app = typer.Typer()


#: Rows that are printed of a table of a diff.
_FIRST = 10


@app.command()
def history(video: Video, as_json: Json = False) -> None:
    """Every version of a video and every move between them; of a deleted video too."""
    session = open_session()
    found = History.of(session.settings).history(video)
    if as_json:
        print_json(asdict(found))
    else:
        _print_history(session.console, found)


@app.command()
def diff(
    video: Video,
    before: Annotated[int, typer.Argument(min=1, metavar="V1", help="Number of a version.")],
    after: Annotated[int, typer.Argument(min=1, metavar="V2", help="Number of another version.")],
    every: Annotated[bool, typer.Option("--all", help=f"Print every row, not the first {_FIRST} of a table.")] = False,
    as_json: Json = False,
) -> None:
    """What changed between two versions of a video, table by table."""
    session = open_session()
    found = History.of(session.settings).diff(video, before, after)
    if as_json:
        tables = [asdict(table) | {"same": table.same, "differs": table.differs} for table in found.tables]
        print_json(asdict(found) | {"differs": found.differs, "tables": tables})
    else:
        _print_diff(session.console, found, None if every else _FIRST)


@app.command()
def rollback(
    video: Video,
    version: Annotated[int, typer.Argument(min=1, help="Number of the version to show.")],
    as_json: Json = False,
) -> None:
    """Show an earlier version of a video again; a rollback to the later one takes that back."""
    session = open_session()
    done = History.of(session.settings).rollback(video, version, channel="cli")
    if as_json:
        index = follow(session.settings, [done.video_id]) if done.changed else ""
        print_json(asdict(done) | {"changed": done.changed, "index": index})
    elif done.changed:
        session.console.print(f"{done.video_id} shows version {done.after} now, before it was {done.before}.")
        session.console.print(f"To take that back: bri rollback {done.video_id} {done.before}")
        tell_of_index(session.console, follow(session.settings, [done.video_id]))
    else:
        session.console.print(f"{done.video_id} shows version {done.after} already; nothing was changed.")


def _print_history(console: Console, found: VideoHistory) -> None:
    console.print(f"[bold]{plain(found.filename)}[/]  {found.video_id}")
    if found.deleted_at is not None:
        console.print(f"[red]deleted[/] on {found.deleted_at:%Y-%m-%d %H:%M:%S} UTC; `bri undelete` brings it back")
    table = Table("version", "state", "committed (UTC)", "by", "run", "rows")
    for version in found.versions:
        state = "[green]shown[/]" if version.is_current and found.deleted_at is None else version.state
        counts = ", ".join(f"{count} {name}" for name, count in version.counts.items())
        when = f"{version.committed_at:%Y-%m-%d %H:%M:%S}"
        number = f"{version.version} [dim](id {version.version_id})[/]"
        table.add_row(number, state, when, plain(version.committed_by), plain(version.run_id), counts)
    console.print(table)
    for move in found.moves:
        from_version = "nothing" if move.from_version is None else f"version {move.from_version}"
        late = "" if move.effective_at == move.changed_at else " (the clock had jumped back)"
        console.print(
            f"{move.changed_at:%Y-%m-%d %H:%M:%S}{late}  {from_version} → version {move.to_version}"
            f"  {move.cause} by {plain(move.changed_by)}",
            soft_wrap=True,
        )


def _print_diff(console: Console, found: VersionDiff, most: int | None) -> None:
    console.print(f"{found.video_id}: version {found.before} → version {found.after}")
    for table in found.tables:
        counts = f"{table.rows_before} → {table.rows_after} rows"
        if not table.differs:
            console.print(f"[bold]{table.table}[/]  the same ({counts})")
            continue
        told = f"{len(table.changed)} changed, {len(table.only_after)} new, {len(table.only_before)} gone"
        console.print(f"[bold]{table.table}[/]  {told}, {table.same} the same ({counts})")
        for line in islice(_lines(table), most):
            console.print(f"  {plain(line)}", soft_wrap=True, highlight=False)
        left = len(table.changed) + len(table.only_after) + len(table.only_before) - (most or 0)
        if most is not None and left > 0:
            console.print(f"  … and {left} more: see --all")


def _lines(table: TableDiff) -> Iterator[str]:
    for row in table.changed:
        values = (f"{name}: {row.before[name]!r} → {row.after[name]!r}" for name in row.before)
        yield f"~ {_worded(row.key)}  {', '.join(values)}"
    yield from (f"- {_worded(row)}" for row in table.only_before)
    yield from (f"+ {_worded(row)}" for row in table.only_after)


def _worded(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in row.items())
