"""The index of the search: kept in step with what the store shows, made again, looked at.

One writer at a time, under a lock beside it; readers never wait. What does not belong here: answering (``search``) and
how rows are written (``writing``).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bri_assets.errors import IndexUnusable, StorageFailed, StoreBusy
from bri_assets.search.comparing import disagreements
from bri_assets.search.layout import Generation, Place
from bri_assets.search.model import Disagreement, IndexStatus, Synced
from bri_assets.search.reading import Closed, Reader, differs, read_generation
from bri_assets.search.standing import status_of
from bri_assets.search.vectors import TextVectors, embedder_of
from bri_assets.search.writing import Writer, made_now
from bri_assets.settings import Settings
from bri_assets.store.queries.model import VersionTexts
from bri_assets.store.queries.queries import Queries

__all__ = ["Index"]

#: Versions whose texts are read at once, and texts that are written at once.
_READ, _WRITE = 8, 4096
#: Seconds for which the generation before stays, for readers that have it open: longer than any answer takes.
_KEPT_S = 600.0


class Index:
    """The index of one BRI_HOME. Cheap to make: opens nothing, loads no model. Thread-safe.

    Args:
        folder: where it lies.
        queries: the reads of the store that it follows.
        vectors: makes vectors of texts.
        vectors_from: rows from which vectors are compared through an index of their own.
        wait_s: longest wait for another writer, in seconds.

    Every method raises what ``Queries`` raises where the store cannot be used.
    """

    def __init__(
        self, folder: Path, queries: Queries, vectors: TextVectors, *, vectors_from: int, wait_s: float
    ) -> None:
        self.queries, self.vectors = queries, vectors
        self._place, self._vectors_from, self._wait_s = Place(folder), vectors_from, wait_s
        self.reader = Reader(self._place, vectors.embedder.identity)

    @classmethod
    def of(cls, settings: Settings, queries: Queries | None = None) -> Index:
        """The index of a process's BRI_HOME.

        Args:
            settings: of the process.
            queries: the reads of the store; default: through the file or its owner.
        """
        return cls(
            settings.index_dir,
            queries or Queries.of(settings),
            TextVectors(embedder_of(settings)),
            vectors_from=settings.index_vectors_from,
            wait_s=settings.store_wait_s,
        )

    def sync(self, video_ids: list[str] | None = None) -> Synced:
        """Bring the index to what is shown now; doing it again does nothing. Makes it where it is missing.

        Args:
            video_ids: only these; default: all. An index that is missing is made of all either way.

        Raises:
            IndexUnusable: it is damaged, or of another model or layout; only ``rebuild`` helps.
            StorageFailed: the disk refused.
            StoreBusy: somebody else writes it and does not end.
            WeightsMissing, WeightsDamaged, ModelFailed: the embedder cannot be used.
        """
        began = time.monotonic()
        with self._alone():
            current = self._place.current()
            if current is None:
                return self._make(began)
            made, _ = read_generation(current)
            other = differs(made, self.vectors.embedder.identity())
            if other is not None:
                raise IndexUnusable(current.name, other)
            writer = Writer.resume(current, self._vectors_from)
            done = self._follow(writer, None if video_ids is None else set(video_ids), began)
            self._place.tidy(keep=1 if self._place.flipped_s() < _KEPT_S else 0)
            return done

    def rebuild(self) -> Synced:
        """Make the index anew beside the present one, and let readers have it when it is whole; raises as ``sync``.

        The generation before stays on the disk for some minutes, for readers that have it open, until a ``sync``.
        """
        began = time.monotonic()
        with self._alone():
            return self._make(began)

    def forget(self, *video_ids: str) -> bool:
        """Remove every trace of purged videos from the disk; returns whether there was one.

        Taking rows out leaves their bytes in files; so the rows of all others are copied into a new generation. An
        index that cannot be read is removed whole: the next ``sync`` makes it anew.

        Raises:
            StorageFailed: the disk refused.
            StoreBusy: as ``sync``.
        """
        with self._alone():
            others = [path for path in self._place.generations() if not self._is_current(path)]
            try:
                traces = self._copy_without(set(video_ids))
            except IndexUnusable:
                traces = True
                self._place.remove()
            self._place.tidy(keep=0)
            return traces or bool(others)

    def status(self) -> IndexStatus:
        """How the index stands against what the store shows; embeds nothing and writes nothing."""
        return status_of(self.reader.now(), self.queries.visible(), self._place.size())

    def agree(self, video_ids: list[str] | None = None) -> list[Disagreement]:
        """Compare every row with the store's, and see that every vector is one; an empty list: they agree.

        Args:
            video_ids: only these; default: all.
        """
        visible = [one for one in self.queries.visible() if video_ids is None or one.video_id in set(video_ids)]
        now = self.reader.now()
        if isinstance(now, Closed):
            return [Disagreement(video_id=one.video_id, version_id=one.version_id, what=now.said) for one in visible]
        try:
            return disagreements(now, visible, self.queries, everything=video_ids is None)
        except IndexUnusable as error:
            self.reader.damaged(now, error)
            return [Disagreement(video_id=one.video_id, version_id=one.version_id, what=str(error)) for one in visible]

    def _make(self, began: float) -> Synced:
        writer = Writer.begin(self._place, made_now(self.vectors.embedder.identity()), self._vectors_from)
        try:
            done = self._follow(writer, None, began)
            # What was committed meanwhile; what is committed from here on is the next sync's.
            more = self._follow(writer, None, began)
        except BaseException:
            shutil.rmtree(writer.generation.folder, ignore_errors=True)
            raise
        self._place.flip(writer.generation)
        self._place.tidy()
        return done.model_copy(
            update={
                "added": sorted({*done.added, *more.added}),
                "texts": done.texts + more.texts,
                "embedded": done.embedded + more.embedded,
                "made": True,
                "seconds": time.monotonic() - began,
            }
        )

    def _follow(self, writer: Writer, only: set[str] | None, began: float) -> Synced:
        """Add what is shown and not in it, take out what is in it and not shown."""
        visible = [one for one in self.queries.visible() if only is None or one.video_id in only]
        shown, held = {one.version_id for one in visible}, writer.held.versions
        added, texts, embedded = [], 0, 0
        for versions in self._read(one.version_id for one in visible if one.version_id not in held):
            rows, new = writer.add(versions, self.vectors)
            added += [version.video_id for version in versions]
            texts, embedded = texts + rows, embedded + new
        gone = [
            number
            for number, one in writer.held.versions.items()
            if number not in shown and (only is None or one.video_id in only)
        ]
        writer.remove(gone)
        writer.settle()
        return Synced(
            added=sorted(added),
            removed=len(gone),
            texts=texts,
            embedded=embedded,
            made=False,
            generation=writer.generation.name,
            seconds=time.monotonic() - began,
        )

    def _read(self, version_ids: Iterable[int]) -> Iterator[list[VersionTexts]]:
        """The texts of versions, several at once; one that is purged in between is left out."""
        todo, found = list(version_ids), list[VersionTexts]()
        for start in range(0, len(todo), _READ):
            found += self.queries.texts(todo[start : start + _READ])
            if sum(len(version.texts) for version in found) >= _WRITE:
                yield found
                found = []
        if found:
            yield found

    def _copy_without(self, video_ids: set[str]) -> bool:
        current = self._place.current()
        if current is None:
            return False
        made, _ = read_generation(current)
        before = Writer.resume(current, self._vectors_from)
        held = before.held
        if not held.cut_off and not video_ids & (held.left | {one.video_id for one in held.versions.values()}):
            return False
        after = Writer.begin(self._place, made, self._vectors_from)
        try:
            after.copy(before, video_ids)
            after.settle()
        except BaseException:
            shutil.rmtree(after.generation.folder, ignore_errors=True)
            raise
        self._place.flip(after.generation)
        return True

    def _is_current(self, generation: Generation) -> bool:
        try:
            return self._place.current() == generation
        except IndexUnusable:
            return False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of the writer.

        Raises:
            StoreBusy: another one holds it and does not let go.
            StorageFailed: there can be no lock.
        """
        import portalocker

        path = self._place.lock_path
        lock = portalocker.Lock(path, "a", timeout=self._wait_s)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except portalocker.LockException as error:
            what = f"another process has been writing the index for {self._wait_s:.0f} s."
            raise StoreBusy(path.parent, what, "Wait for it, then try again.") from error
        except OSError as error:
            what = f"the index cannot be written ({error.strerror})."
            raise StorageFailed(path.parent, what, "Make room and make it writable.") from error
        try:
            yield
        finally:
            lock.release()
