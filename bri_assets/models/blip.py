"""A sentence for a frame by BLIP, through transformers.

What does not belong here: sentences made of detections (`object_captions`), the choice between the two (`captioner`),
where weights come from (`weights`, `pull`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from bri_assets.errors import ModelFailed, WeightsDamaged
from bri_assets.models.caption import Caption
from bri_assets.models.device import resolve_device
from bri_assets.models.frame import batches, read_rgb, spoken_range
from bri_assets.models.identity import ModelIdentity
from bri_assets.models.loading import Loaded, load_once
from bri_assets.models.offline import keep_offline
from bri_assets.models.torchvision_compat import ensure_torchvision
from bri_assets.models.weights import locate_captioner, ways_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bri_assets.models.detector import Detection
    from bri_assets.models.frame import FrameImage
    from bri_assets.models.weights import Weights

__all__ = ["BlipCaptioner"]


class BlipCaptioner(dg.ConfigurableResource):  # type: ignore[type-arg]
    """BLIP. An instance is cheap: the model is loaded when it is first used, once a process."""

    model: str = Field(description="A name on its hub (`Salesforce/blip-image-captioning-base`) or a local folder.")
    weights_dir: str = Field(description="Folder of the models' weights.")
    device: str = Field("auto", description="`auto`, `cpu`, `cuda` or `cuda:N`.")
    batch_size: int = Field(8, ge=1, description="Frames at once. Does not belong to what changes results.")
    max_tokens: int = Field(30, ge=1, description="Longest caption, in tokens.")

    @property
    def needs_detections(self) -> bool:
        """False: it looks at the picture."""
        return False

    def identity(self) -> ModelIdentity:
        """Name the model for the lineage; verifies the weights, loads no model.

        Raises:
            WeightsMissing: the weights are not on this machine.
            WeightsDamaged: they are not the bytes that were fetched.
            ModelFailed: the device is not there.
        """
        weights = locate_captioner(self.model, Path(self.weights_dir))
        return ModelIdentity(
            tool="transformers",
            tool_version=version("transformers"),
            model=weights.path.name if weights.is_local_path else self.model,
            weights_sha256=weights.sha256,
            parameters={
                "max_tokens": self.max_tokens,
                "decoding": "greedy",
                "device": resolve_device(self.device).partition(":")[0],
                "dtype": "float32",
                "torch": version("torch"),
                "weights_source": weights.source,
            },
        )

    def caption(
        self,
        frames: Sequence[FrameImage],
        detections: Sequence[Detection],  # noqa: ARG002 - every captioner is given them
        report: Callable[[int, int], None],
    ) -> list[Caption]:
        """Caption the stored images of frames.

        Args:
            frames: the frames, in order.
            detections: not looked at.
            report: is told after each batch how many frames are done, and of how many.

        Returns:
            One caption a frame, in the same order. The confidence is the mean probability that the model gave to the
            tokens it chose, the one that ends the sentence among them.

        Raises:
            ImageDamaged: a frame's image cannot be read.
            ModelFailed: the model could not be loaded, raised on a batch, or had no words for a frame; the error names
                the frames.
            WeightsMissing: the weights are not on this machine.
            WeightsDamaged: they are not the bytes that were fetched, or not a whole BLIP.
        """
        if not frames:
            return []
        loaded = self._load()
        captions: list[Caption] = []
        for batch in batches(frames, self.batch_size):
            pictures = [read_rgb(frame) for frame in batch]
            try:
                with loaded.lock:
                    described = self._describe(loaded.model, pictures)
            except Exception as error:  # torch and transformers raise anything; a failure is ours to name
                what = f"the captioner failed on {spoken_range(batch)} ({type(error).__name__}: {error})."
                raise ModelFailed(self.model, what, "Nothing was kept; look at the cause, then try again.") from error
            for frame, (text, confidence) in zip(batch, described, strict=True):
                if not text:
                    what = f"the captioner had no words for {spoken_range([frame])} ({frame.path})."
                    raise ModelFailed(self.model, what, "Look at that image; another model may have words for it.")
                captions.append(Caption(frame.frame_index, text, confidence))
            report(len(captions), len(frames))
        return captions

    def _load(self) -> Loaded:
        weights = locate_captioner(self.model, Path(self.weights_dir))
        keep_offline(Path(self.weights_dir))
        device = resolve_device(self.device)
        return load_once("captioner", weights, device, lambda: _load_blip(weights, device))

    def _describe(self, blip: _Blip, pictures: list[Any]) -> list[tuple[str, float]]:
        """Text and confidence for each picture, in order."""
        import torch

        pixels = blip.processor(images=pictures, return_tensors="pt")["pixel_values"].to(blip.device)
        with torch.inference_mode():
            made = blip.model.generate(
                pixel_values=pixels,
                max_new_tokens=self.max_tokens,
                do_sample=False,
                num_beams=1,
                output_scores=True,
                return_dict_in_generate=True,
            )
        tokens = made.sequences[:, -len(made.scores) :].cpu()
        scores = torch.stack(made.scores, dim=1).float().softmax(dim=-1).cpu()
        chosen = scores.gather(2, tokens.unsqueeze(2)).squeeze(2).double()
        ends = tokens == blip.end
        counted = (ends.cumsum(dim=1) - ends.long()) == 0  # up to and with the first end token: padding follows
        confidences = (chosen * counted).sum(dim=1) / counted.sum(dim=1)
        texts = blip.processor.batch_decode(made.sequences, skip_special_tokens=True)
        return [(text.strip(), min(value, 1.0)) for text, value in zip(texts, confidences.tolist(), strict=True)]


@dataclass(frozen=True)
class _Blip:
    """A loaded BLIP: processor, model, and the id of the token that ends a caption."""

    processor: Any
    model: Any
    end: int
    device: str


def _load_blip(weights: Weights, device: str) -> _Blip:
    ensure_torchvision()
    import torch
    from transformers import BlipForConditionalGeneration, BlipProcessor

    processor = BlipProcessor.from_pretrained(weights.path, local_files_only=True)
    loaded: Any = BlipForConditionalGeneration.from_pretrained(
        weights.path,
        local_files_only=True,
        dtype=torch.float32,  # transformers would take the dtype of the file
        output_loading_info=True,
    )
    model, info = loaded
    absent = _never_loaded(model, set(info["missing_keys"]))
    if absent:
        what = f"the folder lacks {len(absent)} of BLIP's tensors ({absent[0]} is one), which would be random numbers."
        raise WeightsDamaged(weights.path, what, ways_out("captioner"))
    return _Blip(processor, model.to(device).eval(), model.config.text_config.sep_token_id, device)


def _never_loaded(model: Any, missing: set[str]) -> list[str]:
    """Parameters that were in no file. One that shares its memory with a loaded one (tied weights) is not missing."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    loaded = {tensor.data_ptr() for name, tensor in parameters.items() if name not in missing}
    return sorted(name for name in missing if name in parameters and parameters[name].data_ptr() not in loaded)
