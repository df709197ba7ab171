"""The index after somebody changed what is shown: it follows at once where it can, and never holds the change up.

What was done to the store stands whatever becomes of the index, which is made from it; a purge alone is not finished
before nothing is left there either. What does not belong here: how the index follows (``index``), and following without
being asked (``serve.follower``, the sensor ``reconcile``).
"""

from __future__ import annotations

from collections.abc import Sequence

from bri_assets.errors import BriError
from bri_assets.search.index import Index
from bri_assets.settings import Settings
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.erasure.purge import RETENTION, Purge, Purged, PurgedAll

__all__ = ["erase", "erase_due", "follow"]


def follow(settings: Settings, video_ids: Sequence[str]) -> str:
    """Bring the index to what is shown of some videos; a process that owns the store does that by itself.

    Args:
        settings: of the process.
        video_ids: whose shown version changed.

    Returns:
        Why that could not be done, as a sentence; empty where it was done, or is being done.
    """
    try:
        if StoreFile.of(settings).owner() is None:
            Index.of(settings).sync(list(video_ids))
    except BriError as error:
        return str(error)
    return ""


def erase(settings: Settings, name: str, *, reason: str, channel: str) -> Purged:
    """``Purge.purge`` of a video, in the index too; raises as that does, and as ``Index.forget``.

    The video is hidden first, so that nobody brings it back into the index. Then the index goes: cut off or refused
    there, the purge is not finished, and whoever finishes it comes by here again.
    """
    store = Purge.of(settings)
    begun = store.begin(name, reason=reason, channel=channel)
    Index.of(settings).forget(begun.video_id)
    return store.purge(begun.video_id, reason=reason, channel=channel)


def erase_due(settings: Settings, *, after_days: float, channel: str) -> PurgedAll:
    """``Purge.purge_due``, in the index too: one that fails stops no other; see ``erase``."""
    purged, failed = list[Purged](), dict[str, str]()
    due = Purge.of(settings).due(after_days)
    try:
        # All of them at once, for what stays in the index is written anew. Of one that is undeleted this very moment
        # the index then lacks the rows for a while.
        if due:
            Index.of(settings).forget(*due)
    except BriError as error:
        return PurgedAll((), dict.fromkeys(due, str(error)))
    for video_id in due:
        try:
            purged.append(erase(settings, video_id, reason=RETENTION, channel=channel))
        except BriError as error:
            failed[video_id] = str(error)
    return PurgedAll(tuple(purged), failed)
