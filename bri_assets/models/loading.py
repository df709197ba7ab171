"""Loaded models, each once a process, and only when one is used.

What does not belong here: how a model is loaded (its own module says) and where its weights lie (`weights`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bri_assets.errors import BriError, ModelFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bri_assets.models.weights import Weights

__all__ = ["Loaded", "load_once"]


@dataclass(frozen=True)
class Loaded:
    """A model in memory.

    Attributes:
        model: whatever the loader returned.
        lock: to be held while the model works: none of the libraries promises that two threads may share a model.
    """

    model: Any
    lock: threading.Lock = field(default_factory=threading.Lock)


_loaded: dict[tuple[str, Path, str, str], Loaded] = {}
_loading = threading.Lock()


def load_once(kind: str, weights: Weights, device: str, load: Callable[[], Any]) -> Loaded:
    """Return the model of these weights on this device; the first call loads it, later calls of any thread share it.

    Args:
        kind: `detector`, `captioner` or `transcriber`.
        weights: what to load. The hash is part of the key, so weights that were replaced are loaded anew.
        device: as `resolve_device` gave it.
        load: makes the model.

    Raises:
        ModelFailed: the library could not make a model of the weights; the cause is attached. Our own errors, such as
            `WeightsDamaged`, come out as they are.
    """
    key = (kind, weights.path.resolve(), weights.sha256, device)
    with _loading:
        if key not in _loaded:
            try:
                _loaded[key] = Loaded(load())
            except BriError:
                raise
            except Exception as error:  # the libraries raise anything, from KeyError to pickle's errors
                remedy = f"Pull the weights again, or point BRI_{kind.upper()}_MODEL at a model of the right kind."
                what = f"the {kind} could not be loaded on {device} ({type(error).__name__}: {error})."
                raise ModelFailed(weights.path.name, what, remedy) from error
        return _loaded[key]
