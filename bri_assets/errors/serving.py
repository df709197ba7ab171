"""Errors of search, of the agent's memory and of the server.

What does not belong here: how they look over HTTP and MCP (``serve``).
"""

from __future__ import annotations

from bri_assets.errors.base import BriError

__all__ = [
    "AccessDenied",
    "AddressUnusable",
    "CursorWrong",
    "DigestWrong",
    "FilenameWrong",
    "FrameNotFound",
    "IndexUnusable",
    "MessageNotFound",
    "RangeWrong",
    "RetryRefused",
    "ServerBusy",
    "TokenNeeded",
    "TokenNotFound",
    "TokenRefused",
    "TurnDiffers",
    "UploadNotFound",
    "UploadStalled",
    "UploadTooLarge",
]


class FrameNotFound(BriError):
    """A video has no such frame."""


class UploadNotFound(BriError):
    """There is no upload of that id."""


class UploadTooLarge(BriError):
    """A file that is sent is larger than the server takes, or than there is room for."""


class FilenameWrong(BriError):
    """A file cannot be taken under the name that it is sent with."""


class DigestWrong(BriError):
    """The bytes that arrived are not those that the sender says, or what the sender says cannot be read."""


class UploadStalled(BriError):
    """A file that is being sent came to a stop for too long."""


class RetryRefused(BriError):
    """An upload cannot be tried again as it stands: it did not fail, or only a person can mend it."""


class MessageNotFound(BriError):
    """The memory has no such message."""


class TokenNotFound(BriError):
    """There is no token of that name or id."""


class TurnDiffers(BriError):
    """A turn of that id was added before, with other words or to another conversation."""


class TokenRefused(BriError):
    """A token cannot be made so: its name is taken or cannot be one, or it would have ended already."""


class AccessDenied(BriError):
    """A caller's token does not allow this, or where the caller comes from does not."""


class TokenNeeded(AccessDenied):
    """A caller sent no token where one is needed, or one that is unknown, revoked or over."""


class ServerBusy(BriError):
    """The server has more to do than it can take on; the same request may succeed a moment later."""

    retryable = True


class AddressUnusable(BriError):
    """The server cannot listen on an address: it is taken, not this machine's, or may not be used without a token."""


class CursorWrong(BriError):
    """A cursor of a page is none that was given out for this question."""


class RangeWrong(BriError):
    """A time, a range or a number that was asked for cannot be: it ends before it begins, or is out of bounds."""


class IndexUnusable(BriError):
    """The index of the search is missing, damaged, of another model or of another layout: rebuild it."""
