"""Routes of videos: the library, what is known of one, and of its times.

What does not belong here: its rows page by page and its images (``rows``), objects (``objects``), the same for many
videos at once (``batch``).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from bri_assets.serve.answers.questions import ALL_COUNTS, AROUND, FACTS, LIBRARY, RESOLVE, SCENES, SEGMENTS_AT
from bri_assets.serve.api import batch, rows
from bri_assets.serve.api.answering import ANSWERS, VIDEO_PATH, Asked, answered, sent
from bri_assets.serve.api.auth import Reader
from bri_assets.serve.services import Services
from bri_assets.store.queries.model import LibraryFilter, Moment

__all__ = ["Resolved", "router"]

AtS = Annotated[
    float, Query(ge=0, allow_inf_nan=False, description="The time in seconds from the video's start.", examples=[45.0])
]


class Resolved(Asked):
    """The video that was meant."""

    name: str
    video_id: str


def router(services: Services) -> APIRouter:
    """The routes."""
    own = APIRouter(prefix="/v1", tags=["videos"])
    _add_library(own, services)
    _add_video(own, services)
    _add_times(own, services)
    made = APIRouter()
    for each in (own, rows.router(services), batch.router(services)):
        made.include_router(each)
    return made


def _add_library(made: APIRouter, services: Services) -> None:
    @made.get("/videos", operation_id="list_videos", response_model=LIBRARY.kind, responses=ANSWERS)
    async def library(request: Request, wanted: Annotated[LibraryFilter, Query()], _caller: Reader) -> Response:
        """The library, newest first: videos, and uploads that are none yet or never will be, with the reason."""
        return sent(request, await answered(services, LIBRARY, [wanted]))

    @made.get("/videos/counts", operation_id="count_rows", response_model=ALL_COUNTS.kind, responses=ANSWERS)
    async def counts(request: Request, _caller: Reader) -> Response:
        """Rows of every table for every video that is shown, and whether the video is complete."""
        return sent(request, await answered(services, ALL_COUNTS, [None]))

    @made.get("/videos/resolve", operation_id="resolve_video", response_model=Resolved, responses=ANSWERS)
    async def resolve(
        request: Request,
        name: Annotated[
            str,
            Query(
                min_length=1,
                max_length=500,
                description="An id, the beginning of one, or a file name.",
                examples=["tour.mp4"],
            ),
        ],
        _caller: Reader,
    ) -> Response:
        """The id of the video that a person means; 404 where there is none, or more than one."""
        found = await answered(services, RESOLVE, [name])
        told = Resolved(name=name, video_id=found.value)
        return sent(request, found, told.model_dump_json().encode())


def _add_video(made: APIRouter, services: Services) -> None:
    @made.get("/videos/{video_id}", operation_id="get_video", response_model=FACTS.kind, responses=ANSWERS)
    async def facts(request: Request, video_id: VIDEO_PATH, _caller: Reader) -> Response:
        """The facts of a video: its file, its version, how many rows, what is seen and spoken in it."""
        return sent(request, await answered(services, FACTS, [video_id]))

    @made.get("/videos/{video_id}/timeline", operation_id="get_timeline", response_model=SCENES.kind, responses=ANSWERS)
    async def timeline(request: Request, video_id: VIDEO_PATH, _caller: Reader) -> Response:
        """The video in short: its scenes in their order, with what is seen and said in each, and a summary."""
        return sent(request, await answered(services, SCENES, [video_id]))


def _add_times(made: APIRouter, services: Services) -> None:
    @made.get("/videos/{video_id}/around", operation_id="look_around", response_model=AROUND.kind, responses=ANSWERS)
    async def around(
        request: Request,
        video_id: VIDEO_PATH,
        at_s: AtS,
        _caller: Reader,
        within_s: Annotated[
            float, Query(ge=0, le=600, allow_inf_nan=False, description="How far around it to look, in seconds.")
        ] = 5.0,
    ) -> Response:
        """Everything around a time: frames, what is seen in them, what is said."""
        asked = Moment(video_id=video_id, at_s=at_s, within_s=within_s)
        return sent(request, await answered(services, AROUND, [asked]))

    @made.get(
        "/videos/{video_id}/segment",
        operation_id="get_segment_at",
        response_model=SEGMENTS_AT.kind,
        responses=ANSWERS,
    )
    async def segment(request: Request, video_id: VIDEO_PATH, at_s: AtS, _caller: Reader) -> Response:
        """What is being said at a time, and what was said before and after it."""
        asked = Moment(video_id=video_id, at_s=at_s)
        return sent(request, await answered(services, SEGMENTS_AT, [asked]))
