"""Errors of search, of the agent's memory and of the server.

What does not belong here: how they look over HTTP and MCP (``serve``).
"""

from __future__ import annotations

from bri_assets.errors.base import BriError

__all__ = [
    "AccessDenied",
    "CursorWrong",
    "FrameNotFound",
    "IndexUnusable",
    "MessageNotFound",
    "RangeWrong",
    "TokenNotFound",
    "UploadNotFound",
    "UploadTooLarge",
]


class FrameNotFound(BriError):
    """A video has no such frame."""


class UploadNotFound(BriError):
    """There is no upload of that id."""


class UploadTooLarge(BriError):
    """A file that is sent is larger than the server takes, or than there is room for."""


class MessageNotFound(BriError):
    """The memory has no such message."""


class TokenNotFound(BriError):
    """There is no token of that name or id."""


class AccessDenied(BriError):
    """A caller has no token, a wrong one, or one that does not allow this."""


class CursorWrong(BriError):
    """A cursor of a page is none that was given out for this question."""


class RangeWrong(BriError):
    """A time, a range or a number that was asked for cannot be: it ends before it begins, or is out of bounds."""


class IndexUnusable(BriError):
    """The index of the search is missing, damaged, of another model or of another layout: rebuild it."""
