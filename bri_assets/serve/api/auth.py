"""Who calls: bearer tokens, the scope that each route needs, and the name that the audit log gets.

What does not belong here: the tokens themselves (``store.tokens``) and how often somebody may call (``limits``).
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated

from cachetools import TTLCache
from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.types import Scope

from bri_assets.errors import AccessDenied, TokenNeeded
from bri_assets.serve.services import Services
from bri_assets.store.tokens import Scope as ScopeName
from bri_assets.store.tokens import hash_of

__all__ = ["ANONYMOUS", "CALLER", "Admin", "Caller", "Keys", "Reader", "Writer", "allowed", "require", "secret_of"]

#: What each scope includes.
_RANKS = {"read": 1, "write": 2, "admin": 3}

#: How long it is believed that a token is there, or is not, in seconds: so soon a revocation holds.
_BELIEVED_S = 2.0

_BEARER = HTTPBearer(auto_error=False, description="A token of `bri tokens create`.")


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Args:
        name: of the token, or ``anonymous``.
        scope: what it allows; write includes read, admin includes write.
    """

    name: str
    scope: ScopeName

    @property
    def channel(self) -> str:
        """The way in, for the audit log."""
        return f"api/{self.name}"


#: Whoever calls without a token where none is needed.
ANONYMOUS = Caller("anonymous", "admin")

#: Who made the request that is being worked on; None outside of a request, and of one without a valid token.
CALLER: ContextVar[Caller | None] = ContextVar("bri_caller", default=None)


class Keys:
    """Which token belongs to whom, remembered for a moment.

    Args:
        services: whose tokens.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: TTLCache[str, Caller | None] = TTLCache(1024, _BELIEVED_S)
        self._lock = threading.Lock()

    def known(self, secret: str) -> tuple[bool, Caller | None]:
        """Whether it is known now to whom a secret belongs, and to whom: None for nobody."""
        digest = hash_of(secret)
        with self._lock:
            return digest in self._known, self._known.get(digest)

    def find(self, secret: str) -> Caller | None:
        """To whom a secret belongs; asks the store, and blocks. Raises as the store does."""
        digest = hash_of(secret)
        token = self._services.tokens.find(digest)
        caller = None if token is None else Caller(token.name, token.scope)
        with self._lock:
            self._known[digest] = caller
        return caller


def secret_of(scope: Scope) -> str | None:
    """The bearer token of a request, None where there is none; an empty text for a header that is not one."""
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    if not found:
        return None
    kind, _, secret = found[0].decode("latin-1").partition(" ")
    return secret.strip() if kind.lower() == "bearer" and len(found) == 1 else ""


def allowed(caller: Caller | None, scope: ScopeName) -> Caller:
    """The caller, where the scope allows.

    Raises:
        TokenNeeded: nobody is known to call.
        AccessDenied: the caller's scope does not include it.
    """
    if caller is None:
        raise TokenNeeded("this", "needs a token that is valid.", "Send `Authorization: Bearer …`; see `bri tokens`.")
    if _RANKS[caller.scope] < _RANKS[scope]:
        what = f"needs the scope {scope}; the token {caller.name} has {caller.scope}."
        raise AccessDenied("this", what, "Use a token with that scope; see `bri tokens`.")
    return caller


def require(scope: ScopeName) -> Callable[..., Awaitable[Caller]]:
    """A dependency of a route: who calls, once their scope allows it; see ``allowed`` for what it raises."""

    async def caller(request: Request, _bearer: Annotated[object, Security(_BEARER)]) -> Caller:
        return allowed(getattr(request.state, "caller", None), scope)

    caller.__name__ = f"require_{scope}"
    return caller


Reader = Annotated[Caller, Depends(require("read"))]
Writer = Annotated[Caller, Depends(require("write"))]
Admin = Annotated[Caller, Depends(require("admin"))]
