"""Circuit breakers: a model or hub that failed again and again is not asked for a while, by no process.

Each has a small file in ``BRI_HOME/breakers``, for the runs that share a dead thing are processes of their own. The
rules are pybreaker's; ours is where it remembers, and that an error which says nothing of the thing itself (a damaged
image, a signal) is neither a failure nor a success. What does not belong here: waiting for it (a later attempt does)
and telling people of it (``health``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import portalocker
import pybreaker
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from slugify import slugify

from bri_assets.errors import BreakerOpen, ModelFailed, StageTimeout, StorageFailed, WeightsDamaged, WeightsMissing
from bri_assets.files import sha256_bytes, storing, write_atomically
from bri_assets.interrupts import Expired
from bri_assets.settings import Settings

__all__ = ["OpenBreaker", "close", "guarded", "hub_guard", "hub_name", "model_name", "open_breakers"]

#: What says that the thing itself is broken.
_COUNTED = (ModelFailed, WeightsMissing, WeightsDamaged, StageTimeout, Expired)
#: Longest wait for a lock that is held for as long as it takes to write a few bytes, in seconds.
_LOCK_S = 10.0


@dataclass(frozen=True)
class OpenBreaker:
    """A model or hub that is not asked for now, or of which a trial must show whether it works again.

    Args:
        name: as ``model_name`` or ``hub_name`` gives it.
        failures: in a row, until now.
        since: when it was opened first, UTC.
        reason: what it said last.
        retry_at: from when on one trial is made, UTC; may be past where nobody needed it since.
    """

    name: str
    failures: int
    since: datetime
    reason: str
    retry_at: datetime


class _Remembered(BaseModel):
    """What stands in the file of a breaker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    state: Literal["closed", "open", "half-open"] = "closed"
    failures: int = 0
    since: AwareDatetime | None = None
    opened_at: AwareDatetime | None = None
    reset_s: float = 0.0
    reason: str = ""


def model_name(model: str) -> str:
    """The name of a model's breaker; a model is named as in the settings."""
    return f"model:{model}"


def hub_name(host: str) -> str:
    """The name of a hub's breaker."""
    return f"hub:{host}"


@contextmanager
def guarded(settings: Settings, name: str) -> Iterator[None]:
    """Call a model or hub in this block, unless it failed too often of late; what comes of it is remembered.

    ``breaker_failures`` failures in a row open the breaker for ``breaker_reset_s`` seconds. Then one trial passes, of
    one process alone; its success closes the breaker, its failure opens it again for as long. ``ModelFailed``,
    ``WeightsMissing``, ``WeightsDamaged`` and ``StageTimeout`` are failures; any other error says nothing.

    Args:
        settings: of the process.
        name: see ``model_name`` and ``hub_name``.

    Raises:
        BreakerOpen: it failed too often; the block was not begun.
        StorageFailed: BRI_HOME cannot be written.
    """
    memory = _Memory(settings.home, name, settings.breaker_reset_s)
    rules = pybreaker.CircuitBreaker(
        fail_max=settings.breaker_failures,
        reset_timeout=settings.breaker_reset_s,
        exclude=[lambda error: not isinstance(error, _COUNTED)],
        state_storage=memory,
        throw_new_error_on_trip=False,
    )
    with ExitStack() as stack:
        if memory.state != pybreaker.STATE_CLOSED:
            stack.enter_context(memory.trial())
        try:
            stack.enter_context(rules.calling())
        except pybreaker.CircuitBreakerError as error:
            raise memory.refusal() from error
        try:
            yield
        except _COUNTED as error:
            memory.reason = str(error)
            raise
        except BaseException:
            memory.says_nothing = True
            raise


def hub_guard(settings: Settings) -> Callable[[str], AbstractContextManager[None]]:
    """The guard that pulling weights takes: ``guarded`` by a hub's host."""
    return lambda host: guarded(settings, hub_name(host))


def close(home: Path, name: str) -> None:
    """Forget what a model or hub did: somebody mended it."""
    _Memory(home, name, 0.0).path.unlink(missing_ok=True)


def open_breakers(home: Path) -> list[OpenBreaker]:
    """The breakers that are not closed, by name."""
    found = (_read(path) for path in sorted((home / "breakers").glob("*.json")))
    return sorted(
        (_told(one) for one in found if one is not None and one.state != pybreaker.STATE_CLOSED),
        key=lambda one: one.name,
    )


