"""Cron expressions of five fields, checked when settings are read.

What does not belong here: what runs when (``jobs``, ``schedules``).
"""

from __future__ import annotations

import re

__all__ = ["OFF", "checked"]

#: In the place of a cron expression: never.
OFF = "off"

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: Fields of a cron expression: what, lowest, highest, names of the values from the lowest on.
_CRON: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _WEEKDAYS),
)
#: One of the comma-separated parts of a field: first value (none: any), last value, step.
_CRON_PART = re.compile(r"(?:\*|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:/([0-9]+))?")
#: Most days of each month.
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def checked(said: str) -> str:
    """A cron expression as Dagster takes it, or ``off``.

    Raises:
        ValueError: it is neither, or names a day that never comes.
    """
    fields = said.lower().split()
    if fields == [OFF]:
        return OFF
    if len(fields) != len(_CRON):
        raise ValueError(f"{said!r} is neither `off` nor a cron expression of five fields, as `0 3 * * *`")
    values = [_cron_values(field, *bounds) for field, bounds in zip(fields, _CRON, strict=True)]
    days, months = values[2], values[3]
    if min(days) > max(_DAYS[month - 1] for month in months):
        raise ValueError(f"{said!r} names a day that no such month has")
    return " ".join(fields)


def _cron_values(field: str, what: str, lowest: int, highest: int, names: tuple[str, ...]) -> set[int]:
    """The values that a field of a cron expression means.

    Raises:
        ValueError: it means none.
    """
    number = {name: lowest + index for index, name in enumerate(names)}
    number |= {str(value): value for value in range(lowest, highest + 1)}
    values: set[int] = set()
    for part in field.split(","):
        found = _CRON_PART.fullmatch(part)
        first, last, step = found.groups() if found else ("", None, None)
        begin = lowest if first is None else number.get(first)
        # `5` is that one; `5/10` begins there, as `*` does at the lowest.
        end = number.get(last or first) if last or (first is not None and step is None) else highest
        every = int(step or 1)
        if begin is None or end is None or begin > end or not 0 < every <= highest:
            raise ValueError(f"{part!r} is no {what} of a cron expression: {lowest} to {highest}, as `*`, `1-5`, `*/2`")
        values.update(range(begin, end + 1, every))
    return values
