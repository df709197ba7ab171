"""Whisper on real speech, and on what is none."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bri_assets.errors import ModelFailed, WeightsMissing
from bri_assets.models import transcriber as module
from bri_assets.models.transcriber import SAMPLE_RATE, Segment, Transcriber
from bri_assets.models.weights import Weights

Sound = NDArray[np.float32]

SAID = (
    "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power to do for them. "
    "He was not an ill-disposed young man. Unless to be rather cold-hearted and rather selfish is to be ill-disposed. "
    "Had he married a more amiable woman, he might have been made still more respectable than he was."
)


@pytest.fixture(scope="session")
def tiny(whisper_tiny: Weights, models_dir: Path) -> Transcriber:
    return Transcriber(model="tiny.en", weights_dir=str(models_dir), device="cpu")


@pytest.fixture(scope="session")
def base(whisper_base: Weights, models_dir: Path) -> Transcriber:
    return Transcriber(model="base", weights_dir=str(models_dir), device="cpu")


def _nothing(sentence: str) -> None:
    pass


def _words(segments: list[Segment]) -> list[str]:
    return re.findall(r"[a-z]+", " ".join(one.text for one in segments).lower())


def _of(*values: float | Sound) -> Sound:
    """Sounds one after the other; a number is that many seconds of digital silence."""
    parts = [np.zeros(round(one * SAMPLE_RATE)) if isinstance(one, float) else one for one in values]
    return np.concatenate(parts).astype(np.float32)


def _noise(seconds: float, loudness: float) -> Sound:
    return np.random.default_rng(0).normal(0, loudness, round(seconds * SAMPLE_RATE)).astype(np.float32)


def _tone(seconds: float) -> Sound:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def _assert_valid(segments: list[Segment], duration_s: float) -> None:
    assert [one.segment_index for one in segments] == list(range(len(segments)))
    starts = [one.start_s for one in segments]
    assert starts == sorted(starts)
    for one in segments:
        assert 0 <= one.start_s < one.end_s <= duration_s
        assert one.text == one.text.strip() != ""
        assert 0 <= one.confidence <= 1
        assert 0 <= one.no_speech_prob <= 1


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("model", ["tiny", "base"])
def test_every_word_of_the_sample_is_kept(model: str, speech: Sound, request: pytest.FixtureRequest) -> None:
    said: list[str] = []
    segments = request.getfixturevalue(model).transcribe([(0.0, speech)], 24.0, said.append)
    assert _words(segments) == re.findall(r"[a-z]+", SAID.lower())
    _assert_valid(segments, 24.0)
    assert {one.language for one in segments} == {"en"}
    assert all(one.confidence > 0.7 for one in segments)
    assert len(said) == 1
    assert "21.4 s of 24.0 s" in said[0]


def test_it_gives_the_same_twice_and_leaves_the_random_state_alone(tiny: Transcriber, speech: Sound) -> None:
    import torch

    hard = _of(speech[: 3 * SAMPLE_RATE]) + _noise(3, 0.2)  # falls back to sampling
    before = torch.random.get_rng_state()
    once = tiny.transcribe([(0.0, hard)], 3.0, _nothing)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(12345)
    assert tiny.transcribe([(0.0, hard)], 3.0, _nothing) == once


def test_chunks_have_their_place_in_the_video(tiny: Transcriber, speech: Sound) -> None:
    alone = tiny.transcribe([(0.0, speech)], 24.0, _nothing)
    taken: list[float] = []

    def chunks() -> Any:
        for start in (5.0, 100.0):
            taken.append(start)
            yield start, speech

    segments = tiny.transcribe(chunks(), 200.0, _nothing)
    _assert_valid(segments, 200.0)
    assert [one.text for one in segments] == [one.text for one in alone] * 2
    assert [one.start_s for one in segments[: len(alone)]] == pytest.approx([one.start_s + 5 for one in alone])
    assert [one.end_s for one in segments[len(alone) :]] == pytest.approx([one.end_s + 100 for one in alone])


def test_no_segment_passes_its_chunk_or_the_videos_end(tiny: Transcriber, speech: Sound) -> None:
    first = speech[:SAMPLE_RATE]  # Whisper puts the end of this at 2 s
    (segment,) = tiny.transcribe([(3.0, first)], 10.0, _nothing)
    assert (segment.start_s, segment.end_s) == (3.0, 4.0)
    (segment,) = tiny.transcribe([(3.0, first)], 3.5, _nothing)
    assert segment.end_s == 3.5
    assert tiny.transcribe([(3.0, first)], 3.0, _nothing) == []


@pytest.mark.parametrize("model", ["tiny", "base"])
def test_nothing_is_invented_where_nobody_speaks(model: str, film_sound: Sound, request: pytest.FixtureRequest) -> None:
    transcriber = request.getfixturevalue(model)
    sounds = {
        "film": film_sound,
        "tone": _tone(12),
        "white noise": _noise(12, 0.1),
        "quiet noise": _noise(12, 0.01),
        "a fraction of a second": _noise(0.3, 0.05),
    }
    for name, sound in sounds.items():
        assert transcriber.transcribe([(0.0, sound)], 60.0, _nothing) == [], name


@pytest.mark.parametrize("model", ["tiny", "base"])
@pytest.mark.parametrize("seconds", [0.1, 12.0, 40.0])
def test_digital_silence_is_skipped_with_the_result_that_the_model_would_give(
    model: str, seconds: float, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    transcriber = request.getfixturevalue(model)
    heard, _ = transcriber._run(0.0, _of(seconds))
    if seconds >= 40:
        assert [one["text"].strip() for one in heard] != []  # it does invent words here, and the rules do the work
    assert [one for one in heard if not module._is_invented(one)] == []
    monkeypatch.setattr(Transcriber, "_run", None)  # calling it would raise
    assert transcriber.transcribe([(0.0, _of(seconds))], 70.0, _nothing) == []


def test_words_after_silence_and_before_noise_are_kept(tiny: Transcriber, speech: Sound) -> None:
    segments = tiny.transcribe([(0.0, _of(20.0, speech))], 60.0, _nothing)
    assert _words(segments) == re.findall(r"[a-z]+", SAID.lower())
    segments = tiny.transcribe([(0.0, _of(speech, _noise(30, 0.02)))], 60.0, _nothing)
    assert _words(segments) == re.findall(r"[a-z]+", SAID.lower())


def test_no_audio_at_all_is_fine(models_dir: Path) -> None:
    nobody = Transcriber(model="none", weights_dir="nowhere")
    assert nobody.transcribe([], 10.0, _nothing) == []
    assert nobody.transcribe([(0.0, np.zeros(0, dtype=np.float32))], 10.0, _nothing) == []


@pytest.mark.parametrize(
    ("avg_logprob", "compression_ratio", "no_speech_prob", "invented"),
    [
        (-0.2, 1.5, 0.03, False),
        (-0.07, 1.5, 0.95, False),  # sure of its words
        (-2.7, 0.3, 0.2, False),  # a cut-off end of a sentence
        (-0.54, 2.05, 0.505, True),
        (-0.7, 0.3, 0.95, True),
        (-5.8, 0.6, 0.1, True),
        (-0.2, 2.5, 0.03, True),
    ],
)
def test_the_rules(avg_logprob: float, compression_ratio: float, no_speech_prob: float, invented: bool) -> None:
    one = {"avg_logprob": avg_logprob, "compression_ratio": compression_ratio, "no_speech_prob": no_speech_prob}
    assert module._is_invented(one) == invented


def test_starts_never_decrease_and_what_has_no_text_or_length_is_dropped() -> None:
    segments: list[Segment] = []
    figures = {"avg_logprob": math.log(0.5), "no_speech_prob": 0.0}
    rows = [(1.0, 4.0, "a"), (0.5, 3.0, "b"), (0.0, 1.0, "c"), (2.0, 2.0, "d"), (2.0, 3.0, "  "), (9.0, 12.0, " e ")]
    for start, end, text in rows:
        module._append(segments, {"start": start, "end": end, "text": text, **figures}, "en", 10.0, 20.0)
    assert [(one.start_s, one.end_s, one.text) for one in segments] == [
        (11.0, 14.0, "a"),
        (11.0, 13.0, "b"),
        (19.0, 20.0, "e"),
    ]
    assert segments[0].confidence == pytest.approx(0.5)


def test_languages(tiny: Transcriber, base: Transcriber, speech: Sound) -> None:
    for name in ("en", "English"):
        (first, *_) = base.model_copy(update={"language": name}).transcribe([(0.0, speech)], 24.0, _nothing)
        assert first.language == "en"
    for transcriber, language in ((tiny, "de"), (base, "klingon")):
        with pytest.raises(ModelFailed, match="BRI_TRANSCRIBER_LANGUAGE"):
            transcriber.model_copy(update={"language": language}).transcribe([(0.0, speech)], 24.0, _nothing)


def test_a_model_that_raises_names_the_time_and_the_cause(tiny: Transcriber) -> None:
    wrong: Any = np.ones((2, 3, 16_000), dtype=np.float32)
    with pytest.raises(ModelFailed, match=r"between 7\.0 s and 13\.0 s") as caught:
        tiny.transcribe([(7.0, wrong)], 24.0, _nothing)
    assert caught.value.__cause__ is not None


def test_missing_weights(tmp_path: Path, speech: Sound) -> None:
    with pytest.raises(WeightsMissing, match="bri models pull"):
        Transcriber(model="base", weights_dir=str(tmp_path)).transcribe([(0.0, speech)], 24.0, _nothing)


def test_the_identity_tells_results_apart_and_is_json(base: Transcriber, whisper_base: Weights) -> None:
    identity = base.identity()
    assert json.loads(json.dumps(asdict(identity))) == asdict(identity)
    assert (identity.tool, identity.model, identity.weights_sha256) == ("openai-whisper", "base", whisper_base.sha256)
    assert identity != base.model_copy(update={"language": "en"}).identity()
    assert set(identity.parameters["drop"]) == set(module._DROP)
