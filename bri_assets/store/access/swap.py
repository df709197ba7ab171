"""Putting another database file in the place of the store's: for a restore and for a compaction.

The plan is written first, so that a process that dies half way leaves what the next one to open the store finishes;
before the plan is there the store is the old one, after it the new one. Whoever calls this holds the lock beside the
store, and nobody has the file open. What does not belong here: how the new file is made and proven.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel

from bri_assets.errors import StoreDamaged
from bri_assets.files import storing, sync_folder, write_atomically

__all__ = ["Plan", "finish", "pending", "swap", "wal_of"]


class Plan(BaseModel):
    """What is put in whose place.

    Args:
        database: name of the new database file, beside the store's; closed, without a WAL.
        safety: folder in which the old files are kept; None to remove them.
        journal: the new journal, and the path of the one it replaces; None where the journal stays.
    """

    database: str
    safety: Path | None
    journal: tuple[Path, Path] | None = None


def wal_of(path: Path) -> Path:
    """DuckDB's write-ahead log of a database file."""
    return path.with_name(path.name + ".wal")


def swap(path: Path, plan: Plan) -> None:
    """Carry out a plan for the store at ``path``.

    Raises:
        StorageFailed: the disk refused. The store is as it was, unless the plan is ``pending``: then whoever opens the
            store next finishes it.
    """
    write_atomically(_plan_of(path), plan.model_dump_json().encode())
    try:
        finish(path)
    except BaseException:
        if path.exists() and path.with_name(plan.database).exists():
            _withdraw(path, plan)
        raise


def _withdraw(path: Path, plan: Plan) -> None:
    wal = wal_of(path)
    if plan.safety is not None and (plan.safety / wal.name).exists():
        os.replace(plan.safety / wal.name, wal)
    _plan_of(path).unlink()
    sync_folder(path.parent)


def pending(path: Path) -> bool:
    """Whether a plan for the store at ``path`` was begun and not finished."""
    return _plan_of(path).exists()


def finish(path: Path) -> None:
    """Carry out what is left of a plan, if there is one; each step can be done again.

    Raises:
        StorageFailed: the disk refused.
        StoreDamaged: what the plan names is gone, and so is the store.
    """
    if not pending(path):
        return
    plan = Plan.model_validate_json(_plan_of(path).read_bytes())
    new = path.with_name(plan.database)
    with storing(path, 0):
        if new.exists():
            # The log goes first: DuckDB would take it for that of the new file.
            _put_aside([wal_of(path), path], plan.safety)
            os.replace(new, path)
            sync_folder(path.parent)
        elif not path.exists():
            raise StoreDamaged(path, f"is gone, and so is {new.name}, which was to replace it.", "Run `bri restore`.")
        if plan.journal is not None and plan.journal[0].exists():
            _put_aside([plan.journal[1]], plan.safety)
            os.replace(*plan.journal)
            sync_folder(plan.journal[1].parent)
        _plan_of(path).unlink()
        sync_folder(path.parent)


def _put_aside(files: list[Path], safety: Path | None) -> None:
    for file in (file for file in files if file.exists()):
        if safety is None:
            file.unlink()
        else:
            safety.mkdir(parents=True, exist_ok=True)
            os.replace(file, safety / file.name)
            sync_folder(safety)


def _plan_of(path: Path) -> Path:
    return path.with_suffix(".swap.json")
