"""Delivering what is due: every channel for itself, again and again until it takes it.

A notice is recorded as delivered after the far side took it; a process that dies between the two says it again, with
the same alert id. What does not belong here: what is due (``store.outbox``).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bri_assets.alerts.channels import Channel
from bri_assets.alerts.messenger import Messenger
from bri_assets.errors import DeliveryFailed
from bri_assets.store.outbox import Due, Notice, Outbox

__all__ = ["Delivered", "backoff", "deliver"]

#: Seconds after the first failure until the next try; doubled each time.
_FIRST_S = 30.0
#: The longest of these: a channel that was away gets its messages within minutes of coming back.
_LONGEST_S = 300.0


@dataclass(frozen=True)
class Delivered:
    """What came of delivering.

    Args:
        messages: that were sent.
        notices: that they said.
        errors: one for each channel that did not take something.
        waiting: notices for which no time was left.
    """

    messages: int
    notices: int
    errors: list[DeliveryFailed]
    waiting: int


def backoff(attempts: int) -> timedelta:
    """The time until the next try after so many, >= 1, that failed: doubling, at most minutes, and never in step."""
    longest = min(_FIRST_S * 2 ** min(attempts - 1, 16), _LONGEST_S)
    return timedelta(seconds=longest * random.uniform(0.75, 1.0))  # noqa: S311 - not a secret


def deliver(
    outbox: Outbox, messenger: Messenger, *, channel: str, budget_s: float, now: Callable[[], datetime] | None = None
) -> Delivered:
    """Say what is due, to all channels at the same time.

    A channel that does not take a message is left alone for the rest of this call, and the others go on.

    Args:
        outbox: what is due.
        messenger: whom to tell.
        channel: the way in, for the audit log.
        budget_s: seconds after which no further delivery is begun; one that was begun takes at most
            ``messenger.limit_s`` more.
        now: the clock; tests set it.

    Raises:
        BriError: what was said cannot be recorded; it will be said again.
    """
    clock = now or (lambda: datetime.now(UTC))
    if not messenger.channels:
        return Delivered(0, 0, [], 0)
    deadline = time.monotonic() + budget_s
    with ThreadPoolExecutor(len(messenger.channels), thread_name_prefix="deliver") as threads:
        rounds = [_Round(outbox, messenger, one, channel, deadline, clock) for one in messenger.channels]
        running = [threads.submit(one.run) for one in rounds]
    for future in running:
        future.result()
    return Delivered(
        sum(one.messages for one in rounds),
        sum(one.notices for one in rounds),
        [one.error for one in rounds if one.error is not None],
        sum(one.waiting for one in rounds),
    )


class _Round:
    """One channel's share of a call of ``deliver``."""

    def __init__(
        self,
        outbox: Outbox,
        messenger: Messenger,
        to: Channel,
        channel: str,
        deadline: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._outbox, self._messenger, self._to = outbox, messenger, to
        self._channel, self._deadline, self._clock = channel, deadline, clock
        self.messages = self.notices = self.waiting = 0
        self.error: DeliveryFailed | None = None

    def run(self) -> None:
        """Until nothing is due, nothing is taken or no time is left; what is said may let more be due."""
        while due := self._outbox.due([self._to.label], now=self._clock()):
            for part, message in self._messenger.messages(due):
                if time.monotonic() > self._deadline:
                    self.waiting = len(due)
                    return
                keys = [one.key for one in part]
                try:
                    self._to.send(message)
                except DeliveryFailed as error:
                    self.error = error
                    self._failed(part, keys, error)
                    return
                self._outbox.delivered(self._to.label, keys, channel=self._channel, now=self._clock())
                self.messages += 1
                self.notices += len(part)

    def _failed(self, part: list[Due], keys: list[Notice], error: DeliveryFailed) -> None:
        at = self._clock()
        attempts = 1 + min(one.attempts for one in part)
        self._outbox.failed(
            self._to.label,
            keys,
            error=error.what,
            next_attempt_at=at + backoff(attempts),
            channel=self._channel,
            now=at,
        )
