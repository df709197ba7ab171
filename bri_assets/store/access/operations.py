"""What every operation of the store shares: by which way it reaches the database.

While a process owns the database, an operation travels to it over its socket; while nobody does, it opens the file
itself, under the lock beside it. The same code runs either way, and its caller cannot tell which. What does not belong
here: any single operation.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, cast

import duckdb

from bri_assets.errors import OwnerGone
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store.access.connection import OwnedElsewhere, StoreFile, transaction
from bri_assets.store.access.remote import Remote
from bri_assets.store.access.swap import Plan

__all__ = ["OPERATIONS", "Database", "Operations", "operation"]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Operations")

#: Between two looks whether somebody owns the store, in seconds.
_POLL_S = 0.02

#: Every operation by its name, as ``Store.commit``; this is what an owner can be asked for.
OPERATIONS: dict[str, Callable[..., Any]] = {}


class Database(Protocol):
    """The database as operations see it: the file itself, or an owner's open connection to it."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def wait_s(self) -> float:
        """Longest wait for others, in seconds."""

    @property
    def key(self) -> str | None:
        """Of an encrypted database; never travels."""

    def owner(self) -> Remote | None:
        """The process that owns the database, if it is another one than this."""

    def open(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection for writing, alone."""

    def reading(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection for reading, for a limited time."""

    def still(self) -> AbstractContextManager[None]:
        """Nobody writes in the block, so another process may copy the file and its WAL."""

    def replace(self, make: Callable[[duckdb.DuckDBPyConnection], Plan]) -> None:
        """Put another file in the place of the database's."""


@dataclass(frozen=True)
class Operations:
    """Operations on the store of one BRI_HOME.

    Args:
        home: BRI_HOME; paths of images are relative to it.
        file: the database.
        staging: where bundles are read from.

    Every operation raises ``StoreBusy``, ``StoreDamaged``, ``StoreBehind``, ``StoreMissing``, ``StoreOutdated``,
    ``StoreTooNew`` or ``StorageFailed`` where the database cannot be used, ``QueryTooSlow`` where a read takes too
    long.
    """

    home: Path
    file: Database
    staging: StagingArea

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The store of a process's BRI_HOME; opens nothing yet."""
        return cls(settings.home, StoreFile.of(settings), StagingArea(settings.staged_dir))

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction: committed at the end, rolled back by any error, which goes on."""
        with self.file.open() as connection, transaction(connection):
            yield connection


def operation(*, again: bool = True) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Make a method an operation.

    Its parameters and result must be of types that pydantic can take apart, for they may travel.

    Args:
        again: doing it twice is doing it once, so it is tried again where an owner dies over it. Where it is not,
            ``OwnerGone`` reaches the caller, who has to look what was done.
    """

    def make(body: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        name = body.__qualname__

        @functools.wraps(body)
        def call(self: S, *arguments: P.args, **named: P.kwargs) -> R:
            deadline = time.monotonic() + self.file.wait_s
            while True:
                try:
                    return _once(self, name, body, *arguments, **named)
                except (OwnedElsewhere, OwnerGone) as error:
                    untouched = isinstance(error, OwnedElsewhere) or error.untouched
                    if not (again or untouched) or time.monotonic() > deadline:
                        raise
                time.sleep(_POLL_S)

        OPERATIONS[name] = body
        return cast("Callable[Concatenate[S, P], R]", call)

    return make


def _once(self: S, name: str, body: Callable[Concatenate[S, P], R], *arguments: P.args, **named: P.kwargs) -> R:
    owner = self.file.owner()
    if owner is None:
        return body(self, *arguments, **named)
    found: R = owner.call(name, body, *arguments, **named)
    return found
