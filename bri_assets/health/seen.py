"""What is seen of one thing where uploads, runs, bundles, versions and the index are compared with each other.

What does not belong here: what is safe to repair of it (``repairs``), and seeing it (``disagreements``, ``index``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bri_assets.content import canonical
from bri_assets.files import sha256_bytes
from bri_assets.store import PendingUpload

__all__ = ["Asked", "IndexSeen", "PendingSeen", "RunSeen"]


@dataclass(frozen=True)
class RunSeen:
    """An unfinished run whose process is gone: its id, job and partition (None where it has none)."""

    run_id: str
    job: str
    partition: str | None


@dataclass(frozen=True)
class PendingSeen:
    """A pending upload, and its run if there is one; ``is_over``: that has ended, or its process has."""

    upload: PendingUpload
    run_id: str | None
    is_over: bool


@dataclass(frozen=True)
class Asked:
    """How often a run was asked for (the commit of a bundle, the sync of the index), and when that was last, UTC."""

    times: int
    last_at: datetime


@dataclass(frozen=True)
class IndexSeen:
    """The index of the search beside what is shown, where it is not the same.

    Args:
        videos: those that are shown and not in it, as shown; at most 100 of them.
        lacking: how many there are.
        surplus: versions that it keeps though they are shown no more.
        wrong: videos of which its rows were found to be others than the store's.
        unusable: why it cannot be used; empty where it can, or where there is none yet.
        embedder: why there is no model to take meanings with, here and now; empty where there is one.
        since: since when it could know what it does not, UTC; None where that is not known.
        asked: how often a run was asked to mend exactly this.
        at_work: whether a run of that kind has not ended.
    """

    videos: tuple[str, ...] = ()
    lacking: int = 0
    surplus: int = 0
    wrong: tuple[str, ...] = ()
    unusable: str = ""
    embedder: str = ""
    since: datetime | None = None
    asked: Asked | None = None
    at_work: bool = False

    @property
    def needs_rebuild(self) -> bool:
        """It has to be made anew: to follow what is shown is not enough."""
        return bool(self.unusable or self.wrong)

    @property
    def fingerprint(self) -> str:
        """Names what is wrong: another one, and attempts to mend it are counted anew."""
        found = [sorted(self.videos), self.lacking, self.surplus, sorted(self.wrong), self.needs_rebuild]
        return sha256_bytes(canonical(found))[:16]

    def with_runs(self, asked: Asked | None, at_work: bool) -> IndexSeen:
        """The same, with what was asked of runs."""
        return replace(self, asked=asked, at_work=at_work)
