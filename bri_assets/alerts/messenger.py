"""The channels of one process, and who it says that it is.

What does not belong here: what is due to them (``delivery``).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from bri_assets.alerts.channels import Channel, channels_of, limit
from bri_assets.alerts.messages import Message, compose
from bri_assets.errors import AlertUrlWrong
from bri_assets.settings import Settings
from bri_assets.store.outbox import Due

__all__ = ["Messenger"]


@dataclass(frozen=True)
class Messenger:
    """Whom to tell, and how.

    Args:
        channels: of the URLs that can be used.
        wrong: an error for each of the others.
        origin: which machine and BRI_HOME this is, for whoever gets messages of several.
        group: more alerts than this that are due to a channel at once are one message.
        limit_s: longest time that one delivery takes, in seconds.
    """

    channels: tuple[Channel, ...]
    wrong: tuple[AlertUrlWrong, ...]
    origin: str
    group: int
    limit_s: float

    @classmethod
    def of(cls, settings: Settings) -> Messenger:
        """The messenger of a process's settings; a URL that is wrong is told by ``wrong`` and stops no other."""
        urls = settings.alert_urls.get_secret_value() if settings.alert_urls else ""
        channels, wrong = channels_of(urls, settings.alert_timeout_s)
        origin = f"{socket.gethostname()}, {settings.home}"
        return cls(tuple(channels), tuple(wrong), origin, settings.alert_group, limit(settings.alert_timeout_s))

    @property
    def labels(self) -> list[str]:
        """The labels of the channels."""
        return [channel.label for channel in self.channels]

    def messages(self, due: Sequence[Due]) -> list[tuple[list[Due], Message]]:
        """What is due to one channel as messages, each with what it says: few one by one, many as one."""
        parts = [list(due)] if len(due) > self.group else [[one] for one in due]
        return [(part, compose(part, self.origin)) for part in parts]
