"""What a request may cost: how often a caller may ask, how large a request may be, and how long it may take.

Plain ASGI, so that nothing is buffered. What does not belong here: who calls (``auth``), and what is done at once at
most (``serve.threads``).
"""

from __future__ import annotations

import math
import time

import anyio
from anyio import CancelScope
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bri_assets import telemetry
from bri_assets.errors import BriError
from bri_assets.serve.api.auth import ANONYMOUS, CALLER, Caller, Keys, secret_of
from bri_assets.serve.api.problems import problem, problem_of
from bri_assets.serve.api.work import run
from bri_assets.serve.services import Services

__all__ = ["FREE", "UPLOADS", "Callers", "Clock", "Sizes"]

#: Paths that may always be asked: whoever watches over the server must not be sent away by it.
FREE = ("/health", "/health/live", "/health/ready", "/metrics")

#: Uploads have limits of their own.
UPLOADS = "/v1/uploads"

#: Most bytes of all names and values of a request's headers.
MOST_HEADER_BYTES = 16 * 1024

log = telemetry.logger(__name__)


class Callers:
    """Finds out who calls, and lets nobody call more often than they may.

    Whether a route may be called without a token the route itself says (``auth.require``).

    Args:
        app: what comes next.
        services: whose tokens, and how often.
    """

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app, self._services = app, services
        self._keys = Keys(services)
        self._rate = parse(services.settings.serve_rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = f"address {(scope.get('client') or ('unknown',))[0]}"
        free = scope["path"] in FREE
        secret = secret_of(scope)
        known, caller = (True, ANONYMOUS if self._services.trusting else None)
        if secret is not None:
            known, caller = self._keys.known(secret) if secret else (True, None)
        # Secrets that nobody has seen are looked for in the store, so that those who guess count by their address.
        name = f"token {caller.name}" if caller is not None and secret else address
        if not free and not await self._limiter.hit(self._rate, name):
            await (await self._too_often(scope, name))(scope, receive, send)
            return
        if not known and secret:
            try:
                caller = await run(self._services, self._keys.find, secret)
            except BriError as error:
                log.warning("a token could not be looked for", exc_info=error)
                await problem_of(scope, error)(scope, receive, send)
                return
        await self._pass_on(caller, scope, receive, send if free else self._telling(name, send))

    async def _pass_on(self, caller: Caller | None, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["caller"] = caller
        mark = CALLER.set(caller)
        try:
            await self._app(scope, receive, send)
        finally:
            CALLER.reset(mark)

    async def _too_often(self, scope: Scope, name: str) -> Response:
        detail = f"more than {self._services.settings.serve_rate} requests."
        headers = await self._headers(name)
        headers["Retry-After"] = headers["RateLimit-Reset"]
        remedy = "Wait as long as `Retry-After` says."
        return problem(scope, 429, "too_many_requests", detail, remedy, headers=headers)

    def _telling(self, name: str, send: Send) -> Send:
        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(await self._headers(name))
            await send(message)

        return tell

    async def _headers(self, name: str) -> dict[str, str]:
        window = await self._limiter.get_window_stats(self._rate, name)
        return {
            "RateLimit-Limit": str(self._rate.amount),
            "RateLimit-Remaining": str(max(window.remaining, 0)),
            "RateLimit-Reset": str(max(math.ceil(window.reset_time - time.time()), 1)),
        }


class Sizes:
    """Refuses requests whose headers or body are too large, whether they say so or only turn out to be.

    Args:
        app: what comes next.
        most_bytes: of a body.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app, self._most_bytes = app, most_bytes
        self._counted = RequestBodyLimitMiddleware(app, most_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        header_bytes = sum(len(name) + len(value) for name, value in scope["headers"])
        if header_bytes > MOST_HEADER_BYTES or len(scope.get("query_string", b"")) > MOST_HEADER_BYTES:
            detail = f"its address or headers have more than {MOST_HEADER_BYTES} bytes."
            await problem(scope, 431, "headers_too_large", detail)(scope, receive, send)
        elif is_upload(scope):
            await self._app(scope, receive, send)
        elif _length(scope) > self._most_bytes:
            # Before anything is done: the library looks when the body is read, and not every route reads one.
            await problem(scope, 413, "content_too_large", "the body is too large.")(scope, receive, send)
        else:
            await self._counted(scope, receive, send)


class Clock:
    """Ends requests that take too long; a stream of events may go on, and so may an upload.

    Args:
        app: what comes next.
        most_s: longest time, in seconds.
    """

    def __init__(self, app: ASGIApp, most_s: float) -> None:
        self._app, self._most_s = app, most_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http" or is_upload(scope):
            await self._app(scope, receive, send)
            return
        watched = _Watched(receive, send)
        with anyio.move_on_after(self._most_s) as watched.limit:
            await self._app(scope, watched.receive, watched.send)
        if not watched.limit.cancelled_caught:
            return
        if watched.begun:
            # Half an answer cannot be mended; the connection is cut, so that nobody takes it for a whole one.
            raise TimeoutError(f"an answer took longer than {self._most_s:g} s")
        if watched.waits:
            status, code, detail = 408, "body_too_slow", f"the body took longer than {self._most_s:g} s."
        else:
            status, code, detail = 504, "too_slow", f"this took longer than {self._most_s:g} s, and was stopped."
        late = problem(scope, status, code, detail, "Ask for less at once.", headers={"Connection": "close"})
        await late(scope, receive, send)


class _Watched:
    """A request's two ways, and how far it has come."""

    limit: CancelScope

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.begun = self.waits = False

    async def receive(self) -> Message:
        self.waits = True
        message = await self._receive()
        self.waits = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            if Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream"):
                self.limit.deadline = math.inf
        await self._send(message)


def is_upload(scope: Scope) -> bool:
    """Whether a request sends a file."""
    path: str = scope["path"]
    return scope["method"] in ("POST", "PUT", "PATCH") and (path == UPLOADS or path.startswith(f"{UPLOADS}/"))


def _length(scope: Scope) -> int:
    said = Headers(scope=scope).get("content-length", "")
    return int(said) if said.isascii() and said.isdigit() else 0
