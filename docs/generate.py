"""Writes the documentation that is made from the code: `schema.md` and `configuration.md`.

`make docs` runs it; with `--check` it writes nothing, and its exit status is 1 where a page differs from what it would
write. What does not belong here: pages that people write (`adr/`, `runbooks/`) and any fact that the code does not
state. A meaning that is missing on a page is missing in the code.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from bri_assets.schemas import STORE_TABLES, Column, TableSpec
from bri_assets.settings import Settings
from bri_assets.store import StoreFile

MADE = "<!-- Made by docs/generate.py from the code: change that, then run `make docs`. -->"

SCHEMA_INTRODUCTION = """# The tables of the store

Each table has one pandera model in `bri_assets/schemas/`, and everything else follows it: the constraints of the
database, the columns that Dagster's UI shows, and this page. Types are DuckDB's. Checks and rules hold in the database,
not only in Python; besides, every DOUBLE is finite, and what is not marked under "null" is NOT NULL.

`frames`, `captions`, `transcripts` and `detections` are the four tables of a version: a commit only ever adds
rows to them, under a new `version_id`, and `current_versions` says which version readers see. Read the
[views](#views), which follow it. The rows of an archived version are in the Parquet files that `archived_tables` names;
`purges`, `backups` and `audit_log` outlive the videos that they tell of."""

#: What each view is for; its columns are read off the database.
VIEWS = {
    "v_videos": "The facts of each video's file, with the row counts and sample slots of its current version.",
    "v_frames": "`frames` of the current versions.",
    "v_captions": "`captions` of the current versions.",
    "v_transcripts": "`transcripts` of the current versions.",
    "v_detections": "`detections` of the current versions.",
    "video_context": "One row a frame: its caption, the objects seen in it (best first) and the words spoken from its"
    " time until the next sample. The shape that an agent reads.",
}

CONFIGURATION_INTRODUCTION = """# Configuration

Every setting is an environment variable, read once when a process starts; an empty value counts as not set. A value
that is out of its limits ends the process with a message that names the variable (`bri`: exit status 2). `BRI_*`
variables that are not listed are ignored. Processes that share a `BRI_HOME` should share their settings."""

#: The settings in the order of the page; each stands in one group.
SETTINGS = {
    "Places": ("home", "models_dir", "backups_dir"),
    "Uploads and frames": ("settle_s", "intake_budget_s", "intake_batch", "frame_interval_s", "jpeg_quality"),
    "Models": (
        "device",
        "captioner",
        "captioner_model",
        "captioner_batch_size",
        "captioner_max_tokens",
        "detector_model",
        "detector_batch_size",
        "detector_threshold",
        "transcriber_model",
        "transcriber_language",
        "transcriber_chunk_s",
    ),
    "Search and memory": (
        "embedder_model",
        "embedder_batch_size",
        "index_vectors_from",
        "index_follow_s",
        "index_behind_s",
        "memory_keep_days",
    ),
    "Server": (
        "serve_host",
        "serve_port",
        "serve_auth",
        "serve_hosts",
        "serve_origins",
        "serve_rate",
        "serve_threads",
        "serve_waiting",
        "serve_timeout_s",
        "serve_body_mb",
        "upload_max_gb",
        "upload_parallel",
        "upload_stall_s",
        "serve_streams",
        "cache_mb",
        "cache_ttl_s",
        "redis_url",
        "redis_timeout_s",
    ),
    "Runs and the store": (
        "executor",
        "run_nice",
        "retries",
        "store_wait_s",
        "read_timeout_s",
        "read_cursors",
        "encryption_key",
    ),
    "Upkeep": (
        "backup_cron",
        "backup_keep",
        "upkeep_cron",
        "archive_after_days",
        "purge_after_days",
        "orphan_after_hours",
        "drill_cron",
        "verify_cron",
        "measure_cron",
        "reconcile_s",
    ),
    "Retries and limits": (
        "upload_attempts",
        "retry_after_s",
        "frames_limit_s",
        "captions_limit_s",
        "transcripts_limit_s",
        "detections_limit_s",
        "breaker_failures",
        "breaker_reset_s",
    ),
    "What alerts": (
        "completeness_min",
        "confidence_min",
        "low_confidence_share_max",
        "repeated_captions_max",
        "empty_captions_max",
        "silence_share_max",
        "repeated_words_max",
        "volume_deviation_max",
        "volume_peers_min",
        "freshness_h",
        "stuck_s",
        "frames_target_s",
        "captions_target_s",
        "transcripts_target_s",
        "detections_target_s",
        "backlog_most",
        "backlog_wait_s",
        "disk_free_min",
        "disk_free_min_gb",
        "backup_age_h",
        "verify_age_h",
    ),
    "Alerts and `bri watch`": (
        "alert_urls",
        "alert_s",
        "alert_group",
        "alert_timeout_s",
        "watch_daemon_s",
        "watch_alerts_s",
        "watch_undelivered_s",
        "watch_memory",
    ),
    "What is seen and told": ("preview_frames", "preview_rows", "log_format", "log_level", "metrics"),
}

CONFIGURATION_END = """## Dagster's own

`DAGSTER_HOME` is the folder of Dagster's instance: runs, events and `dagster.yaml`, which says among other things how
many runs work at the same time. `bri` and `make` take `dagster` in `BRI_HOME` unless it is set, and put the package's
`dagster.yaml` there when there is none. A `dagster` command that you start yourself needs it set to an absolute path.

## OpenTelemetry's own

Traces are sent where the standard variables `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) say so; see
[the runbook](runbooks/telemetry.md). Without them nothing of it is even imported.

## Of `make`

| variable | default | meaning |
|---|---|---|
| `KILLS` | `1000` | Processes that `make faults` kills. |
| `PORT` | `3000` | Port of `make ui`, on 127.0.0.1. |
| `PYTHON` | `python3` | The Python that makes the virtual environment, 3.11 or newer. |
| `SEED` | | Seed of the kills of `make faults`, to repeat a run. |

`bri ui` (`make ui`) and `bri demo` (`make demo`) set `BRI_CAPTIONER`
to `auto` unless it is set already."""


_SETTING = ("variable", "type", "default", "limits", "meaning")


def main() -> int:
    """Write the pages, or with `--check` compare them; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the documentation that is made from the code.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent, help="where the pages lie")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a page is out of date")
    arguments = parser.parse_args()
    pages = {"schema.md": schema_page(), "configuration.md": configuration_page()}
    outdated = [name for name, text in pages.items() if _read(arguments.folder / name) != text]
    for name in outdated:
        if arguments.check:
            sys.stderr.write(f"{name} is out of date: run `make docs`.\n")
        else:
            (arguments.folder / name).write_text(pages[name], encoding="utf-8")
            sys.stdout.write(f"{name} written\n")
    return 1 if arguments.check and outdated else 0


def schema_page() -> str:
    """Every table of the store and every view, as Markdown."""
    contents = " · ".join(f"[{spec.name}](#{spec.name})" for spec in STORE_TABLES)
    parts = [MADE, SCHEMA_INTRODUCTION, contents, *(_table_section(spec) for spec in STORE_TABLES), _views_section()]
    return "\n\n".join(parts) + "\n"


def configuration_page() -> str:
    """Every setting, as Markdown."""
    fields = Settings.model_fields
    grouped = [name for names in SETTINGS.values() for name in names]
    if sorted(grouped) != sorted(fields):
        raise ValueError(f"each setting belongs into one group: {set(grouped) ^ set(fields) or grouped}")
    settings = [
        f"## {title}\n\n" + _markdown(_SETTING, [_setting_row(name, fields[name]) for name in names])
        for title, names in SETTINGS.items()
    ]
    return "\n\n".join([MADE, CONFIGURATION_INTRODUCTION, *settings, _folders_section(), CONFIGURATION_END]) + "\n"


def _setting_row(name: str, field: FieldInfo) -> tuple[str, ...]:
    described = (_type(field.annotation), _default(field), _limits(field), field.description or "")
    return (f"`BRI_{name.upper()}`", *described)


def _table_section(spec: TableSpec) -> str:
    facts = [f"Key: {_codes(spec.stored_key)}."]
    facts += [f"Foreign key: `{column}` → `{parent}`." for column, parent in spec.stored_references]
    facts += [f"Unique together: {_codes(names)}." for names in spec.unique]
    facts += [f"Rule: `{rule}`." for rule in spec.rules]
    rows = [
        (
            f"`{column.name}`",
            column.sql_type,
            "yes" if column.nullable else "",
            _checks(column),
            column.meaning,
        )
        for column in spec.stored_columns
    ]
    table = _markdown(("column", "type", "null", "checks", "meaning"), rows)
    return "\n\n".join([f"## {spec.name}", inspect.cleandoc(spec.model.__doc__ or ""), " ".join(facts), table])


def _views_section() -> str:
    sections = ["## Views", "Each shows the current versions of videos that are not deleted, without the version."]
    with tempfile.TemporaryDirectory() as folder, StoreFile(Path(folder) / "bri.duckdb").open() as connection:
        found = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY view_name")
        names = {str(name) for (name,) in found.fetchall()}
        if names != VIEWS.keys():
            raise ValueError(f"the store has the views {sorted(names)}, and these are described: {sorted(VIEWS)}")
        for name, meaning in VIEWS.items():
            described = connection.execute(f"DESCRIBE {name}").fetchall()  # a name of our own
            columns = ", ".join(f"`{column[0]}` {column[1]}" for column in described)
            sections += [f"### {name}", meaning, columns]
    return "\n\n".join(sections)


def _checks(column: Column) -> str:
    said = ["unique"] if column.unique else []
    return "; ".join(said + [_check(name, statistics) for name, statistics in column.checks])


def _check(name: str, statistics: dict[str, Any]) -> str:
    match name:
        case "greater_than_or_equal_to":
            return f"`>= {statistics['min_value']}`"
        case "greater_than":
            return f"`> {statistics['min_value']}`"
        case "less_than_or_equal_to":
            return f"`<= {statistics['max_value']}`"
        case "str_matches":
            return f"matches `{statistics['pattern']}`"
        case "str_contains":
            return f"contains `{statistics['pattern']}`"
        case "str_length":
            return _length(statistics["min_value"], statistics.get("max_value"))
        case "isin":
            return f"one of {_codes(statistics['allowed_values'])}"
        case _:
            raise ValueError(f"no words are known for the check {name}; add them to docs/generate.py")


def _length(least: int, most: int | None) -> str:
    if most is not None:
        return f"length `{least}` to `{most}`"
    return "not empty" if least == 1 else f"length `>= {least}`"


def _folders_section() -> str:
    rows = [
        (f"`{name}`", inspect.getdoc(field.wrapped_property) or "", _below_home(name))
        for name, field in Settings.model_computed_fields.items()
    ]
    introduction = "These follow from the settings and are none of their own."
    return f"## Folders and files\n\n{introduction}\n\n{_markdown(('name', 'meaning', 'where'), rows)}"


def _below_home(name: str) -> str:
    settings = Settings(home=Path("/BRI_HOME"), models_dir=None)
    return f"`{getattr(settings, name).relative_to('/').as_posix()}`"


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "one of " + _codes(get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_type(part) for part in get_args(annotation) if part is not type(None))
    words = {"int": "whole number", "float": "number", "Decimal": "number", "Path": "path"}
    words |= {"str": "text", "SecretStr": "text, never printed"}
    return words[annotation.__name__]


def _default(field: FieldInfo) -> str:
    return "" if field.default is None else f"`{field.default}`"


def _limits(field: FieldInfo) -> str:
    signs = {
        annotated_types.Ge: (">=", "ge"),
        annotated_types.Gt: (">", "gt"),
        annotated_types.Le: ("<=", "le"),
        annotated_types.Lt: ("<", "lt"),
    }
    limits = [(*signs[type(limit)], limit) for limit in field.metadata if type(limit) in signs]
    return ", ".join(f"`{sign} {getattr(limit, name)}`" for sign, name, limit in limits)


def _codes(values: Iterable[object]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _markdown(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    raise SystemExit(main())
