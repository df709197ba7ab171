"""The application on loopback with routes that only a test has: they raise, wait, hang and stream at will."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from bri_assets import errors
from bri_assets.errors import BriError
from bri_assets.serve.api.app import build_app
from bri_assets.serve.api.auth import Admin, Reader, Writer
from bri_assets.serve.api.problems import Problem
from bri_assets.serve.api.work import run
from bri_assets.serve.loop import Server, serve_all
from bri_assets.serve.owner import groups_of
from bri_assets.serve.services import Services
from bri_assets.serve.supervisor import listening
from bri_assets.settings import Settings
from bri_assets.store import StoreFile
from bri_assets.store.access.owned import OwnedFile, StoreIntruded
from bri_assets.store.tokens import Scope

__all__ = ["INNER", "PATIENCE_S", "Probed", "envelope", "error_of", "probed"]

PATIENCE_S = 60.0

#: What no answer may repeat.
INNER = "/inner/place/bri.duckdb"

_TAKES_TOO_LONG = "SELECT count(*) FROM range(1_000_000_000) a, range(1_000_000_000) b WHERE a.range % 7 = b.range % 11"


class Said(BaseModel):
    """A body."""

    text: str = Field(max_length=10)
    number: int = Field(0, ge=0, le=9)


@dataclass(frozen=True)
class Probed:
    """The server and what holds its routes.

    Args:
        services: what it works with.
        port: on loopback.
        go_on: lets ``/probe/work`` end.
        at_work: counts those that are in it.
        intruded: whether the owner was told that somebody else wrote.
    """

    services: Services
    port: int
    go_on: threading.Event
    at_work: threading.Semaphore
    intruded: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        """A client, with a token or without."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S, headers=headers, **options)

    def token(self, scope: Scope, name: str | None = None) -> str:
        """The secret of a new token."""
        return self.services.tokens.create(name or scope, scope, channel="test").secret


def envelope(answer: httpx.Response, path: str) -> Problem:
    """The problem that an answer is; fails where it is anything else."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = Problem.model_validate_json(answer.content)
    assert told.status == answer.status_code
    assert told.request_id == answer.headers["x-request-id"]
    assert told.instance == path
    assert told.type == f"urn:bri:problem:{told.code}"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert INNER not in answer.text
    return told


def error_of(kind: type[BriError]) -> BriError:
    """An error of a type, whose words name an inner place."""
    if kind is errors.RowsInvalid:
        return errors.RowsInvalid("captions", [{"failure_case": INNER}])
    if kind is errors.CommitRefused:
        return errors.CommitRefused("video-1", {"one": INNER})  # type: ignore[arg-type]
    return kind(INNER, "happened.", "Do this.")


@contextmanager
def probed(home: Path, *, trusting: bool = True, **settings: Any) -> Iterator[Probed]:
    """Serve, for the time of the block, from a store of this home."""
    set_up = Settings(home=home, **settings)
    intruded = threading.Event()
    with (
        OwnedFile.owning(StoreFile.of(set_up), set_up.read_cursors) as owned,
        listening("127.0.0.1", 0) as listener,
    ):
        services = Services.of(set_up, groups_of(owned, set_up), trusting=trusting, intruded=intruded.set)
        app = build_app(services)
        found = Probed(services, listener.getsockname()[1], threading.Event(), threading.Semaphore(0), intruded)
        app.include_router(_routes(found))
        server = Server(app, listener, lifespan=True, grace_s=1)
        thread = threading.Thread(target=asyncio.run, args=[serve_all([server])])
        thread.start()
        try:
            yield found
        finally:
            services.stopping.set()
            found.go_on.set()
            server.should_exit = True
            thread.join()
            services.threads.close()
            services.answers.close()


def _routes(probed: Probed) -> APIRouter:
    made = APIRouter()
    _add_failing(made)
    _add_reading(made)
    _add_waiting(made, probed)
    _add_streams(made)
    _add_guarded(made)
    return made


def _add_failing(made: APIRouter) -> None:
    @made.get("/probe/error/{name}")
    async def error(name: str) -> None:
        raise error_of(getattr(errors, name))

    @made.get("/probe/boom")
    async def boom() -> None:
        raise RuntimeError(INNER)

    @made.get("/probe/intruded")
    async def intruded() -> None:
        raise StoreIntruded(INNER, "was written to.")


def _add_reading(made: APIRouter) -> None:
    @made.post("/probe/said")
    async def said(body: Said) -> Said:
        return body

    @made.post("/probe/swallow")
    async def swallow(request: Request) -> int:
        return sum([len(part) async for part in request.stream()])

    @made.post("/v1/uploads/probe")
    async def upload(request: Request) -> int:
        return sum([len(part) async for part in request.stream()])


def _add_waiting(made: APIRouter, probed: Probed) -> None:
    services = probed.services

    @made.get("/probe/query")
    async def query() -> None:
        def read() -> None:
            with services.store.file.reading() as connection:
                connection.execute(_TAKES_TOO_LONG).fetchall()

        await run(services, read)

    @made.get("/probe/hang")
    async def hang() -> None:
        await anyio.sleep_forever()

    @made.get("/probe/work")
    async def work() -> str:
        def wait() -> str:
            probed.at_work.release()
            probed.go_on.wait(PATIENCE_S)
            return threading.current_thread().name

        return await run(services, wait)


def _add_streams(made: APIRouter) -> None:
    @made.get("/probe/events")
    async def events() -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            for number in range(3):
                yield f"data: {number}\n\n"
                await anyio.sleep(0.5)

        return StreamingResponse(stream(), media_type="text/event-stream")

    @made.get("/probe/for-ever")
    async def for_ever() -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            yield "data: 0\n\n"
            await anyio.sleep_forever()

        return StreamingResponse(stream(), media_type="text/event-stream")

    @made.get("/probe/half")
    async def half() -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            yield "half"
            await anyio.sleep_forever()

        return StreamingResponse(stream(), media_type="text/plain")


def _add_guarded(made: APIRouter) -> None:
    @made.get("/probe/read")
    async def read(caller: Reader) -> str:
        return caller.channel

    @made.post("/probe/write")
    async def write(caller: Writer) -> str:
        return caller.channel

    @made.delete("/probe/admin")
    async def admin(caller: Admin) -> str:
        return caller.channel
