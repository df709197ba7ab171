"""How answers read: times as ``m:ss`` and as seconds, and rows that fit into an agent's context window.

What does not belong here: what the rows say (``model``) and where they come from (``desk``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel

__all__ = ["MOST_CHARACTERS", "at", "clipped", "clock", "counted", "lines", "number", "span", "taken"]

R = TypeVar("R", bound=BaseModel)

#: Longest text of an answer, in characters; about 2,000 tokens. Its structured form may be twice as long.
MOST_CHARACTERS = 8_000

#: Of these, what heads, notes and the tool's own words may take.
_HEAD = 1_600


def clock(seconds: float) -> str:
    """A time as a person says it: ``0:45``, ``1:02:03``; the second that has begun counts."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def at(seconds: float) -> str:
    """A time in both forms: ``0:45 (45.5 s)``."""
    return f"{clock(seconds)} ({seconds:.1f} s)"


def span(start_s: float, end_s: float) -> str:
    """A stretch in both forms, ``0:12–0:31 (12.0–31.5 s)``; one without a length as its time."""
    return at(start_s) if start_s == end_s else f"{clock(start_s)}–{clock(end_s)} ({start_s:.1f}–{end_s:.1f} s)"


def clipped(text: str, most: int) -> str:
    """A text on one line, cut where it is longer than ``most`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def counted(objects: dict[str, int], most: int = 12) -> str:
    """Objects by class, as ``dog×2, person``; the most frequent ones where there are more than ``most`` classes."""
    ranked = sorted(objects.items(), key=lambda item: (-item[1], item[0]))
    said = [name if number == 1 else f"{name}×{number}" for name, number in ranked[:most]]
    return ", ".join([*said, "…"] if len(ranked) > most else said)


def number(count: int, what: str) -> str:
    """A number of things, as ``1 frame`` and ``2 frames``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def lines(*parts: str | Iterable[str]) -> str:
    """Lines and lists of lines as one text; empty ones are left out."""
    flat = [line for part in parts for line in ([part] if isinstance(part, str) else part)]
    return "\n".join(line for line in flat if line)


def taken(rows: Sequence[R], line: Callable[[R], str], *, share: float = 1.0) -> list[R]:
    """The first rows that fit into a share of an answer; one at least, where there is one.

    Args:
        rows: in the order in which they are given.
        line: how a row reads.
        share: of the room that an answer has, 0 to 1.
    """
    room, fit = (MOST_CHARACTERS - _HEAD) * share, list[R]()
    for row in rows:
        room -= max(len(line(row)) + 1, len(row.model_dump_json()) / 2)
        if room < 0 and fit:
            break
        fit.append(row)
    return fit
