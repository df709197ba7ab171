"""Texts as vectors by all-MiniLM-L6-v2, through transformers: near meanings have near vectors.

What does not belong here: where vectors are kept and compared (``search``), where weights come from (`weights`,
`pull`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bri_assets.errors import ModelFailed, WeightsDamaged
from bri_assets.models.device import resolve_device
from bri_assets.models.identity import ModelIdentity
from bri_assets.models.loading import Loaded, load_once
from bri_assets.models.offline import keep_offline
from bri_assets.models.torchvision_compat import ensure_torchvision
from bri_assets.models.weights import locate_embedder, ways_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bri_assets.models.weights import Weights

__all__ = ["DIMENSION", "MAX_TOKENS", "Embedder", "Vectors"]

#: Numbers of a vector.
DIMENSION = 384
#: Tokens of a text that count; what follows them is not looked at. The model was trained so.
MAX_TOKENS = 256


Vectors = NDArray[np.float32]


class Embedder(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The embedder. An instance is cheap: the model is loaded when it is first used, once a process."""

    model: str = Field(description="A name on its hub (`sentence-transformers/all-MiniLM-L6-v2`) or a local folder.")
    weights_dir: str = Field(description="Folder of the models' weights.")
    device: str = Field("auto", description="`auto`, `cpu`, `cuda` or `cuda:N`.")
    batch_size: int = Field(32, ge=1, description="Texts at once. Does not belong to what changes results.")

    def identity(self) -> ModelIdentity:
        """Name the model; verifies the weights, loads no model.

        Raises:
            WeightsMissing: the weights are not on this machine.
            WeightsDamaged: they are not the bytes that were fetched.
        """
        weights = locate_embedder(self.model, Path(self.weights_dir))
        return ModelIdentity(
            tool="transformers",
            tool_version=version("transformers"),
            model=weights.path.name if weights.is_local_path else self.model,
            weights_sha256=weights.sha256,
            parameters={"pooling": "mean", "normalised": True, "max_tokens": MAX_TOKENS, "dtype": "float32"},
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Turn texts into vectors; safe to call from several threads.

        Args:
            texts: any; of one that is longer than ``MAX_TOKENS`` tokens the beginning counts.

        Returns:
            A row a text, in the same order: ``DIMENSION`` numbers of length 1, so that the product of two rows is the
            cosine of their angle. Of an empty text too.

        Raises:
            ModelFailed: the model could not be loaded, or raised.
            WeightsMissing: the weights are not on this machine.
            WeightsDamaged: they are not the bytes that were fetched, or not a whole embedder.
        """
        if not texts:
            return np.zeros((0, DIMENSION), dtype=np.float32)
        loaded = self._load()
        # Texts of like length share a batch, for a batch is as long as its longest.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors = np.empty((len(texts), DIMENSION), dtype=np.float32)
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            try:
                vectors[chosen] = _pooled(loaded.model, [texts[index] for index in chosen], loaded.lock)
            except Exception as error:  # torch and transformers raise anything; a failure is ours to name
                what = f"the embedder failed on {len(chosen)} texts ({type(error).__name__}: {error})."
                raise ModelFailed(self.model, what, "Nothing was kept; look at the cause, then try again.") from error
        return vectors

    def _load(self) -> Loaded:
        weights = locate_embedder(self.model, Path(self.weights_dir))
        keep_offline(Path(self.weights_dir))
        device = resolve_device(self.device)
        return load_once("embedder", weights, device, lambda: _load_bert(weights, device))


@dataclass(frozen=True)
class _Bert:
    """A loaded model with its tokenizer."""

    tokenizer: Any
    model: Any
    device: str


def _load_bert(weights: Weights, device: str) -> _Bert:
    ensure_torchvision()
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(weights.path, local_files_only=True)
    loaded: Any = AutoModel.from_pretrained(
        weights.path, local_files_only=True, dtype=torch.float32, output_loading_info=True
    )
    model, info = loaded
    absent = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))  # the pooler is not used
    if absent:
        what = f"the folder lacks {len(absent)} of the model's tensors ({absent[0]} is one): they would be random."
        raise WeightsDamaged(weights.path, what, ways_out("embedder"))
    if model.config.hidden_size != DIMENSION:
        what = f"its vectors have {model.config.hidden_size} numbers; the index is made for {DIMENSION}."
        raise ModelFailed(weights.path.name, what, "Set BRI_EMBEDDER_MODEL to a model of that size.")
    return _Bert(tokenizer, model.to(device).eval(), device)


def _pooled(bert: _Bert, texts: list[str], lock: AbstractContextManager[object]) -> Vectors:
    """The mean of each text's token vectors, without padding, brought to length 1."""
    import torch

    # A tokenizer is told how to pad at each call, and takes no second call meanwhile; the model takes any number, and a
    # question must not wait for the hundred texts of a commit.
    with lock:
        tokens = bert.tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    tokens = tokens.to(bert.device)
    with torch.inference_mode():
        hidden = bert.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).float()
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
        vectors: Vectors = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
    return vectors
