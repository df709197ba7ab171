"""BLIP's real classes on a fixture's weights, and the choice of the captioner."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bri_assets.errors import ImageDamaged, ModelFailed, WeightsDamaged, WeightsMissing
from bri_assets.models import blip as module
from bri_assets.models.blip import BlipCaptioner
from bri_assets.models.captioner import resolve_captioner
from bri_assets.models.frame import FrameImage
from bri_assets.models.object_captions import ObjectsCaptioner

from .conftest import TAUGHT


@pytest.fixture
def blip(tiny_blip: Path, models_dir: Path) -> BlipCaptioner:
    return BlipCaptioner(model=str(tiny_blip), weights_dir=str(models_dir), device="cpu", batch_size=2)


def _nothing(done: int, total: int) -> None:
    pass


def _taught(frames: list[FrameImage]) -> list[FrameImage]:
    return [frames[second // 2] for second in TAUGHT]


@pytest.mark.usefixtures("no_network")
def test_it_says_what_it_was_taught(blip: BlipCaptioner, frames: list[FrameImage]) -> None:
    reports: list[tuple[int, int]] = []
    captions = blip.caption(_taught(frames), [], lambda done, total: reports.append((done, total)))
    assert [one.text for one in captions] == list(TAUGHT.values())
    assert [one.frame_index for one in captions] == [1, 5, 10]
    assert all(0.5 < one.confidence < 1 for one in captions)
    assert len({one.confidence for one in captions}) == 3
    assert reports == [(2, 3), (3, 3)]
    assert not blip.needs_detections


def test_the_confidence_is_the_mean_probability_of_the_tokens_with_the_end_and_without_padding(
    blip: BlipCaptioner, frames: list[FrameImage]
) -> None:
    """Against the model's own forward pass over the finished caption, one frame at a time."""
    captions = blip.caption(_taught(frames), [], _nothing)  # batches of 2: captions of 6 and 2 words share one
    loaded = blip._load().model
    for frame, caption in zip(_taught(frames), captions, strict=True):
        tokenizer = loaded.processor.tokenizer
        words = tokenizer(caption.text, return_tensors="pt")["input_ids"]
        words[:, 0] = tokenizer.convert_tokens_to_ids("[DEC]")
        pixels = loaded.processor(images=module.read_rgb(frame), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            seen = loaded.model.vision_model(pixels).last_hidden_state
            logits = loaded.model.text_decoder(input_ids=words, encoder_hidden_states=seen).logits[0, :-1]
        probabilities = logits.softmax(-1).gather(1, words[0, 1:, None])
        assert caption.confidence == pytest.approx(probabilities.mean().item(), abs=1e-4)


def test_longest_caption(blip: BlipCaptioner, frames: list[FrameImage]) -> None:
    (caption,) = blip.model_copy(update={"max_tokens": 2}).caption(frames[1:2], [], _nothing)
    assert caption.text == "an astronaut"


def test_batches_do_not_change_words_and_runs_do_not_change_anything(
    blip: BlipCaptioner, frames: list[FrameImage]
) -> None:
    assert blip.caption(frames, [], _nothing) == blip.caption(frames, [], _nothing)
    alone = blip.model_copy(update={"batch_size": 1}).caption(frames, [], _nothing)
    together = blip.model_copy(update={"batch_size": 12}).caption(frames, [], _nothing)
    assert [one.text for one in alone] == [one.text for one in together]
    assert [one.confidence for one in alone] == pytest.approx([one.confidence for one in together], abs=1e-4)


def test_no_frames_need_no_model() -> None:
    assert BlipCaptioner(model="none", weights_dir="nowhere").caption([], [], _nothing) == []


def test_a_frame_without_words_is_a_failure_that_names_it(
    blip: BlipCaptioner, frames: list[FrameImage], tmp_path: Path
) -> None:
    """A BLIP that ends every sentence at once: the real model, its bias for the end token raised."""
    mute = tmp_path / "mute"
    shutil.copytree(blip.model, mute)
    from transformers import BlipForConditionalGeneration

    model = BlipForConditionalGeneration.from_pretrained(mute)
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[model.config.text_config.sep_token_id] += 1000
    model.save_pretrained(mute)
    with pytest.raises(ModelFailed, match="no words for frame 4 "):
        blip.model_copy(update={"model": str(mute)}).caption(frames[4:6], [], _nothing)


def test_a_model_that_raises_names_the_frames_and_the_cause(blip: BlipCaptioner, frames: list[FrameImage]) -> None:
    with pytest.raises(ModelFailed, match="frames 3 to 4") as caught:
        blip.model_copy(update={"max_tokens": -1}).caption(frames[3:5], [], _nothing)
    assert caught.value.__cause__ is not None


def test_a_damaged_image_names_its_frame(blip: BlipCaptioner, frames: list[FrameImage], tmp_path: Path) -> None:
    with pytest.raises(ImageDamaged, match="frame 2"):
        blip.caption([replace(frames[2], path=tmp_path / "none.jpg")], [], _nothing)


def test_weights_with_a_tensor_missing_are_damaged_and_never_random(
    blip: BlipCaptioner, frames: list[FrameImage], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "part"
    shutil.copytree(blip.model, folder)
    tensors = load_file(folder / "model.safetensors")
    removed = next(name for name in tensors if name.endswith("attention.self.query.weight"))
    del tensors[removed]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsDamaged, match="random numbers") as caught:
        blip.model_copy(update={"model": str(folder)}).caption(frames[:1], [], _nothing)
    assert removed in str(caught.value)


def test_a_folder_without_a_model_cannot_be_loaded(frames: list[FrameImage], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelFailed, match="BRI_CAPTIONER_MODEL"):
        BlipCaptioner(model=str(tmp_path), weights_dir=str(tmp_path), device="cpu").caption(frames[:1], [], _nothing)


def test_the_identity_tells_results_apart_and_is_json(blip: BlipCaptioner) -> None:
    identity = blip.identity()
    assert json.loads(json.dumps(asdict(identity))) == asdict(identity)
    assert (identity.tool, identity.model) == ("transformers", "tiny")
    assert identity == blip.model_copy(update={"batch_size": 7}).identity()
    assert identity != blip.model_copy(update={"max_tokens": 7}).identity()


def test_threads_share_one_model(
    blip: BlipCaptioner, frames: list[FrameImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = blip.model_copy(update={"model": str(shutil.copytree(blip.model, tmp_path / "copy"))})
    loads: list[Any] = []
    load = module._load_blip
    monkeypatch.setattr(module, "_load_blip", lambda *args: loads.append(args) or load(*args))
    results: list[list[str]] = []

    def work() -> None:
        results.append([one.text for one in mine.caption(_taught(frames), [], _nothing)])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [list(TAUGHT.values())] * 3
    assert len(loads) == 1


def test_the_choice_says_who_captions_and_why(blip: BlipCaptioner, tmp_path: Path) -> None:
    absent = BlipCaptioner(model="Salesforce/blip-image-captioning-base", weights_dir=str(tmp_path))
    assert resolve_captioner("blip", absent) == (absent, resolve_captioner("blip", absent)[1])
    assert isinstance(resolve_captioner("objects", blip)[0], ObjectsCaptioner)
    chosen, why = resolve_captioner("auto", blip)
    assert (chosen, "its weights are here" in why) == (blip, True)
    chosen, why = resolve_captioner("auto", absent)
    assert isinstance(chosen, ObjectsCaptioner)
    assert "BLIP is not here" in why
    assert str(tmp_path) in why
    with pytest.raises(WeightsMissing, match="BRI_CAPTIONER=objects"):
        absent.identity()


def test_auto_does_not_pass_over_damaged_weights(tiny_blip: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_blip, tmp_path / "captioner" / "some--blip")
    with pytest.raises(WeightsDamaged):
        resolve_captioner("auto", BlipCaptioner(model="some/blip", weights_dir=str(tmp_path)))
