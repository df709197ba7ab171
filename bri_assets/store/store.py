"""The one door to the store: every mutation and every read of the package goes through `Store`.

It opens the file for one short piece of work and closes it again. What does not belong here: SQL (its neighbours') and
anything slow: staged files are read and images hashed before the database is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from bri_assets.errors import StoreDamaged
from bri_assets.files import sha256_file
from bri_assets.settings import Settings
from bri_assets.staging import Bundle, StagingArea
from bri_assets.store import audit, migrations, reads, uploads
from bri_assets.store.commit import CommitRequest, CommittedVersion, commit, require_committed
from bri_assets.store.connection import StoreFile, transaction
from bri_assets.store.uploads import Claim, NewUpload, PendingUpload

__all__ = ["Store"]


@dataclass(frozen=True)
class Store:
    """The committed store of one BRI_HOME.

    Args:
        home: BRI_HOME; image paths are relative to it.
        file: the database file.
        staging: where bundles are read from.

    Every method raises ``StoreBusy``, ``StoreDamaged``, ``StoreOutdated``, ``StoreTooNew`` or ``StorageFailed`` where
    the file cannot be opened.
    """

    home: Path
    file: StoreFile
    staging: StagingArea

    @classmethod
    def of(cls, settings: Settings) -> Store:
        """The store of a process's BRI_HOME; opens nothing yet."""
        file = StoreFile(settings.store_path, settings.store_wait_s)
        return cls(settings.home, file, StagingArea(settings.staged_dir))

    def commit(self, bundle: Bundle, *, run_id: str, channel: str) -> CommittedVersion:
        """Make a bundle the current version of its video: all of its tables or none.

        Args:
            bundle: the staged manifests.
            run_id: Dagster run that commits.
            channel: the way in, for the audit log.

        Raises:
            StagedMissing, StagedDamaged, RowsInvalid: a staged table cannot be used; nothing was opened.
            CommitRefused: a proof or constraint failed; the store is as it was but for the record of it.
            CommitUnverified: the database lost what it acknowledged.
        """
        rows = {name: self.staging.read(manifest) for name, manifest in bundle.manifests.items()}
        request = CommitRequest(bundle, rows, self._image_hashes(rows["frames"]), run_id, audit.actor(channel))
        with self.file.open() as connection:
            return commit(connection, request)

    def claim(self, upload: NewUpload, *, requested_by: str, priority: int = 0) -> Claim:
        """Reserve an accepted upload for ingest, or learn that it needs none."""
        with self._transaction() as connection:
            who = audit.actor(requested_by)
            return uploads.claim(connection, upload, requested_by=requested_by, priority=priority, who=who)

    def quarantine(self, upload: NewUpload, *, code: str, reason: str, requested_by: str) -> None:
        """Record a file that is refused, and why."""
        with self._transaction() as connection:
            who = audit.actor(requested_by)
            uploads.quarantine(connection, upload, code=code, reason=reason, requested_by=requested_by, who=who)

    def mark_failed(self, video_id: str, *, run_id: str | None, channel: str, code: str, reason: str) -> None:
        """Record that the ingest of a video failed, and why."""
        with self._transaction() as connection:
            who = audit.actor(channel)
            uploads.mark_failed(connection, video_id, run_id=run_id, who=who, code=code, reason=reason)

    def set_run(self, upload_id: str, run_id: str) -> None:
        """Record the run that works on an upload."""
        with self._transaction() as connection:
            uploads.set_run(connection, upload_id, run_id)

    def pending(self) -> list[PendingUpload]:
        """Uploads that are being ingested."""
        with self.file.open() as connection:
            return uploads.pending(connection)

    def seen(self) -> dict[str, str]:
        """The signature under which each path was last looked at."""
        with self.file.open() as connection:
            return uploads.seen(connection)

    def status(self) -> list[dict[str, Any]]:
        """Every upload and what became of it; see ``reads.status``."""
        with self.file.open() as connection:
            return reads.status(connection)

    def video(self, name: str) -> dict[str, Any]:
        """All that is committed of the video that a person means; see ``reads.find_video`` and ``reads.video``.

        Raises:
            VideoNotFound: there is none, or more than one.
            StoreDamaged: its rows are not those that were committed.
        """
        with self.file.open() as connection:
            video_id = reads.find_video(connection, name)
            require_committed(connection, video_id)
            return reads.video(connection, video_id)

    def verify(self, video_id: str) -> None:
        """See that a committed video's rows and images are those that were committed.

        Raises:
            StoreDamaged: they are not; says which, and what to do.
        """
        with self.file.open() as connection:
            require_committed(connection, video_id)
            frames = reads.video(connection, video_id)["frames"]
        hashes = self._image_hashes(pd.DataFrame(frames, columns=["frame_index", "image_path"]))
        wrong = [row["image_path"] for row in frames if hashes.get(row["frame_index"]) != row["image_sha256"]]
        if wrong:
            what = f"{len(wrong)} image(s) are missing or were changed, the first is {wrong[0]}."
            remedy = (
                "Remove what was changed, and materialize all assets of this partition again: in the UI, or `dagster`."
            )
            raise StoreDamaged(video_id, what, remedy)

    def migrate(self) -> None:
        """Bring the store to the newest revision.

        Raises:
            StoreDamaged: a migration failed; the store is as it was.
        """
        with self.file.exclusively() as path:
            migrations.upgrade(path)

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.file.open() as connection, transaction(connection):
            yield connection

    def _image_hashes(self, frames: pd.DataFrame) -> dict[int, str]:
        hashes = {}
        for index, path in zip(frames["frame_index"].tolist(), frames["image_path"].tolist(), strict=True):
            image = self.home / path
            # A missing image has no hash, and the proof names the frame.
            if image.is_file():
                hashes[index] = sha256_file(image)
        return hashes
