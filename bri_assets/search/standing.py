"""How the index stands against what the store shows.

What does not belong here: comparing them row by row (``comparing``).
"""

from __future__ import annotations

from collections.abc import Sequence

from bri_assets.search.model import IndexStatus
from bri_assets.search.reading import Closed, Opened
from bri_assets.store.queries.model import VisibleVersion

__all__ = ["status_of"]

#: Videos that a status names.
_NAMED = 100


def status_of(now: Opened | Closed, visible: Sequence[VisibleVersion], size_bytes: int) -> IndexStatus:
    """The status of an index.

    Args:
        now: the index.
        visible: every version that is shown.
        size_bytes: of all of its files.
    """
    if isinstance(now, Closed):
        return _closed(now, visible, size_bytes)
    held = now.held
    shown = {one.version_id for one in visible}
    behind = [one.video_id for one in visible if one.version_id not in held.versions]
    surplus = sum(number not in shown for number in held.versions)
    if now.other_model is not None:
        state, said = "unusable", now.other_model
    elif behind or surplus:
        said = f"It lacks {len(behind)} videos and has {surplus} versions too many. Run `bri index sync`."
        state = "behind"
    else:
        state, said = "current", "It holds what is shown, no more and no less."
    return IndexStatus(
        state=state,
        said=said,
        generation=now.generation.name,
        made_at=now.made.made_at,
        model=now.made.model,
        weights_sha256=now.made.weights_sha256,
        dimension=now.made.dimension,
        layout=now.made.layout,
        versions=len(held.versions),
        texts=held.rows,
        behind=behind[:_NAMED],
        behind_videos=len(behind),
        surplus=surplus,
        vectors="ivf_rq" if held.trained else "flat",
        size_bytes=size_bytes,
    )


def _closed(now: Closed, visible: Sequence[VisibleVersion], size_bytes: int) -> IndexStatus:
    return IndexStatus(
        state="missing" if now.missing else "unusable",
        said=now.said,
        generation=None,
        made_at=None,
        model=None,
        weights_sha256=None,
        dimension=None,
        layout=None,
        versions=0,
        texts=0,
        behind=[one.video_id for one in visible][:_NAMED],
        behind_videos=len(visible),
        surplus=0,
        vectors=None,
        size_bytes=size_bytes,
    )
