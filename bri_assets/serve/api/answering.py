"""What every route of a read has in common: the way to the answer, how it is sent, and how that is documented.

What does not belong here: any route.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from fastapi import Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from bri_assets.serve.answers.cache import Answered
from bri_assets.serve.answers.questions import Read
from bri_assets.serve.api.work import run
from bri_assets.serve.services import Services

__all__ = ["ANSWERS", "VIDEO_ID", "VIDEO_PATH", "Asked", "answered", "not_modified", "sent"]

Q = TypeVar("Q")
A = TypeVar("A")

_VIDEO_PATTERN = r"^[a-z0-9-]+-[0-9a-f]{12}$"
_EXAMPLE = "tour-21ff9bd7b06e"

#: An id of a video in a body.
VIDEO_ID = Annotated[str, StringConstraints(pattern=_VIDEO_PATTERN, max_length=200)]

#: An id of a video in a path.
VIDEO_PATH = Annotated[
    str,
    Path(
        pattern=_VIDEO_PATTERN, max_length=200, description="The video's id; see `resolve_video`.", examples=[_EXAMPLE]
    ),
]

_TOLD = {
    "X-Cache": {
        "description": "Where the answer came from: `process`, `redis` or `store`.",
        "schema": {"type": "string", "enum": ["process", "redis", "store"]},
    },
    "ETag": {"description": "Changes with the answer; send it as `If-None-Match`.", "schema": {"type": "string"}},
}

#: What the document says of the answers of a read, besides the answer itself.
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"headers": _TOLD},
    304: {"description": "The answer is still the one whose `ETag` was sent as `If-None-Match`."},
}


class Asked(BaseModel):
    """Base of what is sent to ask something: nothing but what is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


async def answered(services: Services, read: Read[Q, A], questions: Sequence[Q]) -> Answered[A]:
    """The answers; those in memory at once, others from a thread."""
    found = services.answers.ready(read, questions)
    return await run(services, services.answers.ask, read, questions) if found is None else found


def sent(request: Request, found: Answered[Any], body: bytes | None = None) -> Response:
    """The answer to a request.

    Args:
        request: it.
        found: what was answered.
        body: what to send; default: the only answer.
    """
    body = found.one if body is None else body
    # An answer is for whoever asked, and is asked for anew each time: only its bytes need not travel again.
    headers = {"X-Cache": found.level, "Cache-Control": "private, no-cache"}
    if request.method != "GET":
        return Response(body, 200, headers, "application/json")
    headers["ETag"] = f'"{sha256(body).hexdigest()[:32]}"'
    return not_modified(request, headers) or Response(body, 200, headers, "application/json")


def not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    """The answer 304 with these headers, where the request has what their ``ETag`` names."""
    named = ",".join(request.headers.getlist("if-none-match"))
    has = {tag.strip().removeprefix("W/") for tag in named.split(",")}
    return Response(None, 304, headers) if headers["ETag"] in has or "*" in has else None
