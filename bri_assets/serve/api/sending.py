"""A file as it comes over HTTP: what its headers say of it, and its bytes in portions.

What does not belong here: what is done with them (``serve.receiving``).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from bri_assets.errors import DigestWrong, UploadStalled

__all__ = ["Body", "promised_bytes", "promised_sha256", "require_plain"]

#: Bytes that are written at once.
_PORTION = 1 << 20

#: What is read of a body that is refused, so that its sender gets to read why: bytes, and seconds.
_DRAINED, _DRAINED_S = 4 << 20, 1.0

_HEX = re.compile(r"[0-9a-f]{64}")


def require_plain(headers: Headers) -> None:
    """See that the body is the file itself.

    Raises:
        HTTPException: 415 where it is compressed, 400 where it is a part (RFC 9110, 14.5).
    """
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "the body must be the file itself, without a Content-Encoding")
    if "content-range" in headers:
        raise HTTPException(400, "the body must be the whole file, without a Content-Range")


def promised_bytes(headers: Headers) -> int | None:
    """The length that is promised; None where it comes in chunks."""
    said = headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdigit() else None


def promised_sha256(headers: Headers) -> str | None:
    """The SHA-256 that is promised, as 64 hex digits, of ``Content-Digest`` (RFC 9530) or ``X-Content-SHA256``.

    Raises:
        DigestWrong: what is said cannot be one, or two differ.
    """
    found = {digest for digest in (_of_content_digest(headers), _of_hex(headers)) if digest is not None}
    if len(found) > 1:
        raise DigestWrong("Content-Digest", "and X-Content-SHA256 say different things.", "Send one of them.")
    return found.pop() if found else None


class Body:
    """The body of a request, read once.

    Args:
        request: whose body was not read yet.
        stall_s: longest wait for more of it, in seconds.
    """

    def __init__(self, request: Request, *, stall_s: float) -> None:
        self._request, self._stall_s = request, stall_s
        self._received, self._ended = 0, False

    async def portions(self) -> AsyncIterator[bytes]:
        """It in portions of 1 MiB or a little more; the last may be smaller.

        Raises:
            UploadStalled: nothing came for so long.
            ClientDisconnect: the sender went away.
        """
        held = bytearray()
        while not self._ended:
            data = None
            with anyio.move_on_after(self._stall_s):
                data = await self._receive()
            if data is None:
                what = f"came to a stop after {self._received} bytes: nothing for {self._stall_s:g} s."
                raise UploadStalled("the file", what, "Send it again; BRI_UPLOAD_STALL_S is how long is waited.")
            held += data
            if len(held) >= _PORTION:
                yield bytes(held)
                held.clear()
        if held:
            yield bytes(held)

    async def drain(self) -> None:
        """Read a little of what is left of it: a connection that is closed over a body tells its sender nothing."""
        if not self._received and "expect" in self._request.headers:
            return  # who asks before sending has sent nothing
        most = self._received + _DRAINED
        with anyio.move_on_after(_DRAINED_S), suppress(ClientDisconnect):
            while not self._ended and self._received < most:
                await self._receive()

    async def _receive(self) -> bytes:
        message = await self._request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        data: bytes = message.get("body", b"")
        self._received, self._ended = self._received + len(data), not message.get("more_body", False)
        return data


def _of_content_digest(headers: Headers) -> str | None:
    """Of the algorithms in it, ours; others are for others to look at."""
    for member in headers.get("content-digest", "").split(","):
        name, _, value = member.strip().partition("=")
        if name.lower() == "sha-256":
            try:
                digest = base64.b64decode(value.strip(":"), validate=True) if value[:1] == value[-1:] == ":" else b""
            except (binascii.Error, ValueError) as error:
                raise _unreadable("Content-Digest") from error
            if len(digest) != 32:
                raise _unreadable("Content-Digest")
            return digest.hex()
    return None


def _of_hex(headers: Headers) -> str | None:
    said = headers.get("x-content-sha256")
    if said is None:
        return None
    if not _HEX.fullmatch(said.lower()):
        raise _unreadable("X-Content-SHA256")
    return said.lower()


def _unreadable(header: str) -> DigestWrong:
    what = "holds no SHA-256 that can be read."
    return DigestWrong(header, what, "Send `Content-Digest: sha-256=:BASE64:` or `X-Content-SHA256: HEX`.")
