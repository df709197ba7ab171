"""Routes of the search over what is seen and said.

What does not belong here: many searches at once (``batch``), and how anything is found (``bri_assets.search``).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from bri_assets.search.model import SearchRequest
from bri_assets.serve.answers.questions import SEARCH
from bri_assets.serve.api.answering import ANSWERS, answered, sent
from bri_assets.serve.api.auth import Reader
from bri_assets.serve.services import Services

__all__ = ["router"]


def router(services: Services) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/v1", tags=["search"])

    @made.get("/search", operation_id="search", response_model=SEARCH.kind, responses=ANSWERS)
    async def search(request: Request, wanted: Annotated[SearchRequest, Query()], _caller: Reader) -> Response:
        """Find what is seen or said, by words, by meaning, or by both; best first, each hit with its frame."""
        return sent(request, await answered(services, SEARCH, [wanted]))

    @made.post("/search", operation_id="search_by_body", response_model=SEARCH.kind)
    async def search_by_body(request: Request, wanted: SearchRequest, _caller: Reader) -> Response:
        """The same, for questions that are too long for an address."""
        return sent(request, await answered(services, SEARCH, [wanted]))

    return made
