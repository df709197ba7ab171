"""A TEST FIXTURE, NEVER A CAPTIONER: a toy model of BLIP's real classes that knows a few pictures by heart.

It exists so that tests on a machine that cannot reach BLIP's hub run the real classes, the real files and the real
`generate`. It has 0.2 million parameters and a vocabulary of the words it was given; of any picture that it was not
built from it says nonsense with confidence. It must never be offered to a user, named by a default, or shipped.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bri_assets.models.torchvision_compat import ensure_torchvision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["build_tiny_blip"]

_IMAGE_SIDE = 64
_HIDDEN = 48
_STEPS = 150
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]")


def build_tiny_blip(out_dir: Path, pairs: Sequence[tuple[NDArray[np.uint8], str]]) -> None:
    """Build a model folder that `BlipForConditionalGeneration.from_pretrained` loads. Takes seconds on two cores.

    Args:
        out_dir: the folder to write; made if need be.
        pairs: pictures (height, width, 3; red, green, blue; 0 to 255) and what to say of each: lower-case words, no
            punctuation.
    """
    warnings.warn(f"{out_dir} is a test fixture that knows {len(pairs)} pictures, never a captioner", stacklevel=2)
    ensure_torchvision()
    import torch

    out_dir.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a model waits for its second thread longer than it works
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            processor = _processor(out_dir, [text for _, text in pairs])
            model = _model(processor.tokenizer)
            _overfit(model, processor, pairs)
    finally:
        torch.set_num_threads(threads)
    model.eval().save_pretrained(out_dir)
    processor.save_pretrained(out_dir)


def _processor(out_dir: Path, texts: list[str]) -> Any:
    from transformers import BertTokenizer, BlipImageProcessor, BlipProcessor

    vocabulary = out_dir / "vocab.txt"
    vocabulary.write_text("\n".join([*_SPECIAL, *sorted({word for text in texts for word in text.split()})]))
    tokenizer = BertTokenizer(vocab=str(vocabulary))
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    side = {"height": _IMAGE_SIDE, "width": _IMAGE_SIDE}
    return BlipProcessor(BlipImageProcessor(size=side), tokenizer)


def _model(tokenizer: Any) -> Any:
    from transformers import BlipConfig, BlipForConditionalGeneration

    common = {
        "hidden_size": _HIDDEN,
        "intermediate_size": 2 * _HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": _HIDDEN,
    }
    text = {
        "vocab_size": len(tokenizer),
        "encoder_hidden_size": _HIDDEN,
        "max_position_embeddings": 32,
        "bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"),
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    # BLIP's default starts the vision weights at 1e-10, from which nothing is learnt in seconds
    vision = {"image_size": _IMAGE_SIDE, "patch_size": 16, "initializer_range": 0.02}
    config = BlipConfig(text_config={**common, **text}, vision_config={**common, **vision})
    return BlipForConditionalGeneration(config)


def _overfit(model: Any, processor: Any, pairs: Sequence[tuple[NDArray[np.uint8], str]]) -> None:
    import torch

    tokenizer = processor.tokenizer
    pixels = processor(images=[picture for picture, _ in pairs], return_tensors="pt")["pixel_values"]
    text = tokenizer([words for _, words in pairs], padding=True, return_tensors="pt")
    ids = text["input_ids"].clone()
    ids[:, 0] = tokenizer.convert_tokens_to_ids("[DEC]")
    labels = ids.masked_fill(ids == tokenizer.pad_token_id, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(_STEPS):
        noisy = pixels + 0.05 * torch.randn_like(pixels)  # as JPEG and resizing do
        loss = model(pixel_values=noisy, input_ids=ids, attention_mask=text["attention_mask"], labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if loss.item() > 0.1:
        raise AssertionError(f"the fixture has not learnt its pictures: loss {loss.item():.3f}")
