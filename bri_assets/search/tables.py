"""The table of the index in LanceDB: made, added to, and asked; what LanceDB raises becomes an error of ours.

What does not belong here: which rows belong in it (``index``) and how answers are put together (``search``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bri_assets.errors import IndexUnusable, StorageFailed
from bri_assets.search.layout import REBUILD
from bri_assets.search.rows import Row, sealed, unsealed

if TYPE_CHECKING:
    from bri_assets.models.embedder import Vectors
    from bri_assets.search.keyword import Words

__all__ = ["WORDS", "Found", "Table", "arrow", "lance", "memory_table", "no_vectors"]

#: How texts are taken apart into words: at every sign and, in scripts without spaces, by ICU's dictionaries; with
#: English stems, without accents. Common words are kept, for phrases hold them.
WORDS: dict[str, str | bool] = {
    "base_tokenizer": "icu/split",
    "language": "English",
    "stem": True,
    "ascii_folding": True,
    "lower_case": True,
    "remove_stop_words": False,
    "with_position": True,
}

_NAME = "texts"
_DISTANCE: Final = "cosine"
#: Candidates of the quantised vectors that are compared once more with the whole vectors, for each hit that is wanted.
_REFINE = 12
#: Partitions of the quantised vectors that are looked into.
_PROBES = 48
#: Between a version of the table and the removal of its files: far longer than any answer takes.
_GRACE = timedelta(minutes=5)
_COLUMNS = [*Row._fields, "seal"]
_FULL = ("No space left", "os error 28", "Disk quota", "os error 122", "File too large", "os error 27")
_DENIED = ("Permission denied", "os error 13", "Read-only file system", "os error 30)")
#: What passes when others let go of files or memory: no damage.
_SCARCE = ("Too many open files", "os error 24", "Cannot allocate memory", "os error 12)")


@dataclass(frozen=True)
class Found:
    """A row that was found: ``value`` is BM25's for words, the cosine for vectors."""

    row: Row
    value: float


def lance() -> Any:
    """The library, told once to use no more threads than there are processors and to keep quiet."""
    os.environ.setdefault("LANCE_CPU_THREADS", str(os.cpu_count() or 1))
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns of empty partitions, which are nobody's concern
    import lancedb

    return lancedb


def session() -> Any:
    """Memory for parts of an index that were read; a table that was added to shares most of them with what it was."""
    return lance().Session()


def arrow(rows: Sequence[Row], vectors: Vectors | None) -> Any:
    """Rows as an Arrow table; without vectors where there are none."""
    import pyarrow as pa

    text, number, small, real = pa.string(), pa.int64(), pa.int32(), pa.float64()
    kinds = [number, text, text, small, real, real, text, small, real, text, text, number]
    schema = pa.schema([pa.field(name, kind) for name, kind in zip(_COLUMNS, kinds, strict=True)])
    made = pa.Table.from_pylist(sealed(rows), schema=schema)
    if vectors is None:
        return made
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    return made.append_column("vector", pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))


def no_vectors(dimension: int) -> Vectors:
    """No vectors at all, of a size."""
    return np.zeros((0, dimension), dtype=np.float32)


def memory_table(rows: Sequence[Row]) -> Table:
    """A table without vectors in memory, so that words mean there what they mean in the index."""
    made = lance().connect("memory://").create_table(_NAME, arrow(rows, None))
    table = Table(made, Path("memory"))
    table.index_words()
    return table


