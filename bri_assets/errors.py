"""Every error that the package raises on purpose.

An error says what happened, to what, and what to do next; the cause is attached with ``raise … from``. Errors of
libraries are turned into one of these where the library is called, and nowhere else. What does not belong here: how an
error is shown (``cli``), turned into a Dagster failure (``assets.outcome``) or recorded (``store``).
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AudioUnreadable",
    "BriError",
    "CommitRefused",
    "CommitUnverified",
    "ImageDamaged",
    "InstanceUnusable",
    "ModelFailed",
    "RowsInvalid",
    "StagedDamaged",
    "StagedMissing",
    "StorageFailed",
    "StoreBusy",
    "StoreDamaged",
    "StoreOutdated",
    "StoreTooNew",
    "UploadChanged",
    "UploadRefused",
    "VideoNotFound",
    "WeightsDamaged",
    "WeightsMissing",
]


class BriError(Exception):
    """Base of all errors of this package.

    Args:
        subject: what it happened to (a file, a video, a table, a model).
        what: what happened, as a sentence without the subject.
        remedy: what a person can do next; empty where there is nothing to do.
    """

    #: Trying the same thing again, unchanged, may succeed.
    retryable = False

    def __init__(self, subject: object, what: str, remedy: str = "") -> None:
        self.subject, self.what, self.remedy = str(subject), what, remedy
        super().__init__(self.subject, what, remedy)

    def __str__(self) -> str:
        """The whole error as one line."""
        return " ".join(part for part in (f"{self.subject}: {self.what}", self.remedy) if part)


class UploadRefused(BriError):
    """A file is not a video that can be ingested; it is quarantined and not tried again until it changes.

    Args:
        code: one word for the kind of refusal: ``missing``, ``unreadable``, ``empty``, ``not_a_video``, ``no_picture``,
            ``truncated``, ``undecodable``, ``bad_name``. Stable: alerts and tests go by it.
    """

    def __init__(self, subject: object, what: str, remedy: str = "", *, code: str) -> None:
        super().__init__(subject, what, remedy)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the keyword argument (Dagster's multiprocess executor sends errors between processes)."""
        return (_refused, (self.subject, self.what, self.remedy, self.code))


def _refused(subject: str, what: str, remedy: str, code: str) -> UploadRefused:
    return UploadRefused(subject, what, remedy, code=code)


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


class StagedMissing(BriError):
    """A staged table that the commit or a later stage needs has not been made."""


class StagedDamaged(BriError):
    """A staged file does not hold what its manifest says."""


class StoreBusy(BriError):
    """Another process holds the store; trying again may help."""

    retryable = True


class StoreDamaged(BriError):
    """The database file cannot be opened or contradicts itself."""


class StoreOutdated(BriError):
    """The store was made by an older version of the package and needs a migration."""


class StoreTooNew(BriError):
    """The store was made by a newer version of the package than this one."""


class VideoNotFound(BriError):
    """No such committed video."""


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
