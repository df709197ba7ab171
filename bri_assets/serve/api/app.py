"""The application: every router, MCP, and what all requests have in common.

What does not belong here: any route.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from mcp.server.transport_security import TransportSecuritySettings
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bri_assets import telemetry
from bri_assets.errors import BriError
from bri_assets.serve.api import health, lifecycle, memory, objects, progress, search, uploads, videos
from bri_assets.serve.api.auth import CALLER, allowed
from bri_assets.serve.api.documented import document
from bri_assets.serve.api.limits import Callers, Clock, Sizes
from bri_assets.serve.api.middleware import Places, Told
from bri_assets.serve.api.problems import problem_of, status_of
from bri_assets.serve.mcp import build_mcp
from bri_assets.serve.services import Services
from bri_assets.store.access.owned import StoreIntruded
from bri_assets.store.access.wire import PROTOCOL

__all__ = ["build_app"]

log = telemetry.logger(__name__)

_ROUTES = (videos, objects, search, memory, uploads, lifecycle, progress, health)

_ABOUT = "What BRI knows of uploaded videos: facts, frames, captions, speech, objects, search, and the agent's memory."

#: Headers of an answer that a page may read.
_EXPOSED = (
    "X-Request-ID",
    "Retry-After",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "WWW-Authenticate",
)


def build_app(services: Services) -> FastAPI:
    """The application that answers on the server's address.

    Args:
        services: what its routes work with.
    """
    app = FastAPI(
        title="BRI",
        description=_ABOUT,
        version=PROTOCOL,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    for routes in _ROUTES:
        app.include_router(routes.router(services))
    _add_mcp(app, services)
    _add_errors(app, services)
    _add_layers(app, services)
    document(app)
    return app


def _add_layers(app: FastAPI, services: Services) -> None:
    """What each request goes through; the last that is added comes first."""
    settings = services.settings
    origins = _named(settings.serve_origins)
    app.add_middleware(Clock, most_s=settings.serve_timeout_s)
    app.add_middleware(Sizes, most_bytes=int(settings.serve_body_mb * 1_000_000))
    app.add_middleware(Callers, services=services)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=list(_EXPOSED),
        )
    hosts = frozenset(name.lower() for name in _named(settings.serve_hosts))
    app.add_middleware(Places, hosts=hosts, origins=origins)
    app.add_middleware(Told, services=services)


def _add_errors(app: FastAPI, services: Services) -> None:
    async def ours(request: Request, error: Exception) -> Response:
        if isinstance(error, BriError) and status_of(error) >= 500:
            tell = log.warning if error.retryable else log.error
            tell("a request could not be answered", exc_info=error)
        if isinstance(error, StoreIntruded) and services.intruded is not None:
            services.intruded()
        return problem_of(request.scope, error)

    for kind in (BriError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, ours)


def _named(said: str) -> frozenset[str]:
    return frozenset(name.strip() for name in said.split(",") if name.strip())


def _add_mcp(app: FastAPI, services: Services) -> None:
    """Let ``/mcp`` answer agents; without sessions, so that a server that starts again breaks none."""
    server = build_mcp(services)
    # Names and origins are looked at for the whole server (``Places``). An answer is one JSON object and no stream: a
    # stream would outlive the time limit, and be cut when the server starts again.
    inner = server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        max_request_body_size=int(services.settings.serve_body_mb * 1_000_000),
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    (theirs,) = inner.routes
    app.state.mcp = server.session_manager

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        allowed(CALLER.get(), "read")
        await theirs.handle(scope, receive, send)

    # Without sessions there is nothing that a GET could wait for, and nothing that a DELETE could end.
    app.router.routes.append(Route("/mcp", endpoint=_Asgi(answer), methods=["POST"], include_in_schema=False))


class _Asgi:
    """Starlette takes a function for one that makes an answer of a request, and an object for an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await self._app(scope, receive, send)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with app.state.mcp.run():
        yield
