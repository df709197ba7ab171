"""``bri compact``: the disk space of what was superseded, archived or purged is given back.

What does not belong here: the compaction itself (``store.compact``).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from bri_assets.display import print_json
from bri_assets.session import open_session
from bri_assets.store.compaction.compact import Compaction

__all__ = ["app"]

app = typer.Typer()


@app.command()
def compact(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Give disk space back: the store goes on in a new, small file, proven before it takes the old one's place."""
    session = open_session()
    done = Compaction.of(session.settings).compact(channel="cli")
    if as_json:
        print_json(asdict(done))
        return
    session.console.print(
        f"[green]compacted[/]: {done.bytes_before / 1e6:.1f} MB are now {done.bytes_after / 1e6:.1f} MB,"
        f" {done.rows} rows proven, in {done.seconds:.1f} s"
    )
    session.console.print(
        f"commits waited {done.paused_copy_s:.1f} s while the files were copied and {done.paused_swap_s:.1f} s"
        f" for the swap, with {done.rows_since} row(s) changed since"
    )
