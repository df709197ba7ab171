"""What the store holds, so that a test can say that nothing changed."""

from __future__ import annotations

from typing import Any

from bri_assets.schemas import STORE_TABLES
from bri_assets.store import Store


def snapshot(store: Store, *, without: tuple[str, ...] = ("audit_log",)) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table but the audit log, which also records what was refused."""
    with store.file.open() as connection:
        return {
            spec.name: sorted(connection.execute(f"FROM {spec.name}").fetchall(), key=repr)
            for spec in STORE_TABLES
            if spec.name not in without
        }
