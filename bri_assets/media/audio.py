"""The sound of a video as a recogniser of speech wants it: 16 kHz, one channel, on the container's clock.

Belongs here: decoding and placing samples in time. Does not belong here: what is said (``models``).

Samples are resampled through 16-bit integers, as openai-whisper's own loader does: that way mixing down to one channel
cannot leave [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bri_assets.errors import AudioUnreadable
from bri_assets.media.containers import best_sound, open_container, read_packets, zero_of

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import InputContainer

__all__ = ["AudioChunk", "AudioReport", "decode_audio"]

#: When its first sample is heard, in seconds from the container's start, and (samples,) float32 in [-1, 1].
AudioChunk = tuple[float, NDArray[np.float32]]

#: A frame that lies this much off the end of the one before it is moved to its own time (with silence before it, or
#: less of it); what is nearer follows without a seam, because containers round times and decoders pad. The figure is
#: ffmpeg's (``min_hard_comp`` of its resampler).
_SEAM_S = Fraction(1, 10)
#: A chunk is cut at the quietest moment of this length …
_QUIET_S = 0.1
#: … within this much of its end, or within its second half if that is shorter.
_SEARCH_S = 30.0
#: Silence is made in blocks of this length, so that an hour of it needs no more memory than a second.
_BLOCK_S = 10


@dataclass
class AudioReport:
    """What happened while sound was decoded; complete once the iteration has ended.

    Attributes:
        packets: packets of the sound track that were read.
        skipped_packets: of these, the ones that could not be decoded. Silence stands in their place once more than
            0.1 s is missing.
        silence_s: seconds of silence that were put in because the track holds nothing there.
        dropped_s: seconds that were left out because the track holds something twice there.
    """

    packets: int = 0
    skipped_packets: int = 0
    silence_s: float = 0.0
    dropped_s: float = 0.0


def decode_audio(
    path: Path, chunk_s: float, sample_rate: int = 16_000, report: AudioReport | None = None
) -> Iterator[AudioChunk]:
    """Yield the sound of a file in chunks that follow each other without a hole, with about one chunk in memory.

    The first chunk starts at 0; where the sound starts later, its beginning is silence. A chunk is cut in the middle
    of the quietest 0.1 s of its last 30 s (of its second half if it is shorter than a minute), so that no word is
    cut.

    Args:
        path: a file whose ``VideoFacts.has_audio`` is true. Of several tracks libav's best is taken.
        chunk_s: most seconds in one chunk; at least 1.
        sample_rate: samples a second.
        report: filled in while decoding goes on.

    Raises:
        AudioUnreadable: the track has packets, of which none could be decoded.
        UploadRefused: the file cannot be opened (see ``probe``).
        ValueError: the file has no sound track (a mistake of the caller, who knows ``has_audio``), or ``chunk_s`` < 1.
            A track without a packet has no sound either, but yields nothing, as ``has_audio`` is false then.
    """
    if chunk_s < 1:
        raise ValueError(f"a chunk has at least 1 s, not {chunk_s}")
    report = AudioReport() if report is None else report
    with open_container(path) as container:
        stream = best_sound(container)
        if stream is None:
            raise ValueError(f"{path}: the file has no sound track")
        chunker = _Chunker(chunk_s, sample_rate)
        for block in _blocks(path, container, stream, sample_rate, report):
            yield from chunker.add(block)
        yield from chunker.rest()


def _blocks(
    path: Path, container: InputContainer, stream: AudioStream, rate: int, report: AudioReport
) -> Iterator[NDArray[np.float32]]:
    """Yield resampled sound from the container's start on, without holes."""
    track = _Track(rate, zero_of(container), report)
    error: Exception | None = None
    heard = False
    for frame in _frames(container, stream, report):
        if isinstance(frame, Exception):
            error = frame
            continue
        heard = True
        yield from track.add(frame)
    if report.packets and not heard:
        raise AudioUnreadable(
            path,
            f"none of the {report.packets} packets of its sound track could be decoded.",
            "Check that its sound plays elsewhere; upload an undamaged copy, or one without a sound track.",
        ) from error
    yield from track.rest()


