"""Sound: every sample at its own time, whole, in chunks that cut no word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bri_assets.errors import AudioUnreadable, UploadRefused
from bri_assets.media.audio import AudioReport, decode_audio
from bri_assets.media.probe import probe
from bri_assets_tests.clips import SAMPLE, corrupt, make_clip, make_text, replace_bytes, sound_of

RATE = 16_000


def heard(path: Path, chunk_s: float = 600.0) -> tuple[np.ndarray, AudioReport]:
    report = AudioReport()
    return np.concatenate([samples for _, samples in decode_audio(path, chunk_s, report=report)]), report


def beeps(samples: np.ndarray) -> list[float]:
    """When a sound begins after at least 0.1 s of quiet, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    return (loud[np.flatnonzero(np.diff(loud, prepend=-RATE) > RATE // 10)] / RATE).tolist()


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "ts", "mpg", "flv", "asf"])
def test_beeps_are_heard_when_their_frames_are_shown(tmp_path, suffix):
    path = make_clip(tmp_path / f"a.{suffix}", seconds=4, audio="beeps")
    samples, report = heard(path)
    # The encoder's delay shifts sound and picture alike in containers that do not write it down.
    assert beeps(samples) == pytest.approx([probe(path).first_frame_s + k for k in range(4)], abs=0.03)
    assert len(samples) / RATE == pytest.approx(4, abs=0.05)
    assert report.packets > 0
    assert report.skipped_packets == 0


def test_samples_are_mono_float32_and_never_louder_than_full_scale(tmp_path):
    samples, _ = heard(make_clip(tmp_path / "a.mkv", audio="tone", audio_codec="flac"))
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    expected = sound_of("tone", 2.0)[::3]
    assert np.abs(samples[1000:-1000] - expected[1000:-1000]).max() < 0.01


def test_the_rate_is_the_one_that_was_asked_for(tmp_path):
    path = make_clip(tmp_path / "a.mp4", audio="tone")
    samples = np.concatenate([block for _, block in decode_audio(path, 60, sample_rate=8000)])
    assert len(samples) == pytest.approx(2 * 8000, abs=400)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_that_starts_late_is_preceded_by_silence(tmp_path, suffix):
    samples, report = heard(make_clip(tmp_path / f"a.{suffix}", seconds=4, audio="beeps", audio_start=1.5))
    assert beeps(samples) == pytest.approx([1.5, 2.5, 3.5, 4.5], abs=0.03)
    assert report.silence_s == pytest.approx(1.5, abs=0.03)
    assert np.abs(samples[: RATE * 14 // 10]).max() < 0.01


def test_sound_that_starts_before_the_picture_keeps_its_place(tmp_path):
    samples, _ = heard(make_clip(tmp_path / "a.mp4", seconds=4, audio="beeps", video_start=1.5))
    assert beeps(samples) == pytest.approx([0, 1, 2, 3], abs=0.03)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_gap_is_silence_and_what_follows_keeps_its_place(tmp_path, suffix):
    path = make_clip(tmp_path / f"a.{suffix}", seconds=4, audio="beeps", audio_gap=(1.5, 25.0))
    samples, report = heard(path)
    # 25 s of silence are also more than one of the blocks in which it is made
    assert beeps(samples) == pytest.approx([0, 1, 27, 28], abs=0.05)
    assert report.silence_s == pytest.approx(25, abs=0.1)


def test_what_a_file_holds_twice_is_heard_once(tmp_path):
    first = make_clip(tmp_path / "a.ts", seconds=4, audio="beeps").read_bytes()
    second = make_clip(tmp_path / "b.ts", seconds=4, audio="beeps", audio_start=3.0, video_start=3.0).read_bytes()
    (tmp_path / "c.ts").write_bytes(first + second)
    samples, report = heard(tmp_path / "c.ts")
    assert beeps(samples) == pytest.approx(range(7), abs=0.05)
    assert report.dropped_s == pytest.approx(1, abs=0.1)


def test_chunks_follow_each_other_are_short_enough_and_hold_everything(tmp_path):
    path = make_clip(tmp_path / "a.mp4", seconds=30, fps=4, audio="beeps")
    whole, _ = heard(path)
    at, parts = 0, []
    for start, samples in decode_audio(path, 10):
        assert start == pytest.approx(at / RATE, abs=1e-9)
        assert 0 < len(samples) <= 10 * RATE
        at += len(samples)
        parts.append(samples)
    assert len(parts) == 4
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_chunk_is_cut_where_it_is_quiet():
    whole, _ = heard(SAMPLE)
    starts = [round(start * RATE) for start, _ in decode_audio(SAMPLE, 10)][1:]
    assert starts
    for start in starts:
        around = whole[start - RATE // 20 : start + RATE // 20]
        assert np.sqrt(np.mean(around**2)) < 0.1 * np.sqrt(np.mean(whole**2))


def test_a_chunk_of_silence_is_as_long_as_it_may_be(tmp_path):
    path = make_clip(tmp_path / "a.mp4", seconds=12, fps=4, audio="silence")
    assert [len(samples) / RATE for _, samples in decode_audio(path, 5)][:2] == pytest.approx([4.95, 4.95])


def test_damaged_packets_are_counted_and_leave_silence(tmp_path):
    path = corrupt(make_clip(tmp_path / "a.mp4", seconds=10, audio="noise"), 0.3, 0.5)
    samples, report = heard(path)
    assert report.skipped_packets > 10
    assert report.silence_s > 0.5
    assert len(samples) / RATE == pytest.approx(10, abs=0.2)


def test_sound_of_which_nothing_can_be_decoded_is_an_error_and_not_silence(tmp_path):
    path = replace_bytes(make_clip(tmp_path / "a.mkv", audio="tone"), b"A_AAC", b"A_XXX")
    with pytest.raises(AudioUnreadable, match=r"none of the \d+ packets") as error:
        heard(path)
    assert error.value.__cause__ is not None


def test_silence_is_sound(tmp_path):
    samples, _ = heard(make_clip(tmp_path / "a.mp4", audio="silence"))
    assert len(samples) == pytest.approx(2 * RATE, abs=RATE // 20)
    assert np.abs(samples).max() < 1e-3


def test_a_video_without_sound_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="no sound track"):
        heard(make_clip(tmp_path / "a.mp4"))


def test_chunks_shorter_than_a_second_are_refused():
    with pytest.raises(ValueError, match="at least 1 s"):
        heard(SAMPLE, 0.5)


def test_what_is_no_media_file_is_refused(tmp_path):
    with pytest.raises(UploadRefused):
        heard(make_text(tmp_path / "a.mp4"))
