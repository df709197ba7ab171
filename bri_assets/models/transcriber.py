"""What is said: openai-whisper on 16 kHz audio.

Whisper invents words where nobody speaks. Three rules, made of its own figures, drop what it says there
(`_is_invented`). They were measured with `tiny.en` and `base` on speech (clean, in noise, very quiet, over a film's
sound, after up to 29 s of silence) and on silence, dither, white and brown noise, tones, hum, clicks and a film's
sound:

- speech had `no_speech_prob` up to 0.42 where `avg_logprob` was -0.29 or more, and up to 0.28 where it was less; ends
  of a sentence that came to lie in a window of their own had `avg_logprob` down to -2.7, with the right words;
- words that were invented had `no_speech_prob` from 0.47 to 0.96 and `avg_logprob` from -0.54 down to -5.8.

The text of one window is not given to the next as a prompt: with it, Whisper went on with a reader's sentence in the
noise that followed. A detector of voices is not part of this. What does not belong here: decoding audio (`media`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from bri_assets.errors import ModelFailed
from bri_assets.models.device import resolve_device
from bri_assets.models.identity import ModelIdentity
from bri_assets.models.loading import Loaded, load_once
from bri_assets.models.offline import keep_offline
from bri_assets.models.weights import locate_transcriber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SAMPLE_RATE", "Segment", "Transcriber"]

#: Samples a second that Whisper takes.
SAMPLE_RATE = 16_000

#: Arguments of `whisper.transcribe`. The temperatures and the three thresholds are its defaults, written down because
#: they decide the words: a window whose text misses a threshold is decoded again, warmer.
_DECODING: dict[str, Any] = {
    "temperature": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "compression_ratio_threshold": 2.4,
    "logprob_threshold": -1.0,
    "no_speech_threshold": 0.6,
    "condition_on_previous_text": False,
    "fp16": False,
}
#: What is dropped; see `_is_invented`.
_DROP = {
    "avg_logprob_below": -3.0,
    "compression_ratio_above": 2.4,
    "no_speech_prob_above": 0.45,
    "and_avg_logprob_below": -0.5,
}
#: Whisper samples at temperatures above 0; every chunk starts from this seed.
_SEED = 0


@dataclass(frozen=True)
class Segment:
    """Some words and when they were said.

    Attributes:
        segment_index: the segment's key within its video, from 0, in the order of time.
        start_s: when it starts, in seconds of the video; never before the segment before it.
        end_s: when it ends, in seconds; more than `start_s`, at most the video's duration.
        text: not empty, no space at its ends.
        confidence: exp(avg_logprob), the geometric mean of the probabilities of the tokens of the window that the
            segment is from; 0 to 1.
        language: of its chunk, as Whisper's code (`en`).
        no_speech_prob: Whisper's probability that nobody speaks in that window, 0 to 1.
    """

    segment_index: int
    start_s: float
    end_s: float
    text: str
    confidence: float
    language: str
    no_speech_prob: float


class Transcriber(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Whisper. An instance is cheap: the model is loaded when it is first used, once a process."""

    model: str = Field(description="A name of openai-whisper's (`base`, `tiny.en`) or a local path.")
    weights_dir: str = Field(description="Folder of the models' weights.")
    device: str = Field("auto", description="`auto`, `cpu`, `cuda` or `cuda:N`.")
    language: str | None = Field(None, description="Language that is spoken (`en`); None: detected in each chunk.")

    def identity(self) -> ModelIdentity:
        """Name the model for the lineage; verifies the weights, loads no model.

        Raises:
            WeightsMissing: the weights are not on this machine.
            WeightsDamaged: they are not the bytes that were fetched.
            ModelFailed: the device is not there.
        """
        weights = locate_transcriber(self.model, Path(self.weights_dir))
        return ModelIdentity(
            tool="openai-whisper",
            tool_version=version("openai-whisper"),
            model=weights.path.stem,
            weights_sha256=weights.sha256,
            parameters={
                "language": self.language,
                **{name: list(value) if isinstance(value, tuple) else value for name, value in _DECODING.items()},
                "drop": dict(_DROP),
                "seed": _SEED,
                "device": resolve_device(self.device).partition(":")[0],
                "dtype": "float32",
                "torch": version("torch"),
                "weights_source": weights.source,
            },
        )

    def transcribe(
        self,
        chunks: Iterable[tuple[float, NDArray[np.float32]]],
        duration_s: float,
        report: Callable[[str], None],
    ) -> list[Segment]:
        """Write down what is said.

        Args:
            chunks: stretches of audio in the order of time: the second of the video at which each starts, and its
            samples
                (16 kHz, mono, float32, -1 to 1, any number of them). Only one is held at a time. A chunk of digital
                silence is not given to the model.
            duration_s: the video's duration, in seconds; no segment ends after it.
            report: is told one sentence after each chunk.

        Returns:
            The segments, in the order of time; none where nobody speaks.

        Raises:
            ModelFailed: the model could not be loaded, the language is none of its own, or it raised on a chunk (the
                error says at which second).
            WeightsMissing: the weights are not on this machine.
            WeightsDamaged: they are not the bytes that were fetched.
        """
        segments: list[Segment] = []
        for start_s, samples in chunks:
            end_s = min(start_s + samples.size / SAMPLE_RATE, duration_s)
            # equal to running the model: whatever it says to digital silence is dropped (the tests show it)
            heard, language = self._run(start_s, samples) if samples.any() else ([], "")
            said = [one for one in heard if not _is_invented(one)]
            for one in said:
                _append(segments, one, language, start_s, end_s)
            dropped = len(heard) - len(said)
            note = f", {dropped} more dropped as invented" if dropped else ""
            report(f"Heard up to {end_s:.1f} s of {duration_s:.1f} s: {len(segments)} segment(s){note}.")
        return segments

    def _load(self) -> Loaded:
        weights = locate_transcriber(self.model, Path(self.weights_dir))
        keep_offline(Path(self.weights_dir))
        device = resolve_device(self.device)

        def load() -> Any:
            import whisper

            return whisper.load_model(str(weights.path), device=device)

        return load_once("transcriber", weights, device, load)

    def _spoken(self, model: Any) -> str | None:
        """The code of the language to take for granted; None where the model is to detect it."""
        from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

        if self.language is None:
            return None if model.is_multilingual else "en"
        asked = self.language.lower()
        code: str = TO_LANGUAGE_CODE.get(asked, asked)
        if code not in (LANGUAGES if model.is_multilingual else ("en",)):
            what = f"the model does not know the language {self.language!r}."
            raise ModelFailed(
                self.model, what, "Set BRI_TRANSCRIBER_LANGUAGE to one it knows (`en`), or leave it unset."
            )
        return code

    def _run(self, start_s: float, samples: NDArray[np.float32]) -> tuple[list[dict[str, Any]], str]:
        """Whisper's own segments of one chunk, and the chunk's language."""
        loaded = self._load()
        import torch
        import whisper

        device = loaded.model.device
        language = self._spoken(loaded.model)
        try:
            with loaded.lock, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(_SEED)
                result: dict[str, Any] = whisper.transcribe(
                    loaded.model, samples, language=language, verbose=None, **_DECODING
                )
        except Exception as error:  # torch and whisper raise anything; a failure is ours to name
            until = start_s + samples.size / SAMPLE_RATE
            what = (
                f"the transcriber failed between {start_s:.1f} s and {until:.1f} s ({type(error).__name__}: {error})."
            )
            raise ModelFailed(self.model, what, "Nothing was kept; look at the cause, then try again.") from error
        return result["segments"], result["language"]


