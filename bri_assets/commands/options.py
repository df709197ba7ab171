"""Options and arguments that several commands share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

__all__ = ["TIMES", "Json", "Video", "aware", "span"]

#: How a time may be written on the command line.
TIMES = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
TIMES += ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"]

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"([0-9]{1,4})([mhd])")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Video = Annotated[str, typer.Argument(help="A video's id, the beginning of it, or its file name.")]


def aware(time: datetime | None) -> datetime | None:
    """A time with a zone: UTC where it says none."""
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)


def span(text: str, option: str) -> timedelta:
    """How long a time is that is written as `30m`, `2h` or `7d`.

    Raises:
        typer.BadParameter: it is written in another way, or is none.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None or int(found.group(1)) == 0:
        raise typer.BadParameter("as `30m`, `2h` or `7d`", param_hint=option)
    return timedelta(**{_UNITS[found.group(2)]: int(found.group(1))})
