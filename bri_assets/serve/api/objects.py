"""Routes of objects: when things are seen, alone or together, in one video or in all.

What does not belong here: single detections (``rows``).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from bri_assets.serve.answers.questions import OBJECTS, ObjectsQuestion
from bri_assets.serve.api.answering import ANSWERS, VIDEO_PATH, Asked, answered, sent
from bri_assets.serve.api.auth import Reader
from bri_assets.serve.services import Services

__all__ = ["Classes", "ClassesAnywhere", "router"]


class Classes(Asked):
    """What is looked for."""

    class_name: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        min_length=1,
        max_length=10,
        description="A class of object; several, when they must be seen in the same frame.",
        examples=[["person", "cat"]],
    )
    min_confidence: float = Field(0.0, ge=0, le=1, description="Least confidence of what counts, 0 to 1.")


class ClassesAnywhere(Classes):
    """What is looked for in all videos, and which page of it."""

    limit: int = Field(50, ge=1, le=200, description="Most videos on a page.")
    cursor: str | None = Field(None, max_length=2000, description="`next_cursor` of the page before.")


def router(services: Services) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/v1", tags=["objects"])

    @made.get("/objects", operation_id="find_objects", response_model=OBJECTS.kind, responses=ANSWERS)
    async def anywhere(request: Request, wanted: Annotated[ClassesAnywhere, Query()], _caller: Reader) -> Response:
        """When objects are seen in any video, as stretches of time; of several classes, when they are seen together."""
        asked = ObjectsQuestion(
            class_names=wanted.class_name,
            min_confidence=wanted.min_confidence,
            limit=wanted.limit,
            cursor=wanted.cursor,
        )
        return sent(request, await answered(services, OBJECTS, [asked]))

    @made.get(
        "/videos/{video_id}/objects",
        operation_id="find_objects_in_video",
        response_model=OBJECTS.kind,
        responses=ANSWERS,
    )
    async def in_video(
        request: Request, video_id: VIDEO_PATH, wanted: Annotated[Classes, Query()], _caller: Reader
    ) -> Response:
        """When objects are seen in a video, as stretches of time; of several classes, when they are seen together."""
        asked = ObjectsQuestion(
            class_names=wanted.class_name, video_ids=[video_id], min_confidence=wanted.min_confidence, limit=1
        )
        return sent(request, await answered(services, OBJECTS, [asked]))

    return made
