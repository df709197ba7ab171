"""Who calls a tool: over HTTP whom the server's own middleware found, over stdio the user of the system.

What does not belong here: tokens and scopes themselves (``serve.api.auth``).
"""

from __future__ import annotations

import getpass
from contextvars import ContextVar
from typing import Any

from mcp.server.mcpserver import Context

from bri_assets.serve.api.auth import Caller, allowed
from bri_assets.store.tokens import Scope

__all__ = ["CHANNEL", "admit", "channel", "over_http"]

#: The way in of calls that came over no network, for the audit log.
CHANNEL = "mcp"

_CHANNEL: ContextVar[str] = ContextVar("bri_mcp_channel", default=CHANNEL)


def over_http(context: Context[Any, Any] | None) -> bool:
    """Whether a call came with an HTTP request."""
    return _request(context) is not None


def admit(context: Context[Any, Any] | None, scope: Scope) -> str:
    """Let a call in, and note its channel for the work that it causes.

    Returns:
        Who calls.

    Raises:
        TokenNeeded, AccessDenied: it came over HTTP from somebody who may not.
    """
    request = _request(context)
    if request is None:
        _CHANNEL.set(CHANNEL)
        return getpass.getuser()
    caller: Caller = allowed(getattr(request.state, "caller", None), scope)
    _CHANNEL.set(caller.channel)
    return caller.name


def channel() -> str:
    """The way in of the call that is being worked on, for the audit log."""
    return _CHANNEL.get()


def _request(context: Context[Any, Any] | None) -> Any:
    return None if context is None else context.request_context.request
