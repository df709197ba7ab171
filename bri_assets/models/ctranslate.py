"""Turns a Whisper model in CTranslate2's format into a checkpoint of openai-whisper.

Both hold the same tensors; CTranslate2 gives them other names and stacks the projections of an attention. The file
format is the one that CTranslate2 writes (`model_spec.py`, version 6, little endian): version, name of the
specification, its revision, the variables (name, shape, type, bytes), and aliases of variables. What does not belong
here: where files come from.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from bri_assets.errors import WeightsDamaged

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Variables = dict[str, NDArray[Any]]

__all__ = ["convert_whisper"]

_REMEDY = "Fetch it again, or take a checkpoint of openai-whisper itself."
_TYPES = {0: "<f4", 1: "|i1", 2: "<i2", 3: "<i4", 4: "<f2"}

#: openai-whisper's parts of a block, and the names that CTranslate2 gives them: norm, then linear layers. A layer that
#: stands for several has them stacked along its outputs, in this order.
_SELF_ATTENTION = ("attn", "self_attention", (("query", "key", "value"), ("out",)))
_CROSS_ATTENTION = ("cross_attn", "attention", (("query",), ("key", "value"), ("out",)))
_MLP = ("mlp", "ffn", (("0",), ("2",)))


class _Reader:
    """Reads the primitives of the format from bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = memoryview(data), 0

    def take(self, size: int) -> memoryview:
        if size > len(self._data) - self._at:
            raise WeightsDamaged("CTranslate2 model", "the file ends in the middle of a variable.", _REMEDY)
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, code: str) -> int:
        value: int = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]
        return value

    def text(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()

    def at_end(self) -> bool:
        return self._at == len(self._data)


def _read_variables(data: bytes) -> Variables:
    import numpy as np

    reader = _Reader(data)
    version, specification = reader.number("I"), reader.text()
    reader.number("I")  # the specification's revision: nothing that is read here differs between revisions
    if version != 6 or specification != "WhisperSpec":
        what = f"it is a {specification!r} of format {version}, not a 'WhisperSpec' of format 6."
        raise WeightsDamaged("CTranslate2 model", what, _REMEDY)
    variables: Variables = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        kind = _TYPES[reader.number("B")]
        variables[name] = np.frombuffer(reader.take(reader.number("I")), dtype=kind).reshape(shape)
    for _ in range(reader.number("I")):
        alias = reader.text()
        variables[alias] = variables[reader.text()]
    if not reader.at_end():
        raise WeightsDamaged("CTranslate2 model", "bytes follow after its last variable.", _REMEDY)
    return variables


class _Converter:
    """Collects openai-whisper's tensors from CTranslate2's variables."""

    def __init__(self, variables: Variables) -> None:
        self.variables, self.state = variables, dict[str, "Tensor"]()

    def tensor(self, name: str) -> Tensor:
        import torch

        return torch.from_numpy(self.variables[name].copy())

    def norm(self, ours: str, theirs: str) -> None:
        self.state[f"{ours}.weight"] = self.tensor(f"{theirs}/gamma")
        self.state[f"{ours}.bias"] = self.tensor(f"{theirs}/beta")

    def linear(self, ours: str, theirs: str, names: tuple[str, ...]) -> None:
        weights = self.tensor(f"{theirs}/weight").chunk(len(names))
        biases = self.tensor(f"{theirs}/bias").chunk(len(names))
        for name, weight, bias in zip(names, weights, biases, strict=True):
            self.state[f"{ours}.{name}.weight"] = weight.clone()
            if name != "key":
                self.state[f"{ours}.{name}.bias"] = bias.clone()
            elif bias.any():
                raise WeightsDamaged(f"{theirs}", "its keys have a bias, and Whisper's have none.", _REMEDY)

    def part(self, ours: str, theirs: str, part: tuple[str, str, tuple[tuple[str, ...], ...]]) -> None:
        name, source, layers = part
        self.norm(f"{ours}.{name}_ln", f"{theirs}/{source}/layer_norm")
        for number, names in enumerate(layers):
            self.linear(f"{ours}.{name}", f"{theirs}/{source}/linear_{number}", names)

    def side(self, side: str, layers: int) -> None:
        for number in range(layers):
            ours, theirs = f"{side}.blocks.{number}", f"{side}/layer_{number}"
            self.part(ours, theirs, _SELF_ATTENTION)
            if side == "decoder":
                self.part(ours, theirs, _CROSS_ATTENTION)
            self.part(ours, theirs, _MLP)
        self.state[f"{side}.positional_embedding"] = self.tensor(f"{side}/position_encodings/encodings")
        self.norm({"encoder": "encoder.ln_post", "decoder": "decoder.ln"}[side], f"{side}/layer_norm")


def _layers(variables: Variables, side: str) -> int:
    found = (name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_"))
    return 1 + max(int(name.removeprefix("layer_")) for name in found if name != "layer_norm")


def _dims(variables: Variables) -> dict[str, int]:
    channels, mels, _ = variables["encoder/conv1/weight"].shape
    words, state = variables["decoder/embeddings/weight"].shape
    return {
        "n_mels": mels,
        "n_audio_ctx": variables["encoder/position_encodings/encodings"].shape[0],
        "n_audio_state": channels,
        "n_audio_head": int(variables["encoder/num_heads"]),
        "n_audio_layer": _layers(variables, "encoder"),
        "n_vocab": words,
        "n_text_ctx": variables["decoder/position_encodings/encodings"].shape[0],
        "n_text_state": state,
        "n_text_head": int(variables["decoder/num_heads"]),
        "n_text_layer": _layers(variables, "decoder"),
    }


def convert_whisper(data: bytes) -> dict[str, Any]:
    """Convert the bytes of a CTranslate2 `model.bin` (float16 or float32) into an openai-whisper checkpoint.

    Returns:
        `dims` (the arguments of `whisper.model.ModelDimensions`) and `model_state_dict` (tensor by name): what
        `torch.save` writes and `whisper.load_model` reads. A model has taken the tensors with a strict load.

    Raises:
        WeightsDamaged: the bytes are no such model, are cut off, or do not fit the model of their own dimensions.
    """
    import whisper

    try:
        variables = _read_variables(data)
        dims = _dims(variables)
        converter = _Converter(variables)
        for layer in ("conv1", "conv2"):
            for kind in ("weight", "bias"):
                converter.state[f"encoder.{layer}.{kind}"] = converter.tensor(f"encoder/{layer}/{kind}")
        converter.state["decoder.token_embedding.weight"] = converter.tensor("decoder/embeddings/weight")
        converter.side("encoder", dims["n_audio_layer"])
        converter.side("decoder", dims["n_text_layer"])
        whisper.model.Whisper(whisper.model.ModelDimensions(**dims)).load_state_dict(converter.state, strict=True)
    except (KeyError, ValueError, RuntimeError, UnicodeDecodeError, struct.error) as error:
        what = f"it is not a whole Whisper model ({type(error).__name__}: {error})."
        raise WeightsDamaged("CTranslate2 model", what, _REMEDY) from error
    return {"dims": dims, "model_state_dict": converter.state}
