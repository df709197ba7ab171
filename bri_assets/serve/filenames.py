"""Names under which files are taken in: what a name may be, and the next free one beside it.

What does not belong here: writing the file (``receiving``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath

from bri_assets.errors import FilenameWrong
from bri_assets.intake import is_passed_over

__all__ = ["MOST_BYTES", "checked", "others"]

#: Longest name, in bytes of UTF-8; file systems allow 255, and ``-999`` must fit too.
MOST_BYTES = 200

#: What turns the writing around: a name with one shows another suffix than it has (U+202E and its kin).
_TURNING = {"\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"}

_MOST_OTHERS = 999


def checked(name: str) -> str:
    """The name under which a file is kept: the one that is asked for, in Unicode's composed form (NFC).

    Characters that only Windows forbids (``:?*"<>|``) are allowed: the file lies here.

    Raises:
        FilenameWrong: it is empty or too long, names a folder, begins with a dot, ends like a file that is still being
            written, has spaces around it, or holds what cannot be shown.
    """
    found = unicodedata.normalize("NFC", name)
    size = len(found.encode(errors="surrogatepass"))
    if not found or size > MOST_BYTES:
        raise _wrong(name, f"has {size} bytes; a name has 1 to {MOST_BYTES} in UTF-8.")
    if "/" in found or "\\" in found:
        raise _wrong(name, "names a folder.")
    if found.startswith("."):
        raise _wrong(name, "begins with a dot: hidden files are no uploads.")
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in _TURNING for letter in found):
        raise _wrong(name, "holds a character that cannot be shown.")
    if "\ufffd" in found:
        raise _wrong(name, "is not UTF-8.")
    if found != found.strip():
        raise _wrong(name, "begins or ends with a space.")
    if is_passed_over(found):
        raise _wrong(name, "ends like the name of a file that is still being written.")
    return found


def others(name: str) -> Iterator[str]:
    """The name, and those that are tried where it is taken: ``tour.mp4``, ``tour-2.mp4``, and so on."""
    yield name
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    for number in range(2, _MOST_OTHERS + 1):
        yield f"{stem}-{number}{suffix}"


def _wrong(name: str, what: str) -> FilenameWrong:
    shown = name.encode(errors="replace").decode(errors="replace")
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in shown)[:80]
    return FilenameWrong(shown or "the name", what, "Send it under another name, as `holiday.mp4`.")
