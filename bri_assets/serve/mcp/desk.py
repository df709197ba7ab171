"""What every tool works at: the reads, the names that people say for videos, and the form of an answer.

What does not belong here: any single tool, and who may use it (``server``).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePath
from typing import TypeVar

from mcp_types import CallToolResult, ContentBlock, TextContent
from pydantic import BaseModel

from bri_assets.errors import RangeWrong, VideoNotFound
from bri_assets.serve.answers.questions import RESOLVE, Read
from bri_assets.serve.mcp.text import MOST_CHARACTERS
from bri_assets.serve.services import Services
from bri_assets.store.queries.model import Source

__all__ = ["Desk", "answer", "head", "images_of", "listed"]

Q = TypeVar("Q")
A = TypeVar("A")

#: Names of videos that resemble what was said.
_LIKE_IT = 3

_TOO_LONG = "\n… The rest of this text is left out for its length: ask for fewer videos, times or rows at once."


class Desk:
    """The reads of one server, for its tools.

    Args:
        services: what the server works with.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        self.home = services.settings.home

    def ask(self, read: Read[Q, A], questions: list[Q]) -> list[A]:
        """Answers to questions of one kind, in their order; some may have been given before.

        Raises:
            BriError: as the read does.
        """
        return self.services.answers.ask(read, questions).values

    def videos(self, said: str | list[str], *, most: int) -> list[str]:
        """The ids of the videos that are meant, in the order in which they were said, each once.

        Args:
            said: ids, beginnings of ids or file names.
            most: videos at once.

        Raises:
            VideoNotFound: one is unknown or means several; names those that resemble it.
            RangeWrong: none is said, or more than ``most``.
        """
        names = listed(said, "videos", most)
        try:
            found = self.ask(RESOLVE, names)
        except VideoNotFound as error:
            like = self._like(names)
            said = f"Videos with such names: {', '.join(like)}. " if like else ""
            raise VideoNotFound(error.subject, error.what, f"{said}list_videos tells which there are.") from error
        return list(dict.fromkeys(found))

    def _like(self, names: list[str]) -> list[str]:
        known: dict[str, str] = {}
        for version in self.services.queries.visible():
            told = f"{version.filename} ({version.video_id})"
            slug = version.video_id.rpartition("-")[0]
            known |= dict.fromkeys((_stem(version.filename), version.video_id, slug), told)
        wanted = [_stem(name) for name in names]
        like = [known[one] for name in wanted for one in get_close_matches(name, known, n=_LIKE_IT)]
        return list(dict.fromkeys(like))[:_LIKE_IT]


def _stem(name: str) -> str:
    """What tells names of files apart; all of them end alike."""
    return PurePath(name.lower()).stem


def listed(said: str | list[str], what: str, most: int) -> list[str]:
    """What was said, as a list.

    Raises:
        RangeWrong: it is empty, or longer than ``most``.
    """
    names = [said] if isinstance(said, str) else said
    if not 1 <= len(names) <= most:
        raise RangeWrong(what, f"{len(names)} were named; from 1 to {most} can be.", "Ask in several calls.")
    return names


def answer(found: BaseModel, text: str, images: Iterable[ContentBlock] = ()) -> CallToolResult:
    """The answer of a tool: a text to read, the same as data, and pictures."""
    if len(text) > MOST_CHARACTERS:
        text = text[: MOST_CHARACTERS - len(_TOO_LONG)] + _TOO_LONG
    content: list[ContentBlock] = [TextContent(type="text", text=text), *images]
    return CallToolResult(content=content, structured_content=found.model_dump(mode="json"))


def head(source: Source) -> str:
    """Which video and version the lines below are about."""
    return f"{source.filename} · video {source.video_id} · version {source.version} (version_id {source.version_id})"


def images_of(source: Source) -> str:
    """How the pictures of its frames are got."""
    return (
        f'Picture of frame N: show_frame(video="{source.video_id}", frame_index=N), or over HTTP '
        f"/v1/videos/{source.video_id}/frames/N/image?version_id={source.version_id}"
    )
