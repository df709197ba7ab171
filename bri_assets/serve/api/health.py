"""Whether the server lives, whether it is ready to answer, and its metrics, for whoever watches over it.

What does not belong here: what is wrong with videos (``health``, the package) and what is measured (``serve.metrics``).
"""

from __future__ import annotations

import threading
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from bri_assets.errors import BriError
from bri_assets.health.disk import has_space
from bri_assets.models.weights import locate_embedder
from bri_assets.serve.api.auth import Caller, require
from bri_assets.serve.api.problems import FieldProblem, problem
from bri_assets.serve.api.work import run
from bri_assets.serve.metrics import metrics_route
from bri_assets.serve.services import Services
from bri_assets.store.access.wire import PROTOCOL
from bri_assets.store.telemetry import Telemetry

__all__ = ["Ready", "router"]

#: How long a look is believed, in seconds: whoever watches over the server costs it nothing.
_BELIEVED_S = 1.0


class Live(BaseModel):
    """The server runs."""

    status: str = Field("live", description="Always `live`.")
    version: str = Field(description="Of bri-assets.")


class Look(BaseModel):
    """One thing that the server needs."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="`store`, `disk`, `index` or `embedder`.")
    ok: bool = Field(description="Whether it is as it should be.")
    needed: bool = Field(description="Whether the server is not ready without it.")
    said: str = Field(description="What is the matter, or how it is.")


class Ready(BaseModel):
    """What the server needs, and whether it is there."""

    model_config = ConfigDict(extra="forbid")

    status: str = Field("ready", description="Always `ready`; a server that is not answers 503 with a problem.")
    version: str = Field(description="Of bri-assets.")
    looks: list[Look]


class _Looks:
    """The last look, for a moment."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._seen: tuple[float, list[Look]] | None = None

    def now(self) -> list[Look]:
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > _BELIEVED_S:
                self._seen = (time.monotonic(), [look(self._services) for look in (_store, _disk, _index, _embedder)])
            return self._seen[1]


def router(services: Services) -> APIRouter:
    """The routes; all but the metrics may be asked by anybody, and say nothing that is nobody's business."""
    made = APIRouter(tags=["health"])
    looks = _Looks(services)
    metrics = metrics_route(services.settings, services.group(Telemetry), services.search.index).endpoint

    @made.get("/health/live")
    async def live() -> Live:
        """Whether the server runs: it answers, so it does."""
        return Live(version=PROTOCOL)

    @made.get("/health", response_model=Ready)
    @made.get("/health/ready", response_model=Ready)
    async def ready(request: Request) -> Ready | Response:
        """Whether the server can answer questions, and what is in the way; a missing index is only a remark."""
        found = await run(services, looks.now)
        wrong = [look for look in found if look.needed and not look.ok]
        if not wrong:
            return Ready(version=PROTOCOL, looks=found)
        fields = [FieldProblem(loc=[look.name], msg=look.said, type="not_ready") for look in wrong]
        detail = "; ".join(f"{look.name}: {look.said}" for look in wrong)
        again = {"Retry-After": "5"}
        return problem(request.scope, 503, "not_ready", detail, "See `bri diagnose`.", fields=fields, headers=again)

    @made.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def measured(request: Request, _caller: Annotated[Caller, Depends(require("read"))]) -> Response:
        """Metrics, in Prometheus' format."""
        answer: Response = await run(services, metrics, request)
        return answer

    return made


def _store(services: Services) -> Look:
    try:
        services.queries.state([])
    except BriError as error:
        return Look(name="store", ok=False, needed=True, said=f"cannot be read ({type(error).__name__})")
    return Look(name="store", ok=True, needed=True, said="answers")


def _disk(services: Services) -> Look:
    settings = services.settings
    try:
        enough = has_space(settings, settings.home)
    except BriError as error:
        return Look(name="disk", ok=False, needed=True, said=f"cannot be asked ({type(error).__name__})")
    said = "has room" if enough else "has less room than BRI_DISK_FREE_MIN and BRI_DISK_FREE_MIN_GB ask for"
    return Look(name="disk", ok=enough, needed=True, said=said)


def _index(services: Services) -> Look:
    """The search answers without it too, so it is never in the way."""
    try:
        found = services.search.index.status()
    except BriError as error:
        return Look(name="index", ok=False, needed=False, said=f"cannot be looked at ({type(error).__name__})")
    return Look(name="index", ok=found.state == "current", needed=False, said=found.state)


def _embedder(services: Services) -> Look:
    """Without it the search knows words only, and says so."""
    settings = services.settings
    try:
        locate_embedder(settings.embedder_model, settings.weights_dir)
    except BriError as error:
        said = f"is not on this machine ({type(error).__name__}); searches go by words. Run `bri models pull`."
        return Look(name="embedder", ok=False, needed=False, said=said)
    return Look(name="embedder", ok=True, needed=False, said="is there")
