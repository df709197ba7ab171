"""Routes of uploads: sending a file, what became of each, and another try of one that failed.

What does not belong here: taking a file in (``serve.receiving``), how far one is (``serve.progress``) and streams of
that (``api.progress``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, ParamSpec, TypeVar
from urllib.parse import quote

from anyio import CancelScope, CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bri_assets import telemetry
from bri_assets.errors import BriError, RetryRefused
from bri_assets.health.again import ask_again, hand_over, prospects
from bri_assets.serve.api.auth import Reader, Writer
from bri_assets.serve.api.sending import Body, promised_bytes, promised_sha256, require_plain
from bri_assets.serve.api.slots import Slots
from bri_assets.serve.api.work import run
from bri_assets.serve.filenames import checked
from bri_assets.serve.progress import Progress, UploadSeen, nobody_looks
from bri_assets.serve.receiving import Arrived, Receiver
from bri_assets.serve.services import Services
from bri_assets.store import ClaimResult
from bri_assets.store.arrivals import Arrival, ArrivalPage, Arrivals, ArrivalState

__all__ = ["router"]

P = ParamSpec("P")
R = TypeVar("R")

log = telemetry.logger(__name__)

#: Of a request whose sender went away; nobody reads it, but the log.
_GONE = 499

_FILE = {
    "requestBody": {
        "description": "The file itself; also in chunks (`Transfer-Encoding: chunked`).",
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    "parameters": [
        {
            "name": "Content-Digest",
            "in": "header",
            "required": False,
            "description": "`sha-256=:BASE64:` (RFC 9530): other bytes are refused.",
            "schema": {"type": "string"},
        },
        {
            "name": "X-Content-SHA256",
            "in": "header",
            "required": False,
            "description": "The same as 64 hex digits.",
            "schema": {"type": "string"},
        },
    ],
}


class Taken(BaseModel):
    """A file that was taken in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload: Arrival
    created: bool = Field(description="It was not there before; otherwise the same bytes were, under this name.")
    status_url: str = Field(description="Where to ask what became of it.")
    events_url: str = Field(description="Where to follow it, as server-sent events.")
    hint: str | None = Field(description="What to do where nobody seems to start its ingest.")


