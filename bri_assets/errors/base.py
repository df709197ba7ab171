"""The base of all errors; what does not belong here: any single one."""

from __future__ import annotations

__all__ = ["BriError"]


class BriError(Exception):
    """Base of all errors of this package.

    Args:
        subject: what it happened to (a file, a video, a table, a model).
        what: what happened, as a sentence without the subject.
        remedy: what a person can do next; empty where there is nothing to do.
    """

    #: Trying the same thing again, unchanged, may succeed.
    retryable = False
    #: What it says may quote a caption, a transcript or another cell of a row: no log and no trace repeats it.
    quotes = False

    def __init__(self, subject: object, what: str, remedy: str = "") -> None:
        self.subject, self.what, self.remedy = str(subject), what, remedy
        super().__init__(self.subject, what, remedy)

    def __str__(self) -> str:
        """The whole error as one line."""
        return " ".join(part for part in (f"{self.subject}: {self.what}", self.remedy) if part)
