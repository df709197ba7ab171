"""An error as logs and traces may tell it: what it was, where, and its words only where they cannot quote content.

A library's error may repeat what it was given, so of those only the type and the places are told; a person finds the
words in Dagster's event log, beside the run.
"""

from __future__ import annotations

import traceback

from bri_assets.errors import BriError

__all__ = ["kind", "message", "stack"]


def kind(error: BaseException) -> str:
    """The name of its type; with the module, unless that is ours or Python's own."""
    found = type(error)
    ours = found.__module__ == "builtins" or found.__module__.startswith("bri_assets.")
    return found.__qualname__ if ours else f"{found.__module__}.{found.__qualname__}"


def message(error: BaseException) -> str:
    """Its words, or nothing where they may quote content."""
    if isinstance(error, BriError):
        return "" if error.quotes else str(error)
    # The operating system says what it could not do to which file.
    return str(error) if isinstance(error, OSError) else ""


def stack(error: BaseException) -> str:
    """The error and what led to it, the first cause first: lines of code, types, and what ``message`` lets through."""
    parts: list[str] = []
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        places = "".join(traceback.format_tb(found.__traceback__))
        parts.insert(0, f"{places}{kind(found)}: {message(found)}".rstrip(": "))
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return "\n\n".join(parts)