def _frames(container: InputContainer, stream: AudioStream, report: AudioReport) -> Iterator[AudioFrame | Exception]:
    """Yield decoded frames, and for each packet that cannot be decoded the library's error."""
    import av

    for packet in read_packets(container, stream):
        report.packets += 1
        try:
            yield from stream.decode(packet)
        except av.error.FFmpegError as error:  # one damaged packet is no reason to lose the rest
            report.skipped_packets += 1
            yield error
    try:
        yield from stream.decode(None)  # what the decoder still holds back
    except av.error.FFmpegError as error:
        yield error


class _Track:
    """Puts decoded frames on the container's clock."""

    def __init__(self, rate: int, zero: Fraction, report: AudioReport) -> None:
        self._rate, self._zero, self._report = rate, zero, report
        self._resampler: AudioResampler | None = None
        self._setup: tuple[str, str, int] | None = None
        self._given = 0  # samples that have been yielded
        self._drop = 0  # samples still to be left out
        self._due = Fraction(0)  # when the next frame is expected, seconds

    def add(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        import av

        start = self._due
        if frame.pts is not None and frame.time_base is not None:
            start = frame.pts * frame.time_base - self._zero
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or setup != self._setup or abs(start - self._due) > _SEAM_S:
            yield from self.rest()
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=self._rate)
            self._setup, self._due = setup, start
            yield from self._move_to(start)
        self._due += Fraction(frame.samples, frame.sample_rate)
        yield from self._placed(self._resampler.resample(frame))

    def rest(self) -> Iterator[NDArray[np.float32]]:
        """Yield what the resampler still holds back."""
        if self._resampler is not None:
            yield from self._placed(self._resampler.resample(None))
            self._resampler = None

    def _move_to(self, start: Fraction) -> Iterator[NDArray[np.float32]]:
        missing = round(start * self._rate) - self._given
        self._drop = max(0, -missing)
        self._report.dropped_s += self._drop / self._rate
        self._report.silence_s += max(0, missing) / self._rate
        block = self._rate * _BLOCK_S
        for at in range(0, missing, block):
            silence = np.zeros(min(block, missing - at), np.float32)
            self._given += len(silence)
            yield silence

    def _placed(self, parts: list[AudioFrame]) -> Iterator[NDArray[np.float32]]:
        for part in parts:
            samples = part.to_ndarray().reshape(-1)[self._drop :].astype(np.float32) / np.float32(32768)
            self._drop = max(0, self._drop - part.samples)
            self._given += len(samples)
            yield samples


class _Chunker:
    """Gathers samples and cuts them at quiet moments."""

    def __init__(self, chunk_s: float, rate: int) -> None:
        self._buffer = np.empty(int(chunk_s * rate), np.float32)
        self._filled, self._start, self._rate = 0, 0, rate

    def add(self, samples: NDArray[np.float32]) -> Iterator[AudioChunk]:
        while len(samples):
            part = samples[: len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            samples = samples[len(part) :]
            if self._filled == len(self._buffer):
                yield self._cut(self._quietest())

    def rest(self) -> Iterator[AudioChunk]:
        if self._filled:
            yield self._cut(self._filled)

    def _cut(self, at: int) -> AudioChunk:
        chunk = self._start / self._rate, self._buffer[:at].copy()
        self._buffer[: self._filled - at] = self._buffer[at : self._filled].copy()
        self._start, self._filled = self._start + at, self._filled - at
        return chunk

    def _quietest(self) -> int:
        """Return the middle of the last of the quietest windows (least energy) near the end of the full buffer."""
        window = int(_QUIET_S * self._rate)
        search = min(int(_SEARCH_S * self._rate), len(self._buffer) // 2)
        energy = np.concatenate(([0.0], np.cumsum(np.square(self._buffer[-search:], dtype=np.float64))))
        quiet = (energy[window:] - energy[:-window])[::-1]
        # Sums of equal silence differ in their last digits: what is within a millionth of full scale counts as equal.
        last = int(np.argmax(quiet <= quiet.min() + 1e-6 * window))
        return len(self._buffer) - last - window // 2
