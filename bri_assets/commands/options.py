"""Options and arguments that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

__all__ = ["TIMES", "Json", "Video", "aware"]

#: How a time may be written on the command line.
TIMES = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
TIMES += ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Video = Annotated[str, typer.Argument(help="A video's id, the beginning of it, or its file name.")]


def aware(time: datetime | None) -> datetime | None:
    """A time with a zone: UTC where it says none."""
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)
