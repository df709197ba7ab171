"""Whisper in CTranslate2's format, turned into a checkpoint of openai-whisper."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import whisper
from whisper.model import ModelDimensions, Whisper

from bri_assets.errors import WeightsDamaged
from bri_assets.models.ctranslate import convert_whisper
from bri_assets.models.weights import Weights

#: A Whisper of 2 encoder and 1 decoder layers, small enough to be written here.
_DIMS = ModelDimensions(
    n_mels=4,
    n_audio_ctx=6,
    n_audio_state=8,
    n_audio_head=2,
    n_audio_layer=2,
    n_vocab=10,
    n_text_ctx=5,
    n_text_state=8,
    n_text_head=4,
    n_text_layer=1,
)


def _stacked(state: dict[str, torch.Tensor], names: list[str], kind: str) -> torch.Tensor:
    bias_of_keys = torch.zeros(_DIMS.n_audio_state)
    return torch.cat([state.get(f"{name}.{kind}", bias_of_keys) for name in names])


def _variables(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """The same model by CTranslate2's names, written down from its converter's documentation."""
    out: dict[str, torch.Tensor] = {}

    def norm(theirs: str, ours: str) -> None:
        out[f"{theirs}/gamma"], out[f"{theirs}/beta"] = state[f"{ours}.weight"], state[f"{ours}.bias"]

    def linear(theirs: str, *ours: str) -> None:
        for kind in ("weight", "bias"):
            out[f"{theirs}/{kind}"] = _stacked(state, list(ours), kind)

    for side, layers in (("encoder", 2), ("decoder", 1)):
        for number in range(layers):
            theirs, ours = f"{side}/layer_{number}", f"{side}.blocks.{number}"
            norm(f"{theirs}/self_attention/layer_norm", f"{ours}.attn_ln")
            linear(f"{theirs}/self_attention/linear_0", *(f"{ours}.attn.{part}" for part in ("query", "key", "value")))
            linear(f"{theirs}/self_attention/linear_1", f"{ours}.attn.out")
            if side == "decoder":
                norm(f"{theirs}/attention/layer_norm", f"{ours}.cross_attn_ln")
                linear(f"{theirs}/attention/linear_0", f"{ours}.cross_attn.query")
                linear(f"{theirs}/attention/linear_1", f"{ours}.cross_attn.key", f"{ours}.cross_attn.value")
                linear(f"{theirs}/attention/linear_2", f"{ours}.cross_attn.out")
            norm(f"{theirs}/ffn/layer_norm", f"{ours}.mlp_ln")
            linear(f"{theirs}/ffn/linear_0", f"{ours}.mlp.0")
            linear(f"{theirs}/ffn/linear_1", f"{ours}.mlp.2")
        out[f"{side}/position_encodings/encodings"] = state[f"{side}.positional_embedding"]
    norm("encoder/layer_norm", "encoder.ln_post")
    norm("decoder/layer_norm", "decoder.ln")
    for layer in ("conv1", "conv2"):
        linear(f"encoder/{layer}", f"encoder.{layer}")
    out["decoder/embeddings/weight"] = state["decoder.token_embedding.weight"]
    out["encoder/num_heads"] = torch.tensor(2, dtype=torch.int16)
    out["decoder/num_heads"] = torch.tensor(4, dtype=torch.int16)
    return {name: tensor.numpy() for name, tensor in out.items()}


def _write(variables: dict[str, np.ndarray], aliases: dict[str, str], name: str = "WhisperSpec") -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    data = struct.pack("<I", 6) + text(name) + struct.pack("<I", 3) + struct.pack("<I", len(variables))
    for key, value in variables.items():
        kind = {"float32": 0, "int16": 2, "float16": 4}[value.dtype.name]
        data += text(key) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        data += struct.pack("<BI", kind, value.nbytes) + value.tobytes()
    data += struct.pack("<I", len(aliases))
    return data + b"".join(text(alias) + text(key) for alias, key in aliases.items())


@pytest.fixture(scope="module")
def model() -> Whisper:
    torch.manual_seed(0)
    model = Whisper(_DIMS)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def test_every_tensor_finds_its_place(model: Whisper) -> None:
    state = model.state_dict()
    variables = _variables(state)
    projection = variables.pop("decoder/embeddings/weight")
    data = _write(
        {**variables, "decoder/projection/weight": projection},
        {"decoder/embeddings/weight": "decoder/projection/weight"},
    )
    checkpoint = convert_whisper(data)
    assert ModelDimensions(**checkpoint["dims"]) == _DIMS
    assert set(checkpoint["model_state_dict"]) == set(state)
    for name, tensor in state.items():
        assert torch.equal(checkpoint["model_state_dict"][name], tensor), name


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.5, 0.99, 0.99999])
def test_a_file_that_is_cut_off_is_damaged(model: Whisper, share: float) -> None:
    data = _write(_variables(model.state_dict()), {})
    with pytest.raises(WeightsDamaged):
        convert_whisper(data[: int(len(data) * share)])


def test_what_is_not_a_whole_whisper_is_damaged(model: Whisper) -> None:
    variables = _variables(model.state_dict())
    with pytest.raises(WeightsDamaged, match="TransformerSpec"):
        convert_whisper(_write(variables, {}, "TransformerSpec"))
    with pytest.raises(WeightsDamaged, match="bytes follow"):
        convert_whisper(_write(variables, {}) + b"x")
    with pytest.raises(WeightsDamaged, match="keys have a bias"):
        convert_whisper(
            _write({**variables, "encoder/layer_0/self_attention/linear_0/bias": np.ones(24, "float32")}, {})
        )
    without = {name: value for name, value in variables.items() if name != "encoder/conv2/bias"}
    with pytest.raises(WeightsDamaged, match="conv2"):
        convert_whisper(_write(without, {}))
    with pytest.raises(WeightsDamaged):
        convert_whisper(b"\0" * 64)


@pytest.mark.parametrize("name", ["whisper_tiny", "whisper_base"])
def test_the_packaged_models_are_whole_openai_whisper_checkpoints(name: str, request: pytest.FixtureRequest) -> None:
    weights: Weights = request.getfixturevalue(name)
    checkpoint = torch.load(Path(weights.path), weights_only=True)
    model = Whisper(ModelDimensions(**checkpoint["dims"]))
    model.load_state_dict(checkpoint["model_state_dict"], strict=True)
    assert model.is_multilingual == (name == "whisper_base")
    assert whisper.load_model(str(weights.path), device="cpu").dims == model.dims
