"""The audit log: one row a mutation, written in the mutation's own transaction. It holds ids and hashes, no content."""

from __future__ import annotations

import getpass
import json
from typing import Any

import duckdb

from bri_assets.store.access.journal import Event

__all__ = ["actor", "keep", "record"]


def actor(channel: str) -> str:
    """Who acts: the way in (`cli`, `sensor`, `pipeline`) and the user of the operating system, as `cli:ada`."""
    return f"{channel}:{getpass.getuser()}"


def record(
    connection: duckdb.DuckDBPyConnection,
    *,
    who: str,
    action: str,
    entity: str,
    entity_id: str,
    rows_sha256: str | None = None,
    run_id: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Append one event in the current transaction.

    Args:
        connection: a connection with a transaction open.
        who: as ``actor`` gives it.
        action: what was done, `entity.verb`.
        entity: the table.
        entity_id: the key of the row.
        rows_sha256: hash of the rows concerned.
        run_id: the Dagster run.
        detail: what else a person needs, JSON-able; never content of a video.
    """
    connection.execute(
        "INSERT INTO audit_log VALUES (nextval('event_ids'), now(), ?, ?, ?, ?, ?, ?, ?)",
        [who, action, entity, entity_id, rows_sha256, run_id, json.dumps(detail or {}, default=str, sort_keys=True)],
    )


def keep(connection: duckdb.DuckDBPyConnection, event: Event) -> None:
    """Append an event as it was when it happened, in the current transaction; for a replay onto a restored store."""
    connection.execute("INSERT INTO audit_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", event.row())
