"""How answers look over HTTP and MCP: as the store's models say, and each frame has the address of its image besides.

A served model is derived from the store's, so a field that is added there is served here. What does not belong here:
what is asked and answered (``questions``), and the image itself (``api.videos``).
"""

from __future__ import annotations

from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, Field, create_model

from bri_assets.store.queries.model import Evidence

__all__ = ["ServedEvidence", "image_url", "served", "with_image_urls"]


class ServedEvidence(Evidence):
    """The frame that shows it, and where its image is to be had."""

    image_url: str = Field(
        description="Address of the JPEG on this server.",
        examples=["/v1/videos/tour-21ff9bd7b06e/frames/4/image?version_id=1"],
    )


def image_url(video_id: str, version_id: int, frame_index: int) -> str:
    """The address of a frame's image below the server's own."""
    return f"/v1/videos/{video_id}/frames/{frame_index}/image?version_id={version_id}"


def served(kind: Any) -> Any:
    """A type as it is served: models in it, however deep, that hold evidence hold ``ServedEvidence``."""
    origin = get_origin(kind)
    if origin is not None:
        inner = tuple(served(each) for each in get_args(kind))
        if inner == get_args(kind):
            return kind
        return reduce(or_, inner) if origin in (Union, UnionType) else origin[inner]
    return _model(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else kind


@cache
def _model(kind: type[BaseModel]) -> type[BaseModel]:
    if issubclass(kind, Evidence):
        return ServedEvidence
    found = {name: served(field.annotation) for name, field in kind.model_fields.items()}
    changed = {
        name: (annotation, kind.model_fields[name])
        for name, annotation in found.items()
        if annotation != kind.model_fields[name].annotation
    }
    name, generic = kind.__name__, kind.__pydantic_generic_metadata__
    if generic["origin"] is not None:
        # `Page[Frame]` would be an unreadable name for a client that is made from the OpenAPI document.
        name = "".join(each.__name__ for each in generic["args"]) + generic["origin"].__name__
    if not changed and name == kind.__name__:
        return kind
    made: type[BaseModel] = create_model(name, __base__=kind, __doc__=kind.__doc__, **changed)  # type: ignore[call-overload]
    return made


def with_image_urls(plain: Any, source: dict[str, Any] | None = None) -> Any:
    """Plain values of an answer with ``image_url`` added wherever there is an ``image_path``; changes them in place.

    Args:
        plain: as ``model_dump`` gives it.
        source: the ``source`` of what encloses it.
    """
    if isinstance(plain, list):
        for each in plain:
            with_image_urls(each, source)
    elif isinstance(plain, dict):
        source = plain.get("source", source)
        if "image_path" in plain and source is not None:
            plain["image_url"] = image_url(source["video_id"], source["version_id"], plain["frame_index"])
        for each in plain.values():
            if isinstance(each, (dict, list)):
                with_image_urls(each, source)
    return plain
