"""Writing one generation of the index: rows first, then the word that they are there.

Whoever is killed in between leaves rows that no reader counts, and the next writer removes them. What does not belong
here: which versions belong in it, and the lock (``index``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bri_assets.models.embedder import DIMENSION, MAX_TOKENS
from bri_assets.models.identity import ModelIdentity
from bri_assets.search.layout import LAYOUT, Generation, Held, HeldVersion, Made, Place
from bri_assets.search.rows import digest, rows_of
from bri_assets.search.tables import WORDS, Table
from bri_assets.search.vectors import TextVectors
from bri_assets.store.queries.model import VersionTexts

__all__ = ["Writer", "made_now"]

#: Rows that are written at once.
_CHUNK = 4096
#: Rows, as a share of all, and writes that may gather before the indexes are brought up to them. Until then answers
#: look at each of them.
_SHARE, _LEAST, _WRITES = 50, 2000, 40
#: The vector index is made anew when the rows have grown so many times: its partitions are as many as suited them then.
_GROWN = 4


def made_now(identity: ModelIdentity) -> Made:
    """What a generation is made with now."""
    return Made(LAYOUT, identity.model, identity.weights_sha256, DIMENSION, MAX_TOKENS, WORDS, datetime.now(UTC))


class Writer:
    """Writes to a generation. Its maker holds the lock."""

    def __init__(self, generation: Generation, table: Table, held: Held, vectors_from: int) -> None:
        self.generation, self.held = generation, held
        self._table, self._vectors_from = table, vectors_from

    @classmethod
    def begin(cls, place: Place, made: Made, vectors_from: int) -> Writer:
        """Write a new generation, which nobody reads yet."""
        generation = place.begin()
        generation.keep_made(made)
        table = Table.make(generation.folder, made.dimension)
        writer = cls(generation, table, Held(), vectors_from)
        writer._keep(writer.held)
        return writer

    @classmethod
    def resume(cls, generation: Generation, vectors_from: int) -> Writer:
        """Go on with a generation; what a writer that was killed left in it is removed.

        Raises:
            IndexUnusable: it is damaged.
        """
        held = generation.held()
        writer = cls(generation, Table.open(generation.folder), held, vectors_from)
        pending = generation.pending()
        left = [version_id for version_id in pending if version_id not in held.versions]
        if left:
            writer._table.remove(left)
            writer._keep(replace(held, adds=held.adds + 1))
        if pending:
            writer._keep(replace(writer.held, cut_off=True))
            generation.keep_pending([])
        return writer

    def add(self, versions: Sequence[VersionTexts], vectors: TextVectors) -> tuple[int, int]:
        """Add versions with all of their rows; returns how many rows, and how many texts had to be embedded."""
        by_version = {version.version_id: rows_of(version) for version in versions}
        rows = [row for several in by_version.values() for row in several]
        self.generation.keep_pending(list(by_version))
        embedded = 0
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            made, new = vectors.of([row.text for row in some])
            self._table.add(some, made)
            embedded += new
        added = {
            version.version_id: HeldVersion(version.video_id, len(several), digest(several))
            for version, several in zip(versions, by_version.values(), strict=True)
        }
        held = self.held
        self._keep(replace(held, versions=held.versions | added, since=held.since + len(rows), adds=held.adds + 1))
        self.generation.keep_pending([])
        return len(rows), embedded

    def remove(self, version_ids: Sequence[int]) -> None:
        """Take versions out."""
        if not version_ids:
            return
        gone = set(version_ids)
        leaving = [one for version_id, one in self.held.versions.items() if version_id in gone]
        self.generation.keep_pending(list(version_ids))
        self._keep(
            replace(
                self.held,
                versions={number: one for number, one in self.held.versions.items() if number not in gone},
                left=self.held.left | {one.video_id for one in leaving if one.rows},
                since=self.held.since + sum(one.rows for one in leaving),
                adds=self.held.adds + 1,
            )
        )
        self._table.remove(version_ids)
        self._keep(self.held)
        self.generation.keep_pending([])

    def copy(self, other: Writer, without: Iterable[str]) -> None:
        """Take over the rows of another generation, but for those of some videos."""
        gone = set(without)
        names = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(gone))
        self._table.take(other._table, f"video_id NOT IN ({names})")
        versions = {number: one for number, one in other.held.versions.items() if one.video_id not in gone}
        self._keep(replace(self.held, versions=versions, since=sum(one.rows for one in versions.values())))

    def settle(self) -> None:
        """Bring the indexes up to the rows, where enough have gathered."""
        held = self.held
        if held.rows >= self._vectors_from and (not held.trained or held.rows >= _GROWN * held.trained):
            self._table.index_vectors()
            held = replace(held, trained=held.rows)
        elif held.since < max(_LEAST, held.rows // _SHARE) and held.adds < _WRITES:
            return
        self._table.optimize()
        self._keep(replace(held, since=0, adds=0))

    def _keep(self, held: Held) -> None:
        self.held = replace(held, table=self._table.version)
        self.generation.keep_held(self.held)