def _told(one: _Remembered) -> OpenBreaker:
    opened_at = one.opened_at or datetime.now(UTC)
    retry_at = opened_at + timedelta(seconds=one.reset_s)
    return OpenBreaker(
        name=one.name, failures=one.failures, since=one.since or opened_at, reason=one.reason, retry_at=retry_at
    )


def _read(path: Path) -> _Remembered | None:
    """What a breaker's file says; None where it is missing or damaged: a memory that is lost stops nobody."""
    try:
        return _Remembered.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    except OSError as error:
        raise StorageFailed(path, f"cannot be read ({error.strerror}).", "Check its permissions.") from error


class _Memory(pybreaker.CircuitBreakerStorage):
    """A breaker's file, as pybreaker's storage: read anew each time, changed under a lock.

    Args:
        home: BRI_HOME.
        name: of the breaker.
        reset_s: how long it stays open.
    """

    def __init__(self, home: Path, name: str, reset_s: float) -> None:
        super().__init__(name)
        self.path = home / "breakers" / f"{slugify(name, max_length=60)}-{sha256_bytes(name.encode())[:8]}.json"
        self.reset_s = reset_s
        self.reason = ""
        #: What happens in the block says nothing of the thing: nothing of it is remembered.
        self.says_nothing = False
        self._successes = 0

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Be the one that tries; whoever dies in it makes room for the next.

        Raises:
            BreakerOpen: another process tries now.
        """
        try:
            lock = self._lock(".trial", wait_s=0.0)
        except portalocker.LockException as error:
            raise self.refusal() from error
        try:
            yield
        finally:
            lock.release()

    def refusal(self) -> BreakerOpen:
        """That the breaker is open, with what is known."""
        one = _told(self._remembered())
        what = f"failed {one.failures} times in a row, last with: {one.reason.rstrip('.')}. It is not asked for now."
        return BreakerOpen(one.name, what, f"Mend that; it is tried again from {one.retry_at:%H:%M:%S} UTC on.")

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        return self._remembered().state

    @state.setter
    def state(self, state: str) -> None:
        forgotten = {"failures": 0, "since": None, "opened_at": None, "reason": ""}
        self._change(lambda _: {"state": state, **(forgotten if state == pybreaker.STATE_CLOSED else {})})

    @property
    def counter(self) -> int:
        """Failures in a row."""
        return self._remembered().failures

    def increment_counter(self) -> None:
        """One more failure."""
        self._change(lambda one: {"failures": one.failures + 1, "reason": self.reason})

    def reset_counter(self) -> None:
        """A success; of a call that began before the breaker opened, it closes nothing."""
        if self._remembered().failures:
            self._change(lambda one: {"failures": 0, "reason": ""} if one.state == pybreaker.STATE_CLOSED else {})

    @property
    def success_counter(self) -> int:
        """Successes of the trial; one is enough."""
        return self._successes

    def increment_success_counter(self) -> None:
        """The trial was a success."""
        self._successes += 1

    def reset_success_counter(self) -> None:
        """A trial begins."""
        self._successes = 0

    @property
    def opened_at(self) -> datetime | None:
        """When it was opened last; None where that lies in the future, for then the clock was set back: try at once."""
        opened_at = self._remembered().opened_at
        return opened_at if opened_at is None or opened_at <= datetime.now(UTC) else None

    @opened_at.setter
    def opened_at(self, opened_at: datetime) -> None:
        self._change(lambda one: {"opened_at": opened_at, "since": one.since or opened_at, "reset_s": self.reset_s})

    def _remembered(self) -> _Remembered:
        found = _read(self.path)
        return found if found is not None and found.name == self.name else _Remembered(name=self.name)

    def _change(self, change: Callable[[_Remembered], dict[str, Any]]) -> None:
        if self.says_nothing:
            return
        with storing(self.path, 0):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = self._lock(".lock", wait_s=_LOCK_S)
        except portalocker.LockException as error:
            raise StorageFailed(self.path, "is locked by a process that hangs.", "End that process.") from error
        try:
            remembered = self._remembered()
            changed = remembered.model_copy(update=change(remembered))
            write_atomically(self.path, changed.model_dump_json().encode() + b"\n")
        finally:
            lock.release()

    def _lock(self, suffix: str, wait_s: float) -> portalocker.Lock:
        flags = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
        lock = portalocker.Lock(self.path.with_suffix(suffix), "a", timeout=wait_s, check_interval=0.01, flags=flags)
        with storing(self.path, 0):
            lock.acquire()
        return lock
