"""Routes of a video's rows, page by page: frames, captions, speech, detections; and of one frame with its image.

What does not belong here: the video as a whole (``videos``).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import Field, FiniteFloat

from bri_assets.serve.answers.questions import CAPTIONS, DETECTIONS, FRAME, FRAMES, SEGMENTS, FrameQuestion, Read
from bri_assets.serve.api.answering import ANSWERS, VIDEO_PATH, Asked, answered, not_modified, sent
from bri_assets.serve.api.auth import Reader
from bri_assets.serve.api.work import run
from bri_assets.serve.frame_images import committed_image
from bri_assets.serve.services import Services
from bri_assets.store.queries.model import Range

__all__ = ["Stretch", "StretchOfClass", "router"]

#: How long a client may keep an image of a version, in seconds; it never changes, but the video may be purged.
_IMAGE_S = 86_400

FrameIndex = Annotated[int, Path(ge=0, le=2**31 - 1, description="Sample slot of the frame, from 0.", examples=[4])]
VersionId = Annotated[
    int | None,
    Query(ge=1, le=2**63 - 1, description="The version that it is of; default: the one that is shown."),
]


class Stretch(Asked):
    """A stretch of a video, and which page of it."""

    from_s: FiniteFloat = Field(0.0, ge=0, description="Start of the stretch in seconds, included.")
    to_s: FiniteFloat | None = Field(
        None, ge=0, description="End of the stretch in seconds, included; default: the video's."
    )
    limit: int = Field(50, ge=1, le=500, description="Most rows on a page.")
    cursor: str | None = Field(
        None, max_length=2000, description="`next_cursor` of the page before; it holds the version that it read."
    )


class StretchOfClass(Stretch):
    """The same, for objects of a class."""

    class_name: str | None = Field(None, max_length=200, description="Detections of this class only.")


def router(services: Services) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/v1", tags=["videos"])
    frames = "The sampled frames of a stretch, each with its caption and how many objects of each class are seen."
    _add_rows(made, services, FRAMES, Stretch, frames)
    _add_rows(made, services, CAPTIONS, Stretch, "What is seen in the frames of a stretch, in words.")
    _add_rows(made, services, SEGMENTS, Stretch, "What is said in a stretch.")
    _add_rows(made, services, DETECTIONS, StretchOfClass, "The objects in the frames of a stretch.")
    _add_frame(made, services)
    return made


def _add_rows(made: APIRouter, services: Services, read: Read[Range, Any], stretch: type[Stretch], said: str) -> None:
    async def rows(request: Request, video_id: VIDEO_PATH, wanted: Any, _caller: Reader) -> Response:
        asked = Range(video_id=video_id, **wanted.model_dump())
        return sent(request, await answered(services, read, [asked]))

    # Which values there are depends on the rows, so the type of that parameter is put in its place.
    rows.__annotations__["wanted"] = Annotated[stretch, Query()]
    made.add_api_route(
        f"/videos/{{video_id}}/{read.name}",
        rows,
        methods=["GET"],
        operation_id=f"list_{read.name}",
        summary=f"List {read.name.title()}",
        description=f"{said} Pages stay with the version that the first one read.",
        response_model=read.kind,
        responses=ANSWERS,
    )


def _add_frame(made: APIRouter, services: Services) -> None:
    @made.get(
        "/videos/{video_id}/frames/{frame_index}",
        operation_id="get_frame",
        response_model=FRAME.kind,
        responses=ANSWERS,
    )
    async def frame(
        request: Request, video_id: VIDEO_PATH, frame_index: FrameIndex, _caller: Reader, version_id: VersionId = None
    ) -> Response:
        """One frame: its time, its image, its caption and its objects."""
        asked = FrameQuestion(video_id=video_id, frame_index=frame_index, version_id=version_id)
        return sent(request, await answered(services, FRAME, [asked]))

    @made.get(
        "/videos/{video_id}/frames/{frame_index}/image",
        operation_id="get_frame_image",
        response_class=Response,
        responses=ANSWERS
        | {
            200: {
                "description": "The JPEG as it was committed.",
                "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
                "headers": ANSWERS[200]["headers"],
            }
        },
    )
    async def image(
        request: Request, video_id: VIDEO_PATH, frame_index: FrameIndex, _caller: Reader, version_id: VersionId = None
    ) -> Response:
        """The image of one frame; that of a named version never changes."""
        asked = FrameQuestion(video_id=video_id, frame_index=frame_index, version_id=version_id)
        found = await answered(services, FRAME, [asked])
        evidence = found.value.frame.evidence
        keep = "no-cache" if version_id is None else f"max-age={_IMAGE_S}, immutable"
        headers = {
            "ETag": f'"{evidence.image_sha256}"',
            "Cache-Control": f"private, {keep}",
            "X-Cache": found.level,
        }
        same = not_modified(request, headers)
        if same is not None:
            return same
        data = await run(services, committed_image, services.settings.home, evidence)
        return Response(data, 200, headers, "image/jpeg")
