"""What every request goes through first: an id, a line of the log, a look at who is asked and from where.

Plain ASGI, so that streams stay streams. What does not belong here: limits (``limits``) and the envelope of errors
(``problems``).
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from bri_assets import telemetry
from bri_assets.serve.api.problems import problem, problem_of
from bri_assets.serve.services import Services

__all__ = ["Places", "Told", "route_of"]

#: A request id that is taken from whoever asks.
_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")

#: Of every answer. Nothing here is a page; an answer is for whoever asked, and not for a cache on the way.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

log = telemetry.logger(__name__)


class Told:
    """Gives each request an id, tells of it when it is over, and answers what nobody else caught.

    Args:
        app: what comes next.
        services: what the server works with.
    """

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app, self._services = app, services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _SANE.fullmatch(asked) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(scope, send, closing=self._services.stopping.is_set)
        began = time.perf_counter()
        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, answer.send)
            except Exception as error:
                log.exception("a request failed")
                if answer.status:
                    raise
                await problem_of(scope, error)(scope, receive, answer.send)
            finally:
                _tell(scope, answer.status, time.perf_counter() - began)


class _Answer:
    """The answer to a request: gets the headers that every answer has, and the envelope where it is a bare error.

    Args:
        scope: of the request.
        send: the way to whoever asked.
        closing: whether the connection shall be used no more.
    """

    def __init__(self, scope: Scope, send: Send, closing: Callable[[], bool]) -> None:
        self._scope, self._send, self._closing = scope, send, closing
        self._bare = False
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._bare = self.status >= 400 and _is_bare(message)
            if self._bare:
                made = problem_of(self._scope, HTTPException(self.status))
                await made(self._scope, _nothing, self._complete)
        if not self._bare:
            await self._complete(message)

    async def _complete(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._scope["state"]["request_id"]
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if self._closing():
                # So that the next request goes to the next server, and not into a connection that is about to close.
                headers["Connection"] = "close"
        await self._send(message)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _tell(scope: Scope, status: int, seconds: float) -> None:
    method, route, caller = scope["method"], route_of(scope), scope["state"].get("caller")
    ms, name = round(seconds * 1000, 1), caller.name if caller else None
    log.info("request", method=method, route=route, status=status, ms=ms, caller=name)
    telemetry.request(method, route, status, seconds)


class Places:
    """Refuses what is asked under a name that is not the server's, or from a page that is not allowed to ask.

    The first stops a page that has its own name lead to this machine (DNS rebinding); the second a page that sends a
    form here, for which a browser asks nobody.

    Args:
        app: what comes next.
        hosts: names of the server, in small letters; ``*``: any.
        origins: of pages that may ask.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], origins: frozenset[str]) -> None:
        self._app, self._hosts, self._origins = app, hosts, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if "*" not in self._hosts and _name(host) not in self._hosts:
            remedy = "Ask under one of the names in BRI_SERVE_HOSTS, or add this one there."
            await problem(scope, 421, "host_refused", "the server is not known by this name.", remedy)(
                scope, receive, send
            )
        elif origin is not None and not self._may_ask(origin, scope, host):
            remedy = "Add it to BRI_SERVE_ORIGINS where its pages may ask."
            await problem(scope, 403, "origin_refused", "pages of this origin may not ask.", remedy)(
                scope, receive, send
            )
        else:
            await self._app(scope, receive, send)

    def _may_ask(self, origin: str, scope: Scope, host: str) -> bool:
        return origin in self._origins or origin == f"{scope.get('scheme', 'http')}://{host}"


def _is_bare(start: Message) -> bool:
    """Whether an error is a library's line of text, or nothing."""
    return Headers(raw=start["headers"]).get("content-type", "text/plain").startswith("text/plain")


def route_of(scope: Scope) -> str:
    """The path of a request's route with the names of its parameters, or ``unknown``: never what was asked for."""
    return str(getattr(scope.get("route"), "path", "unknown"))


def _name(host: str) -> str:
    """The name in a Host header, without the port, as ``serve_hosts`` has it; empty where it is none."""
    try:
        found = urlsplit(f"//{host}")
        name = found.hostname or ""
        _ = found.port
    except ValueError:
        return ""
    if found.username is not None or found.path or found.query or found.fragment:
        return ""
    return f"[{name}]" if ":" in name else name
