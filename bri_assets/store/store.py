"""The one door to the store for the pipeline: intake, commits, and reads of what is committed.

What does not belong here: SQL (its neighbours'), and anything slow while the database is held: staged files are read
and images hashed before. Other groups of operations have modules of their own (``GROUPS``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bri_assets.errors import StoreDamaged
from bri_assets.staging import Bundle
from bri_assets.store import audit, reads, uploads
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.commit import CommitRequest, CommittedVersion, commit, require_committed
from bri_assets.store.facts import with_facts
from bri_assets.store.images import image_hashes, not_as_committed
from bri_assets.store.uploads import Claim, NewUpload, PendingUpload

__all__ = ["Store"]


class Store(Operations):
    """The committed store of one BRI_HOME; see ``Operations`` for what it is made of and what every method raises."""

    @operation()
    def commit(self, bundle: Bundle, *, run_id: str, channel: str) -> CommittedVersion:
        """Make a bundle the current version of its video: all of its tables or none.

        Args:
            bundle: the staged manifests.
            run_id: Dagster run that commits.
            channel: the way in, for the audit log.

        Raises:
            StagedMissing, StagedDamaged: a staged table cannot be used; nothing was opened.
            CommitRefused: a proof or constraint failed; the store is as it was but for the record of it.
            CommitUnverified: the database lost what it acknowledged.
        """
        rows = {name: self.staging.read(manifest) for name, manifest in bundle.manifests.items()}
        request = CommitRequest(bundle, rows, image_hashes(self.home, rows["frames"]), run_id, audit.actor(channel))
        with self.file.open() as connection:
            return commit(connection, request)

    @operation()
    def claim(self, upload: NewUpload, *, requested_by: str, priority: int = 0) -> Claim:
        """Reserve an accepted upload for ingest, or learn that it needs none."""
        with self.writing() as connection:
            who = audit.actor(requested_by)
            return uploads.claim(connection, upload, requested_by=requested_by, priority=priority, who=who)

    @operation()
    def quarantine(self, upload: NewUpload, *, code: str, reason: str, requested_by: str) -> None:
        """Record a file that is refused, and why."""
        with self.writing() as connection:
            who = audit.actor(requested_by)
            uploads.quarantine(connection, upload, code=code, reason=reason, requested_by=requested_by, who=who)

    @operation()
    def mark_failed(self, video_id: str, *, run_id: str | None, channel: str, code: str, reason: str) -> None:
        """Record that the ingest of a video failed, and why."""
        with self.writing() as connection:
            who = audit.actor(channel)
            uploads.mark_failed(connection, video_id, run_id=run_id, who=who, code=code, reason=reason)

    @operation()
    def set_run(self, upload_id: str, run_id: str, *, channel: str) -> None:
        """Record the run that works on an upload."""
        with self.writing() as connection:
            uploads.set_run(connection, upload_id, run_id, who=audit.actor(channel))

    @operation()
    def pending(self) -> list[PendingUpload]:
        """Uploads that are being ingested."""
        with self.file.reading() as connection:
            return uploads.pending(connection)

    @operation()
    def seen(self) -> dict[str, str]:
        """The signature under which each path was last looked at."""
        with self.file.reading() as connection:
            return uploads.seen(connection)

    @operation()
    def status(self) -> list[dict[str, Any]]:
        """Every upload and what became of it; see ``reads.status``."""
        with self.file.reading() as connection:
            return reads.status(connection)

    @operation()
    def video(self, name: str, *, version: int | None = None, as_of: datetime | None = None) -> dict[str, Any]:
        """All that is committed of the video that a person means; see ``reads.find_video`` and ``reads.video``.

        Args:
            name: what the person says.
            version: the version to read; default: the one that is shown.
            as_of: read the version that was shown at this time instead; without a zone it is UTC.

        Raises:
            VideoNotFound: there is none, or more than one.
            VersionNotFound: it has no such version, or had none then, or its rows are in the archive.
            StoreDamaged: its rows are not those that were committed.
        """
        with self.file.reading() as connection:
            video_id = reads.find_video(connection, name)
            version_id = reads.find_version(connection, video_id, version=version, as_of=as_of)
            require_committed(connection, video_id, version_id)
            found = reads.video(connection, video_id, version_id)
        return with_facts(found, self.staging)

    @operation()
    def verify(self, video_id: str) -> None:
        """See that a committed video's rows and images are those that were committed.

        Raises:
            StoreDamaged: they are not; says which, and what to do.
        """
        with self.file.reading() as connection:
            require_committed(connection, video_id)
            frames = reads.video(connection, video_id)["frames"]
        wrong = not_as_committed(self.home, frames)
        if wrong:
            what = f"{len(wrong)} image(s) are missing or were changed, the first is {wrong[0]}."
            remedy = (
                "Remove what was changed, and materialize all assets of this partition again: in the UI, or `dagster`."
            )
            raise StoreDamaged(video_id, what, remedy)
