"""The way to the process that owns the store: a Unix socket beside the database, which only its user may use.

What does not belong here: the other end (``serve.owner``) and what travels (``wire``).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bri_assets.errors import OwnerFailed, OwnerGone
from bri_assets.store.access.wire import PROTOCOL, pack, signature_of, unpack, unpack_error

__all__ = ["ANSWERED", "REFUSED", "Remote", "address_of", "in_reach"]

#: Statuses of an answer: a result, and an error of ours.
ANSWERED, REFUSED = 200, 409

#: An owner that does not answer for this long hangs; long work (an archive, a purge) is done in shorter pieces.
_ANSWER_S = 600.0

_LONGEST_ADDRESS = 107


def address_of(store_path: Path) -> Path:
    """The socket of a store's owner."""
    return store_path.with_suffix(".sock")


@dataclass(frozen=True)
class Remote:
    """The owner of a store, as another process sees it.

    Args:
        address: its socket.
    """

    address: Path

    @property
    def there(self) -> bool:
        """Whether anybody listens: the socket of an owner that died refuses at once."""
        if not self.address.exists():
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, in_reach(self.address) as address:
            try:
                probe.connect(address)
            except OSError:
                return False
        return True

    def call(self, name: str, body: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Have the owner carry out an operation.

        Args:
            name: of the operation.
            body: the operation, for its types.
            *arguments: of the operation.
            **named: of the operation.

        Raises:
            OwnerGone: it went away before it answered; ``untouched`` says whether it never got the request.
            OwnerFailed: it met an error that is none of ours, or is of another version of the package.
            BriError: what the operation raised there.
        """
        # httpx costs a tenth of a second to import, and who opens the file directly needs none of it.
        import httpx

        signature = signature_of(body)
        request = pack(
            {"protocol": PROTOCOL, "operation": name, "arguments": signature.plain_arguments(*arguments, **named)}
        )
        try:
            with (
                in_reach(self.address) as address,
                httpx.Client(
                    # No TLS on a Unix socket: loading its certificates would cost a third of a commit.
                    transport=httpx.HTTPTransport(uds=address, verify=False),
                    timeout=httpx.Timeout(_ANSWER_S, connect=5.0),
                ) as client,
            ):
                answer = client.post("http://owner/operation", content=request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._gone(error, untouched=True) from error
        except httpx.TransportError as error:
            raise self._gone(error, untouched=False) from error
        if answer.status_code == ANSWERED:
            return signature.result(unpack(answer.content))
        if answer.status_code == REFUSED:
            raise unpack_error(answer.content)
        raise OwnerFailed(self.address, f"{name} failed: {answer.text.strip()}", "See the log of `bri serve`.")

    def _gone(self, error: Exception, *, untouched: bool) -> OwnerGone:
        what = f"the process that owns the store went away: {error}."
        remedy = "See what was done (`bri status`, `bri history`) before you try again."
        return OwnerGone(self.address, what, remedy, untouched)


@contextmanager
def in_reach(address: Path) -> Iterator[str]:
    """A path of the socket that fits into the 107 bytes that the system allows.

    A longer one is reached through a descriptor of its folder, by Linux's name for it.
    """
    if len(os.fsencode(address)) <= _LONGEST_ADDRESS:
        yield str(address)
        return
    folder = os.open(address.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{address.name}"
    finally:
        os.close(folder)
