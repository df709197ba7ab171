"""``bri reproduce``: what would have to be run to get a version's rows again, and whether running it gives them.

What does not belong here: the recipe, the run and the comparison (``bri_assets.reproduce``).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from bri_assets.display import plain, print_comparison, print_json, print_recipe
from bri_assets.reproduce import TOLERANCES, Machine, Recipe, TableComparison, compare, look, plan, rerun
from bri_assets.session import open_session

__all__ = ["app"]

app = typer.Typer()


@app.command()
def reproduce(
    video: Annotated[str, typer.Argument(help="A video's id, the beginning of it, or its file name.")],
    version: Annotated[int | None, typer.Option(min=1, help="Version of the video; default: the current one.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Run it in a scratch home, and compare.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What would have to be run to get these rows again, from their lineage; --verify runs it and compares."""
    session = open_session()
    found = session.store.video(video, version=version)
    recipe = plan(found)
    machine = look(recipe, session.settings, session.store.staging)
    if not as_json:
        print_recipe(session.console, recipe, machine)
    tables: tuple[TableComparison, ...] = ()
    if verify:
        progress = Console(stderr=True) if as_json else session.console

        def report(line: str) -> None:
            progress.print(f"[dim]{plain(line)}[/]", soft_wrap=True)

        tables = compare(found, rerun(recipe, machine, session.settings, report))
    if as_json:
        print_json(_as_json(recipe, machine, tables if verify else None))
    elif verify:
        print_comparison(session.console, tables)
    if not all(table.reproduced for table in tables):
        raise typer.Exit(1)


def _as_json(recipe: Recipe, machine: Machine, tables: tuple[TableComparison, ...] | None) -> dict[str, Any]:
    said: dict[str, Any] = {
        **{name: getattr(recipe, name) for name in ("video_id", "filename", "version", "source_sha256", "size_bytes")},
        "source": machine.source,
        "tables": [asdict(step) | {"weights": machine.weights.get(step.table)} for step in recipe.steps],
        "environment": machine.environment,
        "command": machine.command,
        "differences": [asdict(difference) for difference in machine.differences],
        "problems": [str(problem) for problem in machine.problems],
        "gaps": recipe.gaps,
    }
    if tables is None:
        return said
    verified = [asdict(table) | {"reproduced": table.reproduced, "identical": table.identical} for table in tables]
    reproduced = all(table.reproduced for table in tables)
    return said | {"verified": {"reproduced": reproduced, "tolerances": TOLERANCES, "tables": verified}}
