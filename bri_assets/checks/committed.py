"""What was committed of one video, as it is kept outside of the rows themselves: manifests and staged files.

What does not belong here: whether the rows, the images and the upload are still that (``verified``).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bri_assets.content import rows_of
from bri_assets.errors import StagedDamaged, StagedMissing
from bri_assets.schemas import STAGED_TABLES
from bri_assets.staging import Bundle, Manifest
from bri_assets.store.rows import manifest_table
from bri_assets.store.verify import Promise, Verification

__all__ = ["Case"]


class Case:
    """One video under verification, with what is read of it once for all checks.

    Args:
        store: reads of the store.
        promise: what was committed, as the store keeps it.
    """

    def __init__(self, store: Verification, promise: Promise) -> None:
        self.store, self.promise = store, promise

    @classmethod
    def of(cls, store: Verification, video_id: str) -> Case | None:
        """The case of the version that is shown; None where none is."""
        promise = store.promise(video_id)
        return None if promise is None else cls(store, promise)

    @cached_property
    def manifests(self) -> dict[str, Manifest | str]:
        """The staged manifest of each table as it was committed, or why it cannot be had."""
        return {table: self._manifest(table) for table in STAGED_TABLES}

    @cached_property
    def staged(self) -> dict[str, list[tuple[Any, ...]] | str]:
        """The staged rows of each table, or why they cannot be had."""
        return {table: self._rows(table, manifest) for table, manifest in self.manifests.items()}

    @cached_property
    def described(self) -> dict[str, dict[str, Any]]:
        """What was committed of each table, in the shape of ``lineage``: by its manifest, else by ``lineage``."""
        known = {name: one for name, one in self.manifests.items() if isinstance(one, Manifest)}
        rows = manifest_table(Bundle(self.promise.video_id, known)).to_pylist() if known else []
        recorded = {row["table_name"]: row for row in self.promise.lineage}
        return recorded | {row["table_name"]: row for row in rows}

    @cached_property
    def digests(self) -> dict[str, str]:
        """The digests of the manifests that were committed."""
        return {row["table_name"]: row["manifest_sha256"] for row in self.promise.lineage} | self.promise.digests

    def _manifest(self, table: str) -> Manifest | str:
        digest = self.digests.get(table)
        if digest is None:
            return "nothing says which manifest was committed"
        path = self.store.staging.root / self.promise.video_id / f"{table}-{digest[:12]}.json"
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return f"{path.name} is missing"
        except (OSError, ValidationError) as error:
            return f"{path.name} cannot be read: {error}"
        return manifest if manifest.digest == digest else f"{path.name} is not the manifest that was committed"

    def _rows(self, table: str, manifest: Manifest | str) -> list[tuple[Any, ...]] | str:
        if isinstance(manifest, str):
            return manifest
        try:
            return rows_of(STAGED_TABLES[table], self.store.staging.read(manifest))
        except (StagedMissing, StagedDamaged) as error:
            return f"{Path(error.subject).name} {error.what}"
