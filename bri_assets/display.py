"""How results look in a terminal: tables of uploads and of one video, and a run's progress as it goes.

What does not belong here: what is read from the store, and exit statuses (``cli``).
"""

from __future__ import annotations

import json
import shlex
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import typer
from dagster import DagsterEventType, RunsFilter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bri_assets.reproduce import Deviation, Machine, Recipe, TableComparison

__all__ = [
    "at",
    "following",
    "plain",
    "print_comparison",
    "print_json",
    "print_recipe",
    "print_status",
    "print_video",
    "tell_of_index",
]

_POLL_S = 0.5
#: Values that are printed of what a run made otherwise; `--json` has all of them.
_MOST_DEVIATIONS = 40


def plain(text: str) -> str:
    """Text of others (a file's name, a model's words) for rich: no markup, and no character that moves a terminal."""
    return escape("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text))


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout: times in ISO 8601, what JSON does not know as its text."""

    def worded(thing: object) -> str:
        return thing.isoformat() if isinstance(thing, datetime) else str(thing)

    typer.echo(json.dumps(value, default=worded, ensure_ascii=False, indent=2))


def tell_of_index(console: Console, why: str) -> None:
    """That the index of the search did not follow a change that stands, and why; an empty reason says nothing."""
    if why:
        told = f"{plain(why)} It is tried again by itself; `bri index sync` does it now."
        console.print(f"[yellow]the search:[/] {told}", soft_wrap=True)


def print_status(console: Console, uploads: list[dict[str, Any]]) -> None:
    """Every upload, a row each: what became of it, and why if it was refused or failed."""
    table = Table("upload", "state", "what is committed")
    for row in uploads:
        colour = {"committed": "green", "ingesting": "yellow"}.get(row["state"], "red")
        upload = f"{plain(row['filename'])}\n[dim]{row['video_id'] or ''}[/]"
        table.add_row(upload, f"[{colour}]{row['state']}[/]", _committed(row))
    console.print(table)
    for row in uploads:
        if row["reason"]:
            console.print(f"[red]{plain(row['filename'])}[/] {row['state']}: {plain(row['reason'])}", soft_wrap=True)


def print_video(console: Console, found: dict[str, Any], home: Path) -> None:
    """One video: its facts, then a row a frame with what is seen and said at that time.

    Args:
        console: where to.
        found: as ``reads.video`` returns it.
        home: BRI_HOME, for the paths of images.
    """
    video = found["video"]
    console.print(
        f"[bold]{plain(video['filename'])}[/]  {video['duration_s']:.1f} s, {video['width']}x{video['height']},"
        f" {video['fps']:.3g} fps, {'with' if video['has_audio'] else 'without'} sound"
    )
    console.print(
        f"video {video['video_id']}, version {video['version']},"
        f" committed {video['committed_at']:%Y-%m-%d %H:%M:%S} UTC"
    )
    table = Table("time", "caption", "objects", "words spoken", show_lines=True)
    captions_by_frame = {row["frame_index"]: row["text"] for row in found["captions"]}
    said: set[int] = set()
    for frame in found["frames"]:
        objects, words = _objects(found, frame["frame_index"]), _words(found, frame, said)
        caption = captions_by_frame[frame["frame_index"]]
        table.add_row(f"{frame['timestamp_s']:.1f} s", plain(caption), plain(objects), plain(words))
    console.print(table)
    captions = next(row for row in found["lineage"] if row["table_name"] == "captions")
    console.print(f"captions by {captions['tool']} {captions['tool_version']} ({captions['model']})")
    if found["frames"]:
        console.print(f"images in {plain(str((home / found['frames'][0]['image_path']).parent))}", soft_wrap=True)


def print_recipe(console: Console, recipe: Recipe, machine: Machine) -> None:
    """What makes a version's rows again, what of it is another one on this machine, and what of it is missing."""
    console.print(f"[bold]{plain(recipe.filename)}[/]  {recipe.video_id}, version {recipe.version}")
    console.print(f"made of the file with the SHA-256 {recipe.source_sha256}", soft_wrap=True)
    table = Table("table", "made by", "with", show_lines=True)
    for step in recipe.steps:
        made_by = f"{step.tool} {step.tool_version}"
        if step.model is not None:
            made_by += f"\n{plain(step.model)}\n[dim]{(step.weights_sha256 or '')[:12]}…[/]"
        parameters = ", ".join(f"{name} {json.dumps(value)}" for name, value in sorted(step.parameters.items()))
        table.add_row(step.table, made_by, plain(parameters) or "[dim]nothing that changes rows[/]")
    console.print(table)
    console.print("To make the same rows in an empty home:")
    variables = [f"{name}={shlex.quote(value)}" for name, value in sorted(machine.environment.items())]
    lines = ['env BRI_HOME="$(mktemp -d)" DAGSTER_HOME=', *variables, shlex.join(machine.command)]
    console.print(" \\\n  ".join(plain(line) for line in lines), soft_wrap=True, highlight=False)
    for difference in machine.differences:
        here = "is not here" if difference.here is None else f"here {difference.here}"
        told = f"{difference.table}: {difference.what} was {difference.recorded}, {here}"
        console.print(f"[yellow]differs:[/] {plain(told)}", soft_wrap=True)
    for gap in recipe.gaps:
        console.print(f"[yellow]unknown:[/] {plain(gap)}", soft_wrap=True)
    for problem in machine.problems:
        console.print(f"[red]missing:[/] {plain(str(problem))}", soft_wrap=True)
    if not (machine.differences or recipe.gaps or machine.problems):
        console.print("The file, the weights and the libraries are here as they were then.")


def print_comparison(console: Console, tables: Sequence[TableComparison]) -> None:
    """What a run of the recipe made, held against what is committed, and the verdict."""
    shown = Table("table", "committed", "made again", "verdict", "largest difference")
    for table in tables:
        verdict = "[green]the same to the last bit[/]" if table.identical else "[green]within the tolerances[/]"
        if not table.reproduced:
            verdict = f"[red]{len(table.deviations)} difference(s)[/]"
        if table.images_differing:
            verdict += f"\n{table.images_differing} image(s) in other bytes"
        largest = ", ".join(f"{name} {value:.1e}" for name, value in table.largest.items() if value)
        shown.add_row(table.table, str(table.committed_rows), str(table.rerun_rows), verdict, largest)
    console.print(shown)
    deviations = [deviation for table in tables for deviation in table.deviations]
    for deviation in deviations[:_MOST_DEVIATIONS]:
        console.print(plain(_deviation(deviation)), soft_wrap=True)
    if len(deviations) > _MOST_DEVIATIONS:
        console.print(f"… and {len(deviations) - _MOST_DEVIATIONS} more: see --json")
    verdict = "[red]Not reproduced.[/]" if deviations else "[green]Reproduced.[/]"
    console.print(verdict)


def _deviation(deviation: Deviation) -> str:
    key = ", ".join(f"{name} {value}" for name, value in deviation.key.items())
    sides = [
        "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
        for value in (deviation.committed, deviation.rerun)
    ]
    allowed = "" if deviation.tolerance is None else f" (allowed: {deviation.tolerance:g})"
    return f"{deviation.table} {key} {deviation.column}: committed {sides[0]}, made again {sides[1]}{allowed}"


def at(found: dict[str, Any], at_s: float) -> dict[str, Any]:
    """What ``reads.video`` found, narrowed to one time: the frame shown then, and the words spoken then.

    Args:
        found: as ``reads.video`` returns it.
        at_s: the time in seconds. The frame is the last one at or before it (the first where there is none before).
    """
    before = [frame for frame in found["frames"] if frame["timestamp_s"] <= at_s]
    frames = before[-1:] or found["frames"][:1]
    shown = {frame["frame_index"] for frame in frames}
    narrowed = {
        name: [row for row in found[name] if row["frame_index"] in shown] for name in ("captions", "detections")
    }
    spoken = [row for row in found["transcripts"] if row["start_s"] <= at_s < row["end_s"]]
    return found | narrowed | {"frames": frames, "transcripts": spoken}


@contextmanager
def following(console: Console, instance: dg.DagsterInstance, tags: dict[str, str]) -> Iterator[None]:
    """Print the progress of the run that has these tags while the block works: its steps, and what they log."""
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(console, instance, tags, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(console: Console, instance: dg.DagsterInstance, tags: dict[str, str], over: threading.Event) -> None:
    run_id: str | None = None
    cursor: str | None = None
    while True:
        last = over.wait(_POLL_S)
        if run_id is None:
            runs = instance.get_runs(RunsFilter(tags=tags), limit=1)
            run_id = runs[0].run_id if runs else None
        if run_id is not None:
            connection = instance.get_records_for_run(run_id, cursor=cursor)
            cursor = connection.cursor
            for record in connection.records:
                line = _line(record.event_log_entry)
                if line:
                    console.print(line, highlight=False)
        if last:
            return


def _line(entry: dg.EventLogEntry) -> str | None:
    if not entry.is_dagster_event:
        if entry.user_message.startswith("Dependencies for step"):
            return None  # that a step did not run follows from the one that failed
        return f"    {plain(entry.user_message)}"
    event = entry.get_dagster_event()
    if event.event_type is DagsterEventType.STEP_START:
        return f"  [cyan]{event.step_key}[/] …"
    if event.event_type is DagsterEventType.STEP_SUCCESS:
        return f"  [green]{event.step_key}[/] done in {event.step_success_data.duration_ms / 1000:.1f} s"
    if event.event_type is DagsterEventType.STEP_FAILURE:
        return f"  [red]{event.step_key} failed[/]"
    if event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
        return f"  [yellow]{event.step_key} is tried again[/]"
    return None


def _objects(found: dict[str, Any], frame_index: int) -> str:
    seen = Counter(row["class_name"] for row in found["detections"] if row["frame_index"] == frame_index)
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in seen.most_common())


def _words(found: dict[str, Any], frame: dict[str, Any], said: set[int]) -> str:
    """What is spoken from this frame to the next; a segment that goes on from an earlier row is not printed again."""
    start, end = frame["timestamp_s"], frame["timestamp_s"] + found["video"]["sample_interval_s"]
    spoken = [row for row in found["transcripts"] if row["start_s"] < end and row["end_s"] > start]
    words = ["…" if row["segment_index"] in said else row["text"] for row in spoken]
    said.update(row["segment_index"] for row in spoken)
    return " ".join(words)


def _committed(row: dict[str, Any]) -> str:
    if row["version"] is None:
        return ""
    seen = f"{row['frames']} frames, {row['captions']} captions"
    heard = f"{row['detections']} objects, {row['transcript_segments']} speech segments"
    return f"version {row['version']}, {row['duration_s']:.1f} s\n{seen}\n{heard}"