class Again(BaseModel):
    """What becomes of an upload that failed or was refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by_machine: bool = Field(description="It is tried again without anybody asking.")
    due_at: datetime | None = Field(description="Not before this time; null where it waits for a person, or for space.")
    why: str = Field(description="Why, or why not, as a clause.")
    remedy: str = Field(description="What a person can do, as a sentence; empty where the upload's reason says it.")


class UploadTold(UploadSeen):
    """An upload, how far it is, and what becomes of it."""

    again: Again | None = Field(description="Of one that failed or was refused: whether it is tried again.")


def router(services: Services) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["uploads"])
    reception = _Reception(services)
    uploads = _Uploads(services)

    @made.put(
        "/v1/uploads/{filename}",
        operation_id="send_upload",
        status_code=202,
        response_model=Taken,
        responses={200: {"model": Taken}},
        openapi_extra=_FILE,
    )
    async def send(filename: str, request: Request, response: Response, caller: Writer) -> Taken | Response:
        """Send a video. 202: it is ingested now; 200: its bytes were here already, and nothing is to be done.

        A name that other bytes have already gets a number: the answer says under which name it was taken. What is no
        video is refused with 415 or 422 and leaves nothing behind.
        """
        try:
            arrived = await reception.receive(filename, request, caller.channel)
        except ClientDisconnect:
            log.info("the sender of an upload went away")
            return Response(status_code=_GONE)
        told = await run(services, reception.told, arrived)
        response.headers["Location"] = told.status_url
        if arrived.claim.result is not ClaimResult.INGEST and not (
            arrived.created and arrived.claim.result is ClaimResult.INGESTING
        ):
            response.status_code = 200
        return told

    @made.get("/v1/uploads", operation_id="list_uploads")
    async def page(
        _caller: Reader,
        state: ArrivalState | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> ArrivalPage:
        """Uploads, newest first."""
        return await run(services, uploads.arrivals.page, state, limit=limit, cursor=cursor)

    @made.get("/v1/uploads/{upload_id}", operation_id="get_upload")
    async def one(upload_id: str, _caller: Reader) -> UploadTold:
        """An upload: what became of it, how far it is, and whether it is tried again."""
        return await run(services, uploads.told, upload_id)

    @made.post("/v1/uploads/{upload_id}/retry", operation_id="retry_upload", status_code=202)
    async def retry(upload_id: str, caller: Writer) -> UploadTold:
        """Try a failed upload again, after mending: what it has made already is not made again."""
        return await run(services, uploads.retry, upload_id, caller.channel)

    return made


class _Reception:
    """Takes files in, so many at once, each in a thread of its own."""

    def __init__(self, services: Services) -> None:
        self._settings, self._services = services.settings, services
        self._receiver = Receiver(services.settings, services.store)
        most = services.settings.upload_parallel
        self._slots = Slots(most, f"receives {most} files", "BRI_UPLOAD_PARALLEL")
        self._threads: CapacityLimiter | None = None
        try:
            self._receiver.sweep()
        except OSError as error:
            # What cannot be removed harms nobody but the disk, which is watched over.
            log.warning("leftovers of uploads were not removed", error=str(error))

    async def receive(self, filename: str, request: Request, channel: str) -> Arrived:
        """Take one in; raises as ``filenames.checked``, ``sending`` and ``serve.receiving`` do."""
        body = Body(request, stall_s=self._settings.upload_stall_s)
        try:
            name = checked(filename)
            require_plain(request.headers)
            promised, sha256 = promised_bytes(request.headers), promised_sha256(request.headers)
            with self._slots.one():
                # Whatever comes meanwhile: what was begun is known here, so that it can be discarded.
                with CancelScope(shield=True):
                    incoming = await self._work(self._receiver.begin, name, promised=promised, sha256=sha256)
                try:
                    async for portion in body.portions():
                        await self._work(incoming.write, portion)
                    return await self._work(incoming.finish, channel=channel)
                finally:
                    incoming.discard()
        except (BriError, HTTPException):
            await body.drain()
            raise

    def told(self, arrived: Arrived) -> Taken:
        """The answer."""
        upload_id = arrived.upload.upload_id
        found = self._services.group(Arrivals).uploads([upload_id])[upload_id]
        url = f"/v1/uploads/{quote(upload_id)}"
        return Taken(
            upload=found,
            created=arrived.created,
            status_url=url,
            events_url=f"{url}/events",
            hint=nobody_looks(self._settings) if found.state == "waiting" else None,
        )

    async def _work(self, call: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """In a thread that is not shared with questions: an upload that was begun has its place until its end."""
        if self._threads is None:
            self._threads = CapacityLimiter(self._settings.upload_parallel)
        return await to_thread.run_sync(lambda: call(*arguments, **named), limiter=self._threads)


class _Uploads:
    """What became of uploads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.arrivals = services.group(Arrivals)

    def told(self, upload_id: str) -> UploadTold:
        """An upload, how far it is, and what becomes of it."""
        seen = Progress.of(self._services.settings, self.arrivals).of_upload(upload_id)
        again = self._again(upload_id) if seen.upload.state in ("failed", "quarantined") else None
        return UploadTold(**dict(seen), again=again)

    def retry(self, upload_id: str, channel: str) -> UploadTold:
        """Have it tried again.

        Raises:
            UploadNotFound: there is none of that id.
            RetryRefused: it did not fail, or cannot be tried again as it is.
        """
        services, seen = self._services, self.told(upload_id)
        remedy = seen.upload.reason or ""
        letters = [one for one in services.reconciliation.dead_letters() if one.upload_id == upload_id]
        if not letters:
            stands = seen.upload.state in ("failed", "quarantined")
            state = "its path holds another file since" if stands else f"it is {seen.upload.state}"
            raise RetryRefused(upload_id, f"cannot be tried again: {state}.", remedy)
        refused = hand_over(services.reconciliation, letters, channel=channel)
        if refused:
            raise RetryRefused(upload_id, f"cannot be tried again: it {refused[upload_id]}.", remedy)
        ask_again(services.settings)
        return self.told(upload_id)

    def _again(self, upload_id: str) -> Again | None:
        letters = [one for one in self._services.reconciliation.dead_letters() if one.upload_id == upload_id]
        for found in prospects(letters, self._services.settings):
            look = found.outlook
            return Again(by_machine=look.by_machine, due_at=look.due_at, why=look.why, remedy=found.remedy)
        return None
