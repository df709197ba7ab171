"""How the index lies on the disk: generations beside each other, and a pointer to the one that is read.

    index/current                   name of the generation that is read
    index/lock                      held by whoever writes
    index/<generation>/made.json    what it was made with
    index/<generation>/texts.lance  the table
    index/<generation>/held.json    which versions are in it; written after their rows
    index/<generation>/pending.json versions whose rows change just now; what a crash leaves of them is undone
    index/<generation>/damaged      in words, what was found damaged; it is not read any more

What does not belong here: the table (``tables``) and who writes when (``index``).
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from bri_assets.errors import IndexUnusable, StorageFailed
from bri_assets.files import write_atomically

__all__ = ["LAYOUT", "REBUILD", "Generation", "Held", "HeldVersion", "Made", "Place"]

T = TypeVar("T")

#: Raised with every change of the table or of these files that an older reader would misread.
LAYOUT = 1
REBUILD = "Run `bri index rebuild`; until then answers come by a slower way."


@dataclass(frozen=True)
class Made:
    """What a generation was made with.

    Attributes:
        layout: ``LAYOUT`` when it was made.
        model: the embedder.
        weights_sha256: of the embedder.
        dimension: numbers of a vector.
        max_tokens: tokens of a text that count for its vector.
        words: how texts are taken apart into words.
        made_at: when, UTC.
    """

    layout: int
    model: str
    weights_sha256: str
    dimension: int
    max_tokens: int
    words: dict[str, str | bool]
    made_at: datetime


@dataclass(frozen=True)
class HeldVersion:
    """A version that is in the index: of which video, how many rows, and a hash of them."""

    video_id: str
    rows: int
    digest: str


@dataclass(frozen=True)
class Held:
    """Which versions are in a generation.

    Attributes:
        table: number of the table's own version in which they all are.
        versions: by ``version_id``.
        left: videos whose rows were taken out, but may still lie in its files.
        cut_off: a writer was killed over it: its files may hold rows of which nothing says whose they are.
        since: rows added or removed since its word and vector indexes were last brought up to date.
        adds: writes since then.
        trained: rows when its vector index was made; 0 where it has none.
    """

    table: int = 0
    versions: dict[int, HeldVersion] = field(default_factory=dict)
    left: frozenset[str] = frozenset()
    cut_off: bool = False
    since: int = 0
    adds: int = 0
    trained: int = 0

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(one.rows for one in self.versions.values())


_MADE = TypeAdapter(Made)
_HELD = TypeAdapter(Held)
_PENDING = TypeAdapter(list[int])


@dataclass(frozen=True)
class Generation:
    """One generation of the index."""

    folder: Path

    @property
    def name(self) -> str:
        """Its name."""
        return self.folder.name

    @property
    def held_path(self) -> Path:
        """The file that changes with every write."""
        return self.folder / "held.json"

    def made(self) -> Made:
        """What it was made with.

        Raises:
            IndexUnusable: the file is missing or damaged.
        """
        return self._read("made.json", _MADE)

    def held(self) -> Held:
        """Which versions are in it; raises as ``made``."""
        return self._read("held.json", _HELD)

    def pending(self) -> list[int]:
        """Versions that somebody was adding or removing; raises as ``made``."""
        return self._read("pending.json", _PENDING) if (self.folder / "pending.json").exists() else []

    def keep_made(self, made: Made) -> None:
        """Write what it was made with."""
        write_atomically(self.folder / "made.json", _MADE.dump_json(made, indent=2))

    def keep_held(self, held: Held) -> None:
        """Write which versions are in it."""
        write_atomically(self.held_path, _HELD.dump_json(held))

    def keep_pending(self, version_ids: list[int]) -> None:
        """Write which versions are about to change."""
        write_atomically(self.folder / "pending.json", _PENDING.dump_json(version_ids))

    def damage(self) -> str | None:
        """What was found damaged, None where nothing was."""
        try:
            return (self.folder / "damaged").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"it cannot be read ({error.strerror})"

    def mark_damaged(self, what: str) -> None:
        """Let no process read it any more."""
        write_atomically(self.folder / "damaged", what.encode())

    def _read(self, name: str, kind: TypeAdapter[T]) -> T:
        path = self.folder / name
        try:
            return kind.validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise IndexUnusable(path, "a file of the index is missing.", REBUILD) from error
        except OSError as error:
            raise IndexUnusable(path, f"the index cannot be read ({error.strerror}).", REBUILD) from error
        except ValidationError as error:
            raise IndexUnusable(path, "a file of the index is damaged.", REBUILD) from error


@dataclass(frozen=True)
class Place:
    """The folder of the index."""

    folder: Path

    @property
    def lock_path(self) -> Path:
        """What a writer holds."""
        return self.folder / "lock"

    def current(self) -> Generation | None:
        """The generation that is read, None where there is no index.

        Raises:
            IndexUnusable: the pointer is damaged, or names what is not there.
        """
        pointer = self.folder / "current"
        try:
            name = pointer.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise IndexUnusable(pointer, f"the index cannot be read ({error}).", REBUILD) from error
        folder = self.folder / name
        if Path(name).name != name or not name.startswith("g-") or not folder.is_dir():
            raise IndexUnusable(pointer, "names no generation of the index.", REBUILD)
        return Generation(folder)

    def begin(self) -> Generation:
        """A new generation, beside whatever there is; nobody reads it yet.

        Raises:
            StorageFailed: its folder cannot be made.
        """
        folder = self.folder / f"g-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{token_hex(3)}"
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise StorageFailed(
                folder, f"the index cannot be written ({error.strerror}).", "Make room and make it writable."
            ) from error
        return Generation(folder)

    def flip(self, generation: Generation) -> None:
        """Let readers have a generation from now on."""
        write_atomically(self.folder / "current", f"{generation.name}\n".encode())

    def generations(self) -> list[Generation]:
        """Every generation on the disk, the oldest first."""
        return [Generation(path) for path in sorted(self.folder.glob("g-*")) if path.is_dir()]

    def flipped_s(self) -> float:
        """Seconds since readers were given the current generation."""
        try:
            return max(time.time() - (self.folder / "current").stat().st_mtime, 0.0)
        except FileNotFoundError:
            return 0.0

    def tidy(self, *, keep: int = 1) -> None:
        """Remove generations that are not read any more.

        Args:
            keep: newest ones before the current one that stay, for a reader that still has one open.

        Raises:
            StorageFailed: the disk refused.
        """
        current = self.current()
        names = [one.name for one in self.generations()]
        before = [name for name in names if current is not None and name < current.name]
        kept = {*(before[-keep:] if keep else []), *([current.name] if current is not None else [])}
        for name in names:
            if name not in kept:
                _remove(self.folder / name)

    def remove(self) -> None:
        """Remove the whole index, but for the lock.

        Raises:
            StorageFailed: the disk refused.
        """
        (self.folder / "current").unlink(missing_ok=True)
        for one in self.generations():
            _remove(one.folder)

    def size(self) -> int:
        """Bytes of everything in it."""
        return sum(_size(path) for path in self.folder.rglob("*"))

    def signature(self) -> tuple[object, ...]:
        """Changes with whatever a reader has to notice; cheap enough for every answer."""
        try:
            name = (self.folder / "current").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            return (type(error).__name__,)
        return (name, _stamp(self.folder / name / "held.json"), _stamp(self.folder / name / "damaged"))


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        what = f"an old generation of the index cannot be removed ({error.strerror})."
        raise StorageFailed(folder, what, "Remove it by hand.") from error


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