class Table:
    """An open table: as many threads as want may ask; one at a time may write."""

    def __init__(self, table: Any, path: Path) -> None:
        self._table, self._path = table, path

    @classmethod
    def make(cls, folder: Path, dimension: int) -> Table:
        """A new, empty table in the folder of a generation, ready to be asked."""
        from lancedb.index import Bitmap, BTree

        with _translated(folder):
            made = lance().connect(str(folder)).create_table(_NAME, arrow([], no_vectors(dimension)))
        table = cls(made, folder)
        table.index_words()
        with _translated(folder):
            made.create_index("version_id", config=BTree())
            made.create_index("kind", config=Bitmap())
        return table

    @classmethod
    def open(cls, folder: Path, session: Any = None) -> Table:
        """The table of a generation as it is now.

        Args:
            folder: of the generation.
            session: as ``session`` gives it, so that what was read of it before need not be read again.

        Raises:
            IndexUnusable: it is missing or damaged.
        """
        with _translated(folder):
            return cls(lance().connect(str(folder), session=session).open_table(_NAME), folder)

    @property
    def version(self) -> int:
        """Number of the table's own version that this handle reads."""
        return int(self._table.version)

    def refresh(self) -> None:
        """Read what was written since."""
        with _translated(self._path):
            self._table.checkout_latest()

    def add(self, rows: Sequence[Row], vectors: Vectors) -> None:
        """Add rows, all or none."""
        with _translated(self._path):
            self._table.add(arrow(rows, vectors))

    def take(self, other: Table, where: str) -> None:
        """Add rows of another table, with their vectors."""
        import pyarrow as pa

        with _translated(self._path):
            for batch in other.batches([*_COLUMNS, "vector"], where):
                self._table.add(pa.Table.from_batches([batch]).select([*_COLUMNS, "vector"]))

    def remove(self, version_ids: Sequence[int]) -> None:
        """Take the rows of versions out; their bytes stay in the files until a generation is made anew."""
        for start in range(0, len(version_ids), 1000):
            some = ", ".join(str(int(one)) for one in version_ids[start : start + 1000])
            with _translated(self._path):
                self._table.delete(f"version_id IN ({some})")

    def index_words(self) -> None:
        """Make the index of words."""
        from lancedb import index

        made: Any = index
        with _translated(self._path):
            self._table.create_index("text", config=made.FTS(**WORDS), replace=True)

    def index_vectors(self) -> None:
        """Make the index of vectors."""
        from lancedb.index import IvfRq

        with _translated(self._path):
            self._table.create_index("vector", config=IvfRq(distance_type=_DISTANCE, num_bits=1), replace=True)

    def has_vector_index(self) -> bool:
        """Whether vectors are compared through an index."""
        with _translated(self._path):
            return any("vector" in index.columns for index in self._table.list_indices())

    def optimize(self) -> None:
        """Bring the indexes up to the rows, merge small files, and let go of files that nobody reads any more."""
        with _translated(self._path):
            self._table.optimize(cleanup_older_than=_GRACE)

    def count(self) -> int:
        """Rows."""
        with _translated(self._path):
            return int(self._table.count_rows())

    def by_words(self, words: Words, limit: int, where: str | None, *, every: bool) -> list[Found]:
        """The rows that match words best.

        Raises:
            IndexUnusable: the table, or a row of it, is damaged.
        """
        query = words.query(every=every)
        if query is None:
            return []
        with _translated(self._path):
            asked = self._table.search(query, query_type="fts").select([*_COLUMNS, "_score"]).limit(limit)
            records = (asked if where is None else asked.where(where, prefilter=True)).to_list()
        return sorted(self._found(records, lambda one: float(one["_score"])), key=_order)

    def by_vector(self, vector: Vectors, limit: int, where: str | None) -> list[Found]:
        """The rows whose meaning is nearest; raises as ``by_words``."""
        with _translated(self._path):
            asked = self._table.search(vector).distance_type(_DISTANCE).select([*_COLUMNS, "_distance"])
            asked = asked.nprobes(_PROBES).refine_factor(_REFINE).limit(limit)
            records = (asked if where is None else asked.where(where, prefilter=True)).to_list()
        return sorted(self._found(records, lambda one: 1.0 - float(one["_distance"])), key=_order)

    def nearest_of_all(self, vector: Vectors, limit: int) -> list[Found]:
        """The rows whose meaning is nearest, each looked at: slow, and exact."""
        with _translated(self._path):
            asked = self._table.search(vector).distance_type(_DISTANCE).bypass_vector_index()
            records = asked.select([*_COLUMNS, "_distance"]).limit(limit).to_list()
        return sorted(self._found(records, lambda one: 1.0 - float(one["_distance"])), key=_order)

    def batches(self, columns: Sequence[str], where: str | None = None) -> Iterator[Any]:
        """Everything, as Arrow record batches of some columns."""
        with _translated(self._path):
            asked = self._table.search().select(list(columns))
            yield from (asked if where is None else asked.where(where)).to_batches(8192)

    def rows(self, where: str | None = None) -> Iterator[Row]:
        """Every row; raises as ``by_words``."""
        for batch in self.batches(_COLUMNS, where):
            for record in batch.to_pylist():
                yield self._row(record)

    def _found(self, records: list[dict[str, Any]], value: Any) -> list[Found]:
        return [Found(self._row(record), value(record)) for record in records]

    def _row(self, record: dict[str, Any]) -> Row:
        row = unsealed(record)
        if row is None:
            raise IndexUnusable(self._path, "a row of the index is not what was written.", REBUILD)
        return row


def _order(found: Found) -> tuple[float, int, float, str, int]:
    """Best first; among equals the newest version, then the earliest time, so that an answer is the same each time."""
    row = found.row
    return (-found.value, -row.version_id, row.start_s, row.kind, row.row_index)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what LanceDB raises into an error of ours."""
    try:
        yield
    except (IndexUnusable, StorageFailed):
        raise
    except Exception as error:  # LanceDB raises RuntimeError, ValueError, OSError, Arrow's errors and its own
        said = " ".join(str(error).split())[:300]
        if any(part in said for part in _FULL):
            raise StorageFailed(
                path, f"the index cannot be written: the disk is full ({said}).", "Make room."
            ) from error
        if any(part in said for part in _DENIED):
            raise StorageFailed(path, f"the index cannot be opened ({said}).", "Mend its permissions.") from error
        if any(part in said for part in _SCARCE):
            raise StorageFailed(path, f"the index cannot be used now ({said}).", "Try again later.") from error
        raise IndexUnusable(path, f"the index cannot be used ({type(error).__name__}: {said}).", REBUILD) from error