def _is_invented(segment: dict[str, Any]) -> bool:
    """Whether Whisper's own figures say that it made a segment up.

    - Its tokens stayed as good as random even after every temperature, or its text repeats itself (it compresses too
      well, by Whisper's own limit): decodings that failed, which Whisper returns nonetheless.
    - It may well be that nobody speaks in the window, and Whisper is not sure of its words.
    """
    if segment["avg_logprob"] < _DROP["avg_logprob_below"]:
        return True
    if segment["compression_ratio"] > _DROP["compression_ratio_above"]:
        return True
    is_silent = segment["no_speech_prob"] > _DROP["no_speech_prob_above"]
    return bool(is_silent and segment["avg_logprob"] < _DROP["and_avg_logprob_below"])


def _append(
    segments: list[Segment], one: dict[str, Any], language: str, chunk_start_s: float, chunk_end_s: float
) -> None:
    """Add one of Whisper's segments at its place in the video, unless nothing is left of it.

    Whisper pads a chunk with silence and may put an end, or even a start, behind what there is.
    """
    earliest_s = max(chunk_start_s, segments[-1].start_s if segments else 0.0, 0.0)
    start_s = max(chunk_start_s + one["start"], earliest_s)
    end_s = min(chunk_start_s + one["end"], chunk_end_s)
    text = one["text"].strip()
    if not text or start_s >= end_s:
        return
    confidence = min(math.exp(one["avg_logprob"]), 1.0)
    no_speech = min(max(one["no_speech_prob"], 0.0), 1.0)
    segments.append(Segment(len(segments), start_s, end_s, text, confidence, language, no_speech))
