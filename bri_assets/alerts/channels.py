"""Where alerts go: one channel for each URL of ``BRI_ALERT_URLS``, which ``apprise`` knows how to reach.

A URL holds secrets, so a channel goes by a label that has none, and what the far side or a library says of a failure is
cleaned of them before anybody stores or prints it. What does not belong here: what is said (``messages``) and when
(``delivery``).
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from bri_assets.alerts.messages import Message
from bri_assets.errors import AlertUrlWrong, DeliveryFailed
from bri_assets.files import sha256_bytes

if TYPE_CHECKING:
    from apprise import Apprise, NotifyBase

__all__ = ["Channel", "channels_of", "limit"]

#: URLs may hold commas, so only one that begins a new scheme parts two of them.
_PARTS = re.compile(r"[\s,;]+(?=[a-z0-9]{1,32}://)", re.IGNORECASE)
_WHOLE = re.compile(r"([a-z0-9]{1,32})://\S+", re.IGNORECASE)

#: How a channel is served, not which one it is: its label does not depend on these.
_MANNERS = {"cto", "emojis", "format", "optional", "overflow", "redirect", "retry", "tz", "verify", "wait"}

#: What apprise says at the level DEBUG of why something failed; what else it says there quotes URLs and messages.
_CAUSE = "Socket Exception: "

_LONGEST_ERROR = 500

#: A tick of a sensor has a minute for everything.
_LONGEST_S = 35.0

#: Shorter pieces of a URL are words like `to`; to blank them would make an error unreadable.
_SHORTEST_SECRET = 4


@dataclass(frozen=True)
class Channel:
    """A place that alerts go to.

    Args:
        position: of its URL in the setting, from 1.
        label: its name in the store and in what is printed, as ``slack-1f0c33aa``.
    """

    position: int
    label: str
    _way: Apprise = field(repr=False, compare=False)
    _secrets: tuple[str, ...] = field(repr=False, compare=False)

    def send(self, message: Message) -> None:
        """Say it; returns once the far side has taken it.

        Raises:
            DeliveryFailed: it did not, or nobody can tell whether it did.
        """
        from apprise import NotifyFormat, NotifyType

        kind = {"ERROR": NotifyType.FAILURE, "WARN": NotifyType.WARNING, "resolved": NotifyType.SUCCESS}
        result = self._way.notify(
            body=message.body,
            title=message.title,
            notify_type=kind.get(message.kind, NotifyType.INFO),
            body_format=NotifyFormat.TEXT,
            log_level=logging.DEBUG,
        )
        with result:
            if not result:
                told = [(entry.level, entry.message) for entry in result.logs()]
                why = _cleaned(_said(told), self._secrets) or f"apprise says {result.status.name}"
                raise DeliveryFailed(self.label, f"did not take the message: {why}")


def channels_of(urls: str, timeout_s: float) -> tuple[list[Channel], list[AlertUrlWrong]]:
    """The channels that URLs mean, and for each URL that means none an error.

    Args:
        urls: as the setting ``BRI_ALERT_URLS`` has them.
        timeout_s: longest wait for the far side at each step of a delivery, > 0.
    """
    from apprise import Apprise, AppriseAsset

    _keep_to_itself()
    asset = AppriseAsset(app_id="BRI", app_desc="BRI", app_url="", service_timeout=limit(timeout_s))
    channels: list[Channel] = []
    wrong: list[AlertUrlWrong] = []
    taken: Counter[str] = Counter()
    for position, url in enumerate(filter(None, _PARTS.split(urls.strip())), start=1):
        service = Apprise.instantiate(url, asset=asset) if _WHOLE.fullmatch(url) else None
        if service is None:
            wrong.append(_wrong(position, url))
            continue
        label = _label(service)
        taken[label] += 1
        if taken[label] > 1:
            label = f"{label}-{taken[label]}"
        _limit(service, url, timeout_s)
        way = Apprise(asset=asset)
        way.add(service)
        channels.append(Channel(position, label, way, tuple(_secrets(url))))
    return channels, wrong


def limit(timeout_s: float) -> float:
    """Longest time that a whole delivery may take, in seconds, where each of its steps may take ``timeout_s``."""
    return min(2 * timeout_s, _LONGEST_S)


def _keep_to_itself() -> None:
    """``send`` alone hears what apprise says: it shows parts of URLs, and says why something failed as debugging."""
    log = logging.getLogger("apprise")
    log.propagate = False
    log.setLevel(logging.DEBUG)
    if not log.handlers:
        log.addHandler(logging.NullHandler())


def _limit(service: NotifyBase, url: str, timeout_s: float) -> None:
    from apprise import OverflowMode

    asked = {name.lower() for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    if "cto" not in asked:
        service.socket_connect_timeout = timeout_s
    if "rto" not in asked:
        service.socket_read_timeout = timeout_s
    if "overflow" not in asked:
        # What is too long for a channel would else be refused by it, for ever.
        service.overflow_mode = OverflowMode.SPLIT


def _label(service: NotifyBase) -> str:
    """The same for the same place, and no way back to a secret: what apprise masks is not in it."""
    shown = str(service.url(privacy=True))  # type: ignore[no-untyped-call]
    place, _, query = shown.partition("?")
    kept = sorted(pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in _MANNERS | {"rto"})
    return f"{service.schema}-{sha256_bytes(repr((place, kept)).encode())[:8]}"


def _wrong(position: int, url: str) -> AlertUrlWrong:
    found = _WHOLE.fullmatch(url)
    scheme = f" ({found.group(1).lower()}://…)" if found else ""
    what = f"URL {position}{scheme} is none that alerts can be sent to."
    return AlertUrlWrong("BRI_ALERT_URLS", what, "docs/runbooks/alerts.md has examples; `bri alerts test` tries them.")


def _said(told: list[tuple[str, str]]) -> str:
    """Why a delivery failed, of all that apprise said about it."""
    kept = [message for level, message in told if level in ("WARNING", "ERROR", "CRITICAL")]
    kept += [message.removeprefix(_CAUSE) for _, message in told if message.startswith(_CAUSE)]
    return " ".join(dict.fromkeys(" ".join(message.split()) for message in kept))


def _cleaned(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "…")
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]} …"


def _secrets(url: str) -> Iterator[str]:
    """Every piece of a URL but its scheme, host and port, as it is written and as it is meant, longest first.

    Which of them are secret is different for each kind of URL; in some, the host is one too.
    """
    rest = url.partition("://")[2]
    authority, _, path = rest.partition("/")
    user, _, host = authority.rpartition("@")
    pieces = {*re.split(r"[/?&=:;#@,]", path), *re.split(r"[:@]", user)}
    if "." not in host and ":" not in host and host != "localhost":
        # As `slack://TokenA/…`, where a host would be.
        pieces.add(host)
    pieces |= {unquote(piece) for piece in pieces}
    pieces |= {quoted for piece in pieces for quoted in (quote(piece, safe=""), quote_plus(piece))}
    yield from sorted((piece for piece in pieces if len(piece) >= _SHORTEST_SECRET), key=len, reverse=True)
