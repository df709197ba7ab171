"""Answers that several servers share, in a Redis: whatever ails it, an answer is only not found there.

A Redis that fails once is left alone for ``PAUSE_S``; then one request tries it again. So one that is down or hangs
costs ``redis_timeout_s`` that often, and nothing else. What does not belong here: which answers are kept (``cache``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import TypeVar

import pybreaker
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bri_assets import telemetry
from bri_assets.settings import Settings

__all__ = ["PAUSE_S", "Shared"]

T = TypeVar("T")

#: How long a Redis that failed is left alone, in seconds.
PAUSE_S = 5.0

#: Bytes before each answer that say that it is whole and under its own key.
_DIGEST = 32

#: Keys that are removed at once.
_SLICE = 500

log = telemetry.logger(__name__)


class _Told(pybreaker.CircuitBreakerListener):
    """Tells the log when Redis begins and ceases to be left alone."""

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        if new_state.name == pybreaker.STATE_CLOSED:
            log.info("redis answers again")
        elif new_state.name == pybreaker.STATE_OPEN and old_state and old_state.name == pybreaker.STATE_CLOSED:
            log.warning("redis is left alone; answers come from the store", tried_again_in_s=cb.reset_timeout)


class Shared:
    """A Redis as a place for answers; safe for threads.

    Args:
        client: how it is reached, with limits for waiting and without retries.
        ttl_s: how long it keeps an answer, in seconds, > 0.
        pause_s: how long it is left alone when it failed, in seconds.
    """

    def __init__(self, client: redis.Redis, ttl_s: float, pause_s: float = PAUSE_S) -> None:
        self._client, self._ttl_ms = client, max(int(ttl_s * 1000), 1)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=1, reset_timeout=pause_s, listeners=[_Told()], throw_new_error_on_trip=False
        )
        self._trial = threading.Lock()

    @classmethod
    def of(cls, settings: Settings) -> Shared | None:
        """The Redis of a process's settings; None where they name none. It is not asked yet."""
        if settings.redis_url is None:
            return None
        client = redis.Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_timeout=settings.redis_timeout_s,
            socket_connect_timeout=settings.redis_timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        return cls(client, settings.cache_ttl_s)

    @property
    def state(self) -> str:
        """``closed`` while Redis is asked, ``open`` while it is left alone, ``half-open`` while it is tried again."""
        return str(self._breaker.current_state)

    def many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The answers that are there, by key; what lies under a key and was not put there by us, is not."""
        found = self._ask(lambda: self._client.mget(keys)) or ()
        told = zip(keys, found, strict=False)
        return {key: value[_DIGEST:] for key, value in told if isinstance(value, bytes) and _whole(key, value)}

    def keep(self, answers: Mapping[str, bytes]) -> None:
        """Put answers there, each until its time is over."""

        def put() -> None:
            with self._client.pipeline(transaction=False) as pipeline:
                for key, body in answers.items():
                    pipeline.set(key, _digest(key, body) + body, px=self._ttl_ms)
                pipeline.execute()

        self._ask(put)

    def forget(self, *patterns: str) -> None:
        """Remove the answers whose keys match; where Redis fails, they go when their time is over."""

        def remove() -> None:
            for pattern in patterns:
                keys = iter(self._client.scan_iter(match=pattern, count=1000))
                while some := list(islice(keys, _SLICE)):
                    self._client.delete(*some)

        self._ask(remove)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, work: Callable[[], T]) -> T | None:
        """Let Redis do something; None where it fails or is left alone."""
        tries = self._breaker.current_state != pybreaker.STATE_CLOSED
        if tries and not self._trial.acquire(blocking=False):
            telemetry.redis_asked("left_alone")
            return None
        try:
            # Not `call`, which holds a lock over the work: one request at a time would be asked.
            with self._breaker.calling():
                done = work()
        except pybreaker.CircuitBreakerError:
            telemetry.redis_asked("left_alone")
            return None
        except redis.RedisError as error:
            # That is the promise of this place: what fails is not found, and the store is asked. It is counted, and the
            # log is told when Redis is left alone.
            telemetry.redis_asked("failed")
            log.debug("redis failed", error=type(error).__name__)
            return None
        finally:
            if tries:
                self._trial.release()
        telemetry.redis_asked("done")
        return done


def _digest(key: str, body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST, key=blake2b(key.encode()).digest()).digest()


def _whole(key: str, value: bytes) -> bool:
    return value[:_DIGEST] == _digest(key, value[_DIGEST:])
