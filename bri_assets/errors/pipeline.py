"""Errors of the pipeline and of the store.

What does not belong here: errors of search and of the server (``serving``).
"""

from __future__ import annotations

from typing import Any

from bri_assets.errors.base import BriError

__all__ = [
    "AlertUrlWrong",
    "ArchiveDamaged",
    "AudioUnreadable",
    "BackupDamaged",
    "BreakerOpen",
    "CommitRefused",
    "CommitUnverified",
    "DeliveryFailed",
    "EncryptionFailed",
    "ImageDamaged",
    "InstanceUnusable",
    "JournalDamaged",
    "ModelFailed",
    "OwnerFailed",
    "OwnerGone",
    "QueryTooSlow",
    "RerunFailed",
    "RestoreFailed",
    "RowsInvalid",
    "SilenceNotFound",
    "SourceMissing",
    "StageTimeout",
    "StagedDamaged",
    "StagedMissing",
    "StorageFailed",
    "StoreBehind",
    "StoreBusy",
    "StoreDamaged",
    "StoreMissing",
    "StoreOutdated",
    "StoreTooNew",
    "TelemetryFailed",
    "UpkeepUnfinished",
    "UploadChanged",
    "UploadRefused",
    "VersionNotFound",
    "VideoDeleted",
    "VideoNotFound",
    "WeightsDamaged",
    "WeightsMissing",
]


class UploadRefused(BriError):
    """A file is not a video that can be ingested; it is quarantined and not tried again until it changes.

    Args:
        code: one word for the kind of refusal: ``missing``, ``unreadable``, ``empty``, ``not_a_video``, ``no_picture``,
            ``truncated``, ``undecodable``, ``bad_name``, ``purged``. Stable: alerts and tests go by it.
    """

    def __init__(self, subject: object, what: str, remedy: str = "", code: str = "refused") -> None:
        super().__init__(subject, what, remedy)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments of this class (Dagster's multiprocess executor sends errors between processes)."""
        return (type(self), (self.subject, self.what, self.remedy, self.code))


class UploadChanged(BriError):
    """The file's bytes changed while it was read; what was read of it is thrown away."""


class ImageDamaged(BriError):
    """An image on disk is not what was written, or cannot be decoded."""


class AudioUnreadable(BriError):
    """The file has an audio track of which nothing could be decoded."""


class StorageFailed(BriError):
    """The file system refused a write (full, read-only, no permission)."""


class RowsInvalid(BriError):
    """Rows break the schema of their table.

    Args:
        table: the table's name.
        failures: one mapping for each failing value, at most 100: ``column``, ``check``, ``failure_case``, ``index``.
    """

    quotes = True

    def __init__(self, table: str, failures: list[dict[str, Any]]) -> None:
        super().__init__(
            table,
            f"{len(failures)} value(s) break the table's schema; the first: {failures[0] if failures else 'unknown'}",
            "Nothing was staged. The asset's check lists the failing values.",
        )
        self.failures = failures

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments of this class rather than those of its base."""
        return (type(self), (self.subject, self.failures))


class WeightsMissing(BriError):
    """A model's weights are not on this machine, or cannot be fetched."""


class WeightsDamaged(BriError):
    """A model's weights are not the bytes that were expected."""


class ModelFailed(BriError):
    """A model raised while it worked on real input. A failed model is a failed run, never an empty table."""


class StageTimeout(BriError):
    """A stage took longer than it may and was stopped."""


class BreakerOpen(BriError):
    """A model or hub failed so often that it is not asked for a while; the work was not begun."""


class DeliveryFailed(BriError):
    """An alert could not be delivered; it is tried again."""

    retryable = True


class AlertUrlWrong(BriError):
    """A URL of BRI_ALERT_URLS is none that alerts can be sent to; it is named by its place, for it may hold secrets."""


class SilenceNotFound(BriError):
    """There is no such silence."""


class TelemetryFailed(BriError):
    """Metrics of this process cannot be kept; its work goes on without them."""


class StagedMissing(BriError):
    """A staged table that the commit or a later stage needs has not been made."""


class StagedDamaged(BriError):
    """A staged file does not hold what its manifest says."""


class StoreBusy(BriError):
    """Another process holds the store; trying again may help."""

    retryable = True


class StoreDamaged(BriError):
    """The database file cannot be opened or contradicts itself."""


class StoreBehind(BriError):
    """The database holds less than was acknowledged: it is an older copy, or it lost commits."""


class StoreMissing(BriError):
    """There is no database file, though one was written to before."""


class JournalDamaged(BriError):
    """A line of the journal is not what was written."""


class QueryTooSlow(BriError):
    """A read took longer than it may and was stopped."""


class OwnerGone(BriError):
    """The process that owns the store went away before it answered.

    Args:
        untouched: it never got the request; otherwise, whether the work was done has to be looked up.
    """

    retryable = True

    def __init__(self, subject: object, what: str, remedy: str = "", untouched: bool = False) -> None:
        super().__init__(subject, what, remedy)
        self.untouched = untouched

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments of this class rather than those of its base."""
        return (type(self), (self.subject, self.what, self.remedy, self.untouched))


class OwnerFailed(BriError):
    """The process that owns the store cannot do what was asked: it met an error that is not one of ours."""


class EncryptionFailed(BriError):
    """A store cannot be encrypted safely here, or does not open with the key that was given, or without one."""


class BackupDamaged(BriError):
    """A backup is not what was made, or cannot be proven; nothing is restored from it."""


class RestoreFailed(BriError):
    """A restore or replay cannot bring back what was committed; the store is as it was."""


class ArchiveDamaged(BriError):
    """The archived rows of a version are not those that were committed."""


class StoreOutdated(BriError):
    """The store was made by an older version of the package and needs a migration."""


class StoreTooNew(BriError):
    """The store was made by a newer version of the package than this one."""


class UpkeepUnfinished(BriError):
    """Some of what was due failed; the rest was done. A store that was busy is one of the reasons."""

    retryable = True


class VideoNotFound(BriError):
    """No such committed video."""


class VersionNotFound(BriError):
    """The video has no such version, or had none at that time, or its rows are in the archive."""


class VideoDeleted(BriError):
    """The video is deleted, or is being purged, and what was asked needs it not to be."""


class InstanceUnusable(BriError):
    """Dagster cannot open its instance: its configuration is wrong, or its folder cannot be used."""


class CommitRefused(BriError):
    """A proof or a constraint of the database refused the commit; the store is as it was.

    Args:
        video_id: the video whose commit was refused.
        failed: for each failed proof its name and the offending rows (at most 100 each).
    """

    def __init__(self, video_id: str, failed: dict[str, list[dict[str, Any]]]) -> None:
        super().__init__(
            video_id,
            f"the commit was refused by {', '.join(failed)}; the store is unchanged.",
            "See the check 'proofs' of committed_video for the offending rows, rematerialize the asset they name.",
        )
        self.failed = failed

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments of this class rather than those of its base."""
        return (type(self), (self.subject, self.failed))


class CommitUnverified(BriError):
    """A commit was acknowledged by the database, but reading it back through a new cursor shows something else."""


class SourceMissing(BriError):
    """The file that a version was made of is not where it was, or no longer holds the same bytes."""


class RerunFailed(BriError):
    """The rows of a version could not be made again: the run of its recipe did not end in a commit."""
