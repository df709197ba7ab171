"""What the server's routes and tools work with: the store's operations, the search, the cache, and threads to work in.

One object a process, made by ``Services.of`` and handed to ``api.app.build_app`` and ``mcp.build_mcp``. What does not
belong here: any route or tool.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from bri_assets.search.search import Search
from bri_assets.serve.threads import Threads
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.access.operations import Operations
from bri_assets.store.access.owned import OwnedFile
from bri_assets.store.deletion import Deletion
from bri_assets.store.memory import Memory
from bri_assets.store.queries.queries import Queries
from bri_assets.store.reconciliation import Reconciliation
from bri_assets.store.tokens import Tokens

if TYPE_CHECKING:
    from bri_assets.serve.answers.cache import Answers

__all__ = ["Services"]

T = TypeVar("T", bound=Operations)


@dataclass(frozen=True)
class Services:
    """What routes and tools work with.

    Args:
        settings: of the process.
        groups: of operations that answer here, without a socket, by the name of their class: the owner's. A group that
            is not among them is reached through the file or whoever owns it.
        trusting: whoever has no token may do anything: the server listens on loopback only, and ``serve_auth`` is
            ``auto``.
        intruded: is called when the database turns out to have been written to by somebody else.
        stopping: is set once the server is told to stop; a stream that would never end looks at it, and ends.
    """

    settings: Settings
    groups: Mapping[str, Operations] = field(default_factory=dict)
    trusting: bool = True
    intruded: Callable[[], None] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(
        cls,
        settings: Settings,
        groups: Mapping[str, Operations] | None = None,
        *,
        trusting: bool | None = None,
        intruded: Callable[[], None] | None = None,
    ) -> Services:
        """The services of a process.

        Args:
            settings: of the process.
            groups: the owner's operations; None: all are reached through the file or whoever owns it.
            trusting: as the class says; None: the settings decide for themselves.
            intruded: as the class says.
        """
        if trusting is None:
            trusting = settings.serve_auth == "auto" and settings.serve_host in ("127.0.0.1", "localhost", "::1")
        return cls(settings, groups or {}, trusting, intruded)

    def group(self, kind: type[T]) -> T:
        """The group of operations of a class."""
        found = self.groups.get(kind.__name__)
        return found if isinstance(found, kind) else kind.of(self.settings)

    @cached_property
    def store(self) -> Store:
        """Uploads, and what is committed."""
        return self.group(Store)

    @cached_property
    def queries(self) -> Queries:
        """The reads; routes and tools go through ``answers`` where those have them."""
        return self.group(Queries)

    @cached_property
    def memory(self) -> Memory:
        """Conversations."""
        return self.group(Memory)

    @cached_property
    def tokens(self) -> Tokens:
        """Who may call."""
        return self.group(Tokens)

    @cached_property
    def deletion(self) -> Deletion:
        """Hiding videos."""
        return self.group(Deletion)

    @cached_property
    def reconciliation(self) -> Reconciliation:
        """Retries, and uploads that failed for good."""
        return self.group(Reconciliation)

    @cached_property
    def search(self) -> Search:
        """The search."""
        file = self.store.file
        moment = (lambda: file.moment) if isinstance(file, OwnedFile) else (lambda: None)
        return Search.of(self.settings, self.queries, moment)

    @cached_property
    def answers(self) -> Answers:
        """The reads and the search through the cache."""
        from bri_assets.serve.answers.cache import Answers
        from bri_assets.serve.answers.questions import Sources

        file = self.store.file
        clock = file if isinstance(file, OwnedFile) else None
        return Answers.of(self.settings, Sources(self.queries, self.search), clock)

    @cached_property
    def threads(self) -> Threads:
        """Where blocking work is done; see ``api.work.run``."""
        return Threads(self.settings.serve_threads, self.settings.serve_waiting)
