"""A store with a few invented videos, and everything that tests of the reads do to it.

What does not belong here: assertions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bri_assets.files import sha256_bytes
from bri_assets.staging import StagingArea
from bri_assets.store import Queries, Store, StoreFile
from bri_assets.store.access.operations import Operations
from bri_assets.store.archives.archive import Archive
from bri_assets.store.deletion import Deletion
from bri_assets.store.history import History
from bri_assets_tests.bundles import Rows, operations, rows, stage

__all__ = ["CountedFile", "World", "id_of", "see"]

G = TypeVar("G", bound=Operations)


def id_of(name: str) -> str:
    """The id of the video that `World.commit` makes of a name."""
    return f"{name}-{sha256_bytes(name.encode())[:12]}"


def see(tables: Rows, seen: dict[int, list[tuple[str, float]]]) -> None:
    """Let the detector see these classes with these confidences, by frame, and nothing else."""
    ids = {name: number for number, name in enumerate(sorted({name for of in seen.values() for name, _ in of}))}
    tables["detections"] = [
        {
            "frame_index": index,
            "detection_index": rank,
            "class_id": ids[name],
            "class_name": name,
            "confidence": confidence,
            "x1": 1.5,
            "y1": 2.5,
            "x2": 30.25,
            "y2": 48.0,
        }
        for index, of_it in sorted(seen.items())
        for rank, (name, confidence) in enumerate(sorted(of_it, key=lambda one: -one[1]))
    ]


@dataclass(frozen=True)
class World:
    """A store of its own.

    Args:
        home: BRI_HOME.
    """

    home: Path

    def of(self, group: type[G]) -> G:
        """A group of operations on it."""
        return operations(group, self.home)

    @property
    def queries(self) -> Queries:
        """The reads."""
        return self.of(Queries)

    def commit(self, name: str = "holiday", *, frames: int = 4, change: Callable[[Rows], None] | None = None) -> str:
        """Commit a version of a video of a frame every two seconds; ``change`` may change its rows before."""
        video_id = id_of(name)
        tables = rows(self.home, frames=frames, video_id=video_id, sha256=sha256_bytes(name.encode()))
        tables["source_video"][0]["filename"] = f"{name}.mp4"
        if change is not None:
            change(tables)
        self.of(Store).commit(stage(self.home, tables), run_id="run-1", channel="test")
        return video_id

    def recommit(self, name: str = "holiday", *, frames: int = 4, caption: str = "a better picture") -> str:
        """Commit the next version of it, with another caption of its first frame."""

        def change(tables: Rows) -> None:
            tables["captions"][0]["text"] = caption

        return self.commit(name, frames=frames, change=change)

    def delete(self, video_id: str) -> None:
        """Delete a video."""
        self.of(Deletion).delete(video_id, channel="test")

    def undelete(self, video_id: str) -> None:
        """Take that back."""
        self.of(Deletion).undelete(video_id, channel="test")

    def rollback(self, video_id: str, version: int) -> None:
        """Go back, or forward, to a version."""
        self.of(History).rollback(video_id, version, channel="test")

    def archive(self) -> None:
        """Move the rows of every superseded version to the archive."""
        self.of(Archive).archive(0, channel="test")


class _Counted:
    def __init__(self, connection: Any, statements: list[str]) -> None:
        self._connection, self._statements = connection, statements

    def execute(self, statement: str, *arguments: Any) -> Any:
        self._statements.append(statement)
        return self._connection.execute(statement, *arguments)


@dataclass(frozen=True)
class CountedFile:
    """The store's file, as operations see it, that keeps every statement of a read.

    Args:
        home: BRI_HOME.
        statements: of all reads, in their order.
    """

    home: Path
    statements: list[str] = field(default_factory=list)

    @property
    def queries(self) -> Queries:
        """The reads on it."""
        return Queries(self.home, self, StagingArea(self.home / "staged"))  # type: ignore[arg-type]

    def owner(self) -> None:
        """Nobody."""

    @property
    def wait_s(self) -> float:
        """As ``Database``."""
        return 5.0

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A real connection, counted."""
        with StoreFile(self.home / "store" / "bri.duckdb").reading() as connection:
            yield _Counted(connection, self.statements)
