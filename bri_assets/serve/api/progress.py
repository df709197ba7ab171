"""Streams of how far an upload is, as server-sent events; each event is the whole state, so that none can be missed.

A stream ends with the event of the last state. Who connects again with ``Last-Event-ID`` gets what has changed since,
or 204 where nothing more comes, which tells a browser to stop. What does not belong here: what the state is
(``serve.progress``).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header
from fastapi.responses import Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send

from bri_assets import telemetry
from bri_assets.errors import BriError, UploadNotFound, VideoNotFound
from bri_assets.files import sha256_bytes
from bri_assets.serve.api.auth import Reader
from bri_assets.serve.api.slots import Slots
from bri_assets.serve.api.work import run
from bri_assets.serve.progress import Progress, UploadSeen
from bri_assets.serve.services import Services
from bri_assets.store.arrivals import Arrivals

__all__ = ["router"]

log = telemetry.logger(__name__)

#: Between two looks, and between two looks whether the server stops, in seconds.
_LOOK_S, _STOP_S = 1.0, 0.2

#: How soon a client shall connect again when a stream breaks off, in milliseconds.
_AGAIN_MS = 2000

#: Longest wait for a client that reads nothing, in seconds.
_SEND_S = 30.0

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `progress`, and one of `committed`, `failed`, `quarantined`, `deleted` or `gone` as the"
        " last; the data of each but `gone` is an UploadSeen.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    204: {"description": "The last event was seen already."},
}

_LastSeen = Annotated[str | None, Header(max_length=100, description="Id of the last event that was seen.")]


def router(services: Services) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["uploads"])
    progress = Progress.of(services.settings, services.group(Arrivals))
    most = services.settings.serve_streams
    slots = Slots(most, f"is followed by {most} clients", "BRI_SERVE_STREAMS")

    async def answer(look: Callable[[], UploadSeen], last_event_id: str | None) -> Response:
        first = await run(services, look)
        if first.final and _digest(first) == _digest_in(last_event_id):
            return Response(status_code=204)
        slots.take()
        return _Stream(_events(services, look, first, last_event_id), slots)

    @made.get(
        "/v1/uploads/{upload_id}/events", operation_id="follow_upload", response_class=Response, responses=_EVENTS
    )
    async def of_upload(upload_id: str, _caller: Reader, last_event_id: _LastSeen = None) -> Response:
        """Follow an upload until it is committed, failed or refused."""
        return await answer(lambda: progress.of_upload(upload_id), last_event_id)

    @made.get("/v1/videos/{video_id}/events", operation_id="follow_video", response_class=Response, responses=_EVENTS)
    async def of_video(video_id: str, _caller: Reader, last_event_id: _LastSeen = None) -> Response:
        """Follow the upload of a video until it is committed, failed or refused."""
        return await answer(lambda: progress.of_video(video_id), last_event_id)

    return made


class _Stream(EventSourceResponse):
    """A stream that gives its place back when it ends, however it ends."""

    def __init__(self, content: AsyncIterator[ServerSentEvent], slots: Slots) -> None:
        super().__init__(content, send_timeout=_SEND_S, sep="\n")
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._slots.give_back()


async def _events(
    services: Services, look: Callable[[], UploadSeen], seen: UploadSeen, last_event_id: str | None
) -> AsyncIterator[ServerSentEvent]:
    """The events of one stream, until the state is final or the server stops."""
    told = _Told(last_event_id)
    while not services.stopping.is_set():
        if told.is_new(seen):
            yield told.event(seen.upload.state if seen.final else "progress", seen.model_dump_json(), _digest(seen))
        if seen.final:
            return
        await _pause(services)
        try:
            seen = await run(services, look)
        except (UploadNotFound, VideoNotFound):
            yield told.event("gone", "{}", "gone")
            return
        except BriError as error:
            if not error.retryable:
                log.exception("a stream of progress ends")  # who connects again is told what is the matter
                return


async def _pause(services: Services) -> None:
    """Wait until the next look, but no longer than the server goes on."""
    for _ in range(round(_LOOK_S / _STOP_S)):
        if not services.stopping.is_set():
            await anyio.sleep(_STOP_S)


class _Told:
    """What a client was told last: a number that grows, also over a restart of the server, and what the state was.

    Args:
        last_event_id: as the client has it; None where it has none.
    """

    def __init__(self, last_event_id: str | None) -> None:
        said = (last_event_id or "").partition("-")[0]
        self._number = int(said) if said.isascii() and said.isdigit() and len(said) <= 15 else 0
        self._digest = _digest_in(last_event_id)

    def is_new(self, seen: UploadSeen) -> bool:
        """Whether the client was not told this."""
        return _digest(seen) != self._digest

    def event(self, kind: str, data: str, digest: str) -> ServerSentEvent:
        """An event, which the client is told now."""
        self._number, self._digest = max(self._number + 1, time.time_ns() // 1_000_000), digest
        return ServerSentEvent(data=data, event=kind, id=f"{self._number}-{digest}", retry=_AGAIN_MS, sep="\n")


def _digest(seen: UploadSeen) -> str:
    return sha256_bytes(seen.model_dump_json().encode())[:12]


def _digest_in(event_id: str | None) -> str:
    return (event_id or "").partition("-")[2]
