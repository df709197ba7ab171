"""Arguments that several tools share, with what an agent is told of them.

What does not belong here: arguments of a single tool.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = ["Cursor", "VideoName", "VideoNames"]

_NAME = "A video as people say it: its id, the beginning of its id, or its file name, as `tour.mp4`"

Name = Annotated[str, Field(min_length=1, max_length=300)]

VideoName = Annotated[Name, Field(description=f"{_NAME}.")]

VideoNames = Annotated[Name | list[Name], Field(description=f"{_NAME}; or a list of them.")]

Cursor = Annotated[
    str | None,
    Field(max_length=4000, description="`next_cursor` of the answer before, with the same other arguments."),
]
