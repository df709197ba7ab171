"""What the tests of a compaction share: stores with versions in them, and something done in the middle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bri_assets.files import sha256_bytes
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.compaction import compact as module
from bri_assets.store.compaction.compact import Compaction
from bri_assets_tests.bundles import rows, stage

__all__ = ["commit", "compaction_of", "files_beside", "id_of", "meanwhile", "store_in"]


def store_in(home: Path, wait_s: float = 5) -> Store:
    return Store.of(Settings(home=home, store_wait_s=wait_s))


def compaction_of(store: Store) -> Compaction:
    return Compaction(store.home, store.file, store.staging)


def commit(store: Store, name: str = "holiday", note: str = "", frames: int = 4) -> int:
    """Commit a version of a video whose first caption is a note of its own."""
    sha256 = sha256_bytes(name.encode())
    tables = rows(store.home, frames=frames, video_id=id_of(name), sha256=sha256)
    tables["captions"][0]["text"] = f"{name} {note}"
    bundle = stage(store.home, tables)
    return store.commit(bundle, run_id="run-1", channel="test").version_id


def id_of(name: str) -> str:
    return f"{name}-{sha256_bytes(name.encode())[:12]}"


def files_beside(store: Store) -> set[str]:
    """What a compaction might leave; locks, the write-ahead log and the socket of an owner are no such thing."""
    own = {"bri.lock", "bri.compacting.lock", "bri.duckdb.wal", "bri.sock"}
    return {path.name for path in store.file.path.parent.iterdir()} - own


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something done after the new file was written and proven, and before it is adopted."""
    real = module.rewrite

    def rewrite(*arguments: Any) -> int:
        written = real(*arguments)
        act()
        return written

    monkeypatch.setattr(module, "rewrite", rewrite)
