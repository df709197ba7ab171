"""Staged bundles that may wait for their commit: complete ones that changed since their video was committed.

What does not belong here: whether one is committed (``repairs``), and proving it (``store.commit`` does).
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bri_assets.errors import StagedDamaged, StagedMissing
from bri_assets.staging import Bundle, StagingArea

__all__ = ["Bundles", "StagedBundle"]


@dataclass(frozen=True)
class StagedBundle:
    """The newest staged tables of a video, all of them.

    Args:
        video_id: the video.
        sha256: hash of the bundle.
        made_at: when the newest of its tables was made, UTC.
        run_id: the run that made that one.
        torn: why its tables do not belong together, as a clause; empty where they do.
    """

    video_id: str
    sha256: str
    made_at: datetime
    run_id: str
    torn: str


class Bundles:
    """Reads bundles, and remembers those whose folder did not change since."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[int, StagedBundle | None]] = {}

    def changed(
        self, staging: StagingArea, committed: Mapping[str, datetime], others: Collection[str], budget_s: float
    ) -> list[StagedBundle]:
        """The complete bundles of these videos, as far as their folder changed since the video was committed.

        Args:
            staging: where they lie.
            committed: videos, and when each was committed last.
            others: videos that were never committed.
            budget_s: seconds after which nothing more is read; the next call goes on there.

        Raises:
            OSError: the staging area cannot be listed.
        """
        deadline, wanted, found = time.monotonic() + budget_s, set(others), []
        for video_id, folder, changed_ns in _folders(staging.root):
            since = committed.get(video_id)
            if since is None and video_id not in wanted:
                continue
            if since is not None and changed_ns <= since.timestamp() * 1e9:
                continue
            known = self._read.get(folder)
            if known is None or known[0] != changed_ns:
                if time.monotonic() > deadline:
                    continue
                known = self._read[folder] = (changed_ns, _read(staging, video_id))
            if known[1] is not None:
                found.append(known[1])
        return found


def _folders(root: Path) -> list[tuple[str, Path, int]]:
    """Each video's folder, with the time at which a file was put into it or taken out, in nanoseconds since 1970."""
    found = []
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        found.append((entry.name, Path(entry.path), entry.stat().st_mtime_ns))
                except FileNotFoundError:
                    # Purged between the listing and the look.
                    continue
    except FileNotFoundError:
        return []
    return found


def _read(staging: StagingArea, video_id: str) -> StagedBundle | None:
    """The bundle of a video; None where a table is missing or damaged: its run or its next attempt says so."""
    try:
        bundle, source = staging.bundle(video_id), staging.source(video_id)
    except (StagedMissing, StagedDamaged):
        return None
    newest = max(bundle.manifests.values(), key=lambda manifest: manifest.made_at)
    made_at = newest.made_at.astimezone(UTC)
    return StagedBundle(video_id, bundle.sha256, made_at, newest.run_id, _torn(bundle, source.sha256))


def _torn(bundle: Bundle, source_sha256: str) -> str:
    for table, manifest in bundle.manifests.items():
        if manifest.source_sha256 != source_sha256:
            return f"`{table}` was made of another file"
        for read, content in manifest.provenance.inputs.items():
            if read in bundle.manifests and bundle.manifests[read].content_sha256 != content:
                return f"`{table}` was made of other rows than `{read}` has now"
    return ""
