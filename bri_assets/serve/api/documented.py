"""The OpenAPI document: FastAPI's own, in which every error of every operation is the one envelope.

What does not belong here: the envelope (``problems``).
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from bri_assets.serve.api.problems import MEDIA_TYPE, Problem

__all__ = ["document"]

#: Statuses that any operation may answer with.
_ANYWHERE = ("400", "401", "403", "404", "405", "408", "409", "410", "413", "415", "421", "422", "429", "431")
_SERVERS = ("500", "503", "504", "507")

_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

_SCHEMA = "#/components/schemas/{model}"


def document(app: FastAPI) -> None:
    """Let the application's document say how its errors look."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        told = app.openapi_schema is not None
        found = plain()
        return found if told else _with_problems(found)

    # FastAPI's own way of extending the document.
    app.openapi = openapi  # type: ignore[method-assign]


def _with_problems(found: dict[str, Any]) -> dict[str, Any]:
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for theirs in ("HTTPValidationError", "ValidationError"):
        schemas.pop(theirs, None)
    ours = Problem.model_json_schema(ref_template=_SCHEMA)
    schemas.update(ours.pop("$defs", {}))
    schemas["Problem"] = ours
    components.setdefault("responses", {})["Problem"] = {
        "description": "What went wrong.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _SCHEMA.format(model="Problem")}}},
    }
    for path in found["paths"].values():
        for method in _METHODS & path.keys():
            for status in (*_ANYWHERE, *_SERVERS):
                path[method]["responses"][status] = {"$ref": "#/components/responses/Problem"}
    return found
