"""The thread in the owner of the store that lets the index of the search follow what is shown.

Whoever commits, rolls back or deletes may have the index follow at once (``search.following``, the asset
``search_index``); this thread comes a moment later and does what nobody did. What does not belong here: how the index
follows (``search.index``), and telling that it does not (``health.index``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from bri_assets import telemetry
from bri_assets.errors import BriError
from bri_assets.search.index import Index
from bri_assets.search.reading import Opened
from bri_assets.serve.services import Services
from bri_assets.store.access.owned import OwnedFile

__all__ = ["following"]

#: Seconds between two looks at the counter of the store's writes, which is a number in memory.
_POLL_S = 0.2
#: Seconds until the same is tried again that could not be done.
_AGAIN_S = 60.0
#: Videos that are taken up at once: between two of them the server may be told to stop.
_VIDEOS = 4
#: Seconds for which the end of the server waits for this thread; whatever is cut off then, the next writer mends.
_LEAVE_S = 5.0

log = telemetry.logger(__name__)


class _Follower:
    """Follows one store.

    Args:
        services: of the owner.
        file: its open database.
    """

    def __init__(self, services: Services, file: OwnedFile) -> None:
        self._services, self._file = services, file
        self._index = Index.of(services.settings, services.queries)
        self._over = threading.Event()
        #: What was shown when the index was last brought up to it.
        self._followed: str | None = None

    def run(self) -> None:
        """Follow until ``stop``."""
        seen: int | None = None
        again_at = 0.0
        while not self._over.is_set():
            if self._file.generation == seen and not 0 < again_at <= time.monotonic():
                self._over.wait(_POLL_S)
                continue
            # Whoever made the change may be about to do it, and more changes may come.
            if self._over.wait(self._services.settings.index_follow_s):
                return
            seen = self._file.generation
            again_at = 0.0 if self._follow() else time.monotonic() + _AGAIN_S

    def stop(self) -> None:
        """Begin nothing more."""
        self._over.set()

    def _follow(self) -> bool:
        """Bring the index up; returns whether nothing is left to be done."""
        try:
            shown = self._services.queries.state([]).library
            # Somebody may have removed the index meanwhile.
            if shown == self._followed and isinstance(self._index.reader.now(), Opened):
                return True
            # Whatever was hidden or purged past the API must not lie in memory any longer either.
            self._services.answers.forget_hidden()
            with telemetry.operation("Index.follow"):
                done = self._sync()
        except BriError as error:
            log.warning("the index does not follow", error=type(error).__name__, message=str(error))
            return False
        except Exception:
            # The server goes on without it: searches say that the index is behind, and so does the look `index`.
            log.exception("the index does not follow")
            return False
        self._followed = shown if done else None
        return done

    def _sync(self) -> bool:
        """Few videos at a time, then what is to be removed; returns whether it came to its end."""
        for behind in iter(lambda: list(islice(self._index.status().behind, _VIDEOS)), []):
            if self._over.is_set():
                return False
            self._index.sync(behind)
        if self._index.status().surplus:
            self._index.sync()
        return True


@contextmanager
def following(services: Services) -> Iterator[None]:
    """Let the index follow what is shown, for the time of the block.

    A process that does not own the store leaves that to the one that does.

    Args:
        services: of the process.
    """
    file = services.store.file
    if not isinstance(file, OwnedFile):
        yield
        return
    follower = _Follower(services, file)
    # A daemon: what is at work in a model's library cannot be stopped, and nobody waits for it.
    thread = threading.Thread(target=follower.run, name="index-follower", daemon=True)
    thread.start()
    try:
        yield
    finally:
        follower.stop()
        thread.join(_LEAVE_S)
