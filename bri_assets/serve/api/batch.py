"""Routes that ask one thing about many videos, times or stretches at once.

What is asked of videos, times and stretches costs as many statements as one of them, and is answered as of one moment;
searches and objects are each answered for themselves. What does not belong here: what is asked
(``serve.answers``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field, create_model, field_validator

from bri_assets.search.model import SearchRequest
from bri_assets.serve.answers import questions
from bri_assets.serve.answers.questions import ObjectsQuestion, Read
from bri_assets.serve.api.answering import ANSWERS, VIDEO_ID, Asked, answered, sent
from bri_assets.serve.api.auth import Reader
from bri_assets.serve.services import Services
from bri_assets.store.queries.model import Moment, Range

__all__ = ["Moments", "Ranges", "Searches", "Videos", "router"]

#: Most questions at once, and most rows on all of their pages together.
_MOST, _MOST_ROWS = 100, 10_000


class Videos(Asked):
    """Videos that are asked about."""

    items: list[VIDEO_ID] = Field(min_length=1, max_length=_MOST, description="Their ids.")


class Moments(Asked):
    """Times that are asked about."""

    items: list[Moment] = Field(min_length=1, max_length=_MOST)


class Ranges(Asked):
    """Stretches that are asked about."""

    items: list[Range] = Field(min_length=1, max_length=_MOST, description="Together at most 10,000 rows (`limit`).")

    @field_validator("items")
    @classmethod
    def _few_rows(cls, ranges: list[Range]) -> list[Range]:
        rows = sum(each.limit for each in ranges)
        if rows > _MOST_ROWS:
            raise ValueError(f"their limits come to {rows} rows; {_MOST_ROWS} can be asked for at once")
        return ranges


class Searches(Asked):
    """Searches that are asked for."""

    items: list[SearchRequest] = Field(min_length=1, max_length=_MOST)


class Objects(Asked):
    """Objects that are looked for in some videos."""

    items: list[ObjectsQuestion] = Field(min_length=1, max_length=10)


def router(services: Services) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/v1/batch", tags=["batch"])
    for read, asked, name, said in (
        (questions.FACTS, Videos, "facts", "The facts of videos."),
        (questions.COUNTS, Videos, "counts", "Rows of every table of videos, and whether they are complete."),
        (questions.SCENES, Videos, "timelines", "Videos in short: their scenes and summaries."),
        (questions.AROUND, Moments, "around", "Everything around times of videos."),
        (questions.SEGMENTS_AT, Moments, "segments_at", "What is being said at times of videos."),
        (questions.FRAMES, Ranges, "frames", "The sampled frames of stretches, a page of each."),
        (questions.CAPTIONS, Ranges, "captions", "What is seen in stretches, in words, a page of each."),
        (questions.SEGMENTS, Ranges, "segments", "What is said in stretches, a page of each."),
        (questions.DETECTIONS, Ranges, "detections", "The objects in the frames of stretches, a page of each."),
        (questions.OBJECTS, Objects, "objects", "When objects are seen, alone or together, for several questions."),
        (questions.SEARCH, Searches, "search", "Several searches."),
    ):
        _add(made, services, read, asked, name, said)
    return made


def _add(made: APIRouter, services: Services, read: Read[Any, Any], asked: type[Asked], name: str, said: str) -> None:
    async def batch(request: Request, wanted: Any, _caller: Reader) -> Response:
        items: Sequence[Any] = wanted.items
        found = await answered(services, read, items)
        return sent(request, found, b'{"items":' + found.all + b"}")

    batch.__annotations__["wanted"] = asked
    together = ", and all are of one moment" if asked in (Videos, Moments, Ranges) else ""
    title = "".join(word.title() for word in name.split("_"))
    made.add_api_route(
        f"/{name}",
        batch,
        methods=["POST"],
        operation_id=f"batch_{name}",
        summary=f"Batch {name.replace('_', ' ').title()}",
        description=f"{said} Answers come in the order of the questions{together}.",
        response_model=create_model(f"{title}Batch", items=(read.kinds, ...)),
        responses={200: ANSWERS[200]},
    )
