"""How an operation travels to the owner of the store and its result back: MessagePack of plain values.

Types are those of the operation's own signature, so that the caller gets what it would have got without an owner.
Nothing that is received is ever executed or imported. What does not belong here: the way that the bytes take
(``remote``, ``serve.owner``) and what operations there are (``operations``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, get_type_hints

import msgpack
from pydantic import TypeAdapter

from bri_assets import errors
from bri_assets.errors import BriError, OwnerFailed

__all__ = ["PROTOCOL", "Signature", "pack", "pack_error", "signature_of", "unpack", "unpack_error"]

#: Both sides must be of the same version of the package; its name travels with each request.
PROTOCOL = version("bri-assets")


def pack(value: Any) -> bytes:
    """Plain values (mappings, sequences, text, numbers, datetimes in UTC) as bytes; paths become text."""
    return bytes(msgpack.packb(value, datetime=True, default=str))


def unpack(data: bytes) -> Any:
    """The values again; datetimes are in UTC."""
    return msgpack.unpackb(data, timestamp=3, strict_map_key=False)


class Signature:
    """The types of an operation, for taking its arguments and result apart and putting them together again."""

    def __init__(self, body: Callable[..., Any]) -> None:
        hints = get_type_hints(body)
        self._signature = inspect.signature(body)
        self._result = TypeAdapter(hints.pop("return"))
        self._arguments = {name: TypeAdapter(hint) for name, hint in hints.items()}

    def plain_arguments(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """The arguments of a call, without ``self``, as plain values by name."""
        bound = self._signature.bind(None, *arguments, **named).arguments
        return {name: self._arguments[name].dump_python(value) for name, value in bound.items() if name != "self"}

    def arguments(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the operation takes them.

        Raises:
            pydantic.ValidationError: they are not of its types.
        """
        return {name: self._arguments[name].validate_python(value) for name, value in plain.items()}

    def plain_result(self, value: Any) -> Any:
        """The result as plain values."""
        return self._result.dump_python(value)

    def result(self, plain: Any) -> Any:
        """The result as the operation gives it."""
        return self._result.validate_python(plain)


@cache
def signature_of(body: Callable[..., Any]) -> Signature:
    """The signature of an operation, made once."""
    return Signature(body)


def pack_error(error: BriError) -> bytes:
    """An error of ours, by the name of its type and its arguments."""
    return pack({"error": type(error).__name__, "arguments": list(error.__reduce__()[1])})


def unpack_error(data: bytes) -> BriError:
    """The error again."""
    told = unpack(data)
    kind = getattr(errors, str(told["error"]), None)
    if not (isinstance(kind, type) and issubclass(kind, BriError)):
        return OwnerFailed("the owner of the store", f"answers with an error that is not known here: {told}.")
    return kind(*told["arguments"])
