"""Real video and audio files for tests: written by PyAV, and where a file must be broken, changed byte by byte.

Every function writes one file, returns its path, is quick and gives the same content each time. Belongs here: whatever
makes a file that the package will read. Does not belong here: assertions, fixtures, files that come from elsewhere.

``make_clip`` is the one to start with::

    make_clip(tmp_path / "a.mp4", seconds=5, audio="tone")                     # 5 s, 24 fps, 160x120, H.264 and AAC
    make_clip(tmp_path / "b.webm", seconds=2, audio="speech", audio_seconds=4)  # VP8 and Opus, sound after the picture
    make_clip(tmp_path / "c.mkv", times=[0, 0.1, 0.5, 3])                       # variable frame rate, with a gap
    rotate(make_clip(tmp_path / "d.mp4", rotation=90), 90)                      # a telephone held upright

Every picture says which frame it is (``read_index``) and which way is up (``is_upright``).
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SAMPLE",
    "Sound",
    "corrupt",
    "cut",
    "hide_frame",
    "is_upright",
    "make_audio",
    "make_clip",
    "make_image",
    "make_playlist",
    "make_text",
    "make_two_pictures",
    "picture_of",
    "promise_no_duration",
    "read_index",
    "replace_bytes",
    "rotate",
    "sound_of",
    "trim",
]

#: A real clip with speech: 24 s, 640x360, 24 fps; a person, a cat, a cup.
SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample" / "tour.mp4"

#: ``tone`` 440 Hz; ``beeps`` 50 ms of 1 kHz at every whole second; ``speech`` from the sample clip, over and over.
Sound = Literal["tone", "silence", "noise", "beeps", "speech"]

_RATE = 48_000
_BITS = 16
#: suffix: video codec, audio codec, pixel format
_CODECS = {
    ".mp4": ("libx264", "aac", "yuv420p"),
    ".mov": ("libx264", "aac", "yuv420p"),
    ".mkv": ("libx264", "aac", "yuv420p"),
    ".flv": ("libx264", "aac", "yuv420p"),
    ".ts": ("libx264", "aac", "yuv420p"),
    ".webm": ("libvpx", "libopus", "yuv420p"),
    ".avi": ("mpeg4", "libmp3lame", "yuv420p"),
    ".mpg": ("mpeg2video", "mp2", "yuv420p"),
    ".asf": ("wmv2", "libmp3lame", "yuv420p"),
}


def make_clip(
    path: Path,
    *,
    seconds: float = 2.0,
    fps: int = 24,
    size: tuple[int, int] = (160, 120),
    times: Sequence[float | Fraction] | None = None,
    codec: str | None = None,
    pix_fmt: str | None = None,
    b_frames: int = 0,
    gop: int = 24,
    rotation: Literal[0, 90, 180, 270] = 0,
    audio: Sound | None = None,
    audio_codec: str | None = None,
    audio_seconds: float | None = None,
    audio_start: float = 0.0,
    audio_gap: tuple[float, float] | None = None,
    video_start: float = 0.0,
    container: str | None = None,
    options: dict[str, str] | None = None,
    encoder_options: dict[str, str] | None = None,
) -> Path:
    """Write a video whose every frame shows its own number.

    Args:
        path: where; the suffix chooses container and codecs (.mp4 .mov .mkv .webm .avi .ts .mpg .flv .asf).
        seconds: length of the picture; ``seconds * fps`` frames.
        fps: frames a second.
        size: width and height **as displayed**, in pixels.
        times: the frames' times in seconds instead of ``seconds`` and ``fps`` (variable rate, gaps); a hole between two
            times is a gap. Rounded to 1/90000 s.
        codec: video encoder (``libx264``, ``mpeg4``, ``ffv1``, ``mjpeg``, ``libvpx-vp9`` …).
        pix_fmt: pixel format; an odd width or height needs one without chroma subsampling, such as ``yuv444p``.
        b_frames: most consecutive B-frames.
        gop: frames from one key frame to the next.
        rotation: store the picture turned, so that a player has to turn it clockwise by this much to show it upright;
            the container is told by ``rotate``.
        audio: which sound; None: no audio track.
        audio_codec: audio encoder.
        audio_seconds: length of the sound; default: as the picture.
        audio_start: when the sound starts, in seconds.
        audio_gap: (at, length): the sound pauses at a second of its own for so many seconds, and has no packets there.
        video_start: when the picture starts, in seconds.
        container: libav's name of the container, where the suffix is to lie.
        options: the muxer's options, e.g. ``{"movflags": "faststart"}`` puts the index in front.
        encoder_options: the video encoder's options, instead of those that make it fast.

    Returns:
        ``path``.
    """
    codecs = _CODECS.get(path.suffix.lower(), _CODECS[".mp4"])
    frame_times = [Fraction(t).limit_denominator(90_000) for t in times] if times is not None else None
    if frame_times is None:
        frame_times = [Fraction(k, fps) for k in range(max(1, round(seconds * fps)))]
    tick = Fraction(1, fps) if times is None and not video_start else Fraction(1, 90_000)
    length = audio_seconds if audio_seconds is not None else float(frame_times[-1] + Fraction(1, fps))
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        video: Any = out.add_stream(
            codec or codecs[0], rate=fps, options=encoder_options or _encoder_options(codec or codecs[0])
        )
        video.width, video.height = size if rotation % 180 == 0 else size[::-1]
        video.pix_fmt = pix_fmt or codecs[2]
        video.codec_context.time_base = tick
        video.codec_context.gop_size = gop
        video.codec_context.max_b_frames = b_frames
        shifted = [t + Fraction(video_start).limit_denominator(90_000) for t in frame_times]
        sources = [_pictures(shifted, Fraction(1, fps), tick, size, rotation)]
        streams = [video]
        if audio is not None:
            streams.append(out.add_stream(audio_codec or codecs[1], rate=_RATE, layout="mono"))
            sources.append(_sounds(sound_of(audio, length), audio_start, audio_gap))
        _encode(out, streams, sources)
    return path


def make_audio(path: Path, *, seconds: float = 2.0, sound: Sound = "tone", cover: bool = False) -> Path:
    """Write a file with sound only: .mp3, .m4a, .wav, .ogg or .flac; ``cover`` adds a picture of the album (.mp3)."""
    codec = {".mp3": "libmp3lame", ".m4a": "aac", ".wav": "pcm_s16le", ".ogg": "libopus", ".flac": "flac"}[path.suffix]
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=_RATE, layout="mono")
        picture: Any = None
        if cover:
            picture = out.add_stream("png", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
        out.start_encoding()
        if cover:
            frame = av.VideoFrame.from_ndarray(picture_of(0, 64, 64), format="rgb24")
            out.mux(picture.encode(frame))
            out.mux(picture.encode(None))
        _encode(out, [stream], [_sounds(sound_of(sound, seconds), 0.0)])
    return path


def make_two_pictures(path: Path, *, seconds: float = 2.0) -> Path:
    """Write a Matroska file whose first video stream is one small picture, and whose second is the video of 24 fps."""
    with av.open(str(path), "w", format="matroska") as out:
        still: Any = out.add_stream("mjpeg", rate=24)
        still.width, still.height, still.pix_fmt = 64, 64, "yuvj420p"
        video: Any = out.add_stream("libx264", rate=24, options=_encoder_options("libx264"))
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        tick = Fraction(1, 24)
        times = [k * tick for k in range(round(seconds * 24))]
        _encode(
            out,
            [still, video],
            [_pictures([Fraction(0)], tick, tick, (64, 64), 0), _pictures(times, tick, tick, (160, 120), 0)],
        )
    return path


def make_image(path: Path, size: tuple[int, int] = (160, 120)) -> Path:
    """Write one picture; the suffix chooses the format (.png .jpg .gif .webp .avif)."""
    from PIL import Image

    Image.fromarray(picture_of(0, *size)).save(path)
    return path


def make_text(path: Path, text: str = "These are the minutes of the meeting.\n" * 200) -> Path:
    """Write text under whatever name."""
    path.write_text(text, encoding="utf-8")
    return path


def make_playlist(path: Path, target: Path | str, kind: Literal["hls", "concat", "dash", "sdp"] = "hls") -> Path:
    """Write a playlist that asks its reader to open ``target``, a file or a URL."""
    uri = target.as_uri() if isinstance(target, Path) else target
    texts = {
        "hls": f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9.0,\n{uri}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{target}'\nduration 2.0\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet '
        f'mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{uri}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }
    path.write_text(texts[kind], encoding="utf-8")
    return path


def cut(path: Path, keep: float) -> Path:
    """Cut a file off, so that the first ``keep`` (0 to 1) of its bytes remain, as after a broken copy."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def corrupt(path: Path, start: float, end: float, *, zeros: bool = False) -> Path:
    """Overwrite the bytes from ``start`` to ``end`` (shares of the file, 0 to 1) with noise or zeros."""
    content = bytearray(path.read_bytes())
    first, last = int(len(content) * start), int(len(content) * end)
    noise = np.random.default_rng(7).integers(0, 256, last - first, dtype=np.uint8)
    content[first:last] = bytes(last - first) if zeros else noise.tobytes()
    path.write_bytes(content)
    return path


def replace_bytes(path: Path, old: bytes, new: bytes) -> Path:
    """Replace each ``old`` by as many bytes of ``new``, for example a codec's name by one that nobody knows."""
    content = path.read_bytes()
    if len(old) != len(new) or old not in content:
        raise ValueError(f"{path} holds no {old!r}, or {new!r} is of another length")
    path.write_bytes(content.replace(old, new))
    return path


def hide_frame(path: Path, index: int) -> Path:
    """Make frame ``index`` of a WebM with VP8 one that is never shown (show_frame, RFC 6386, 9.1)."""
    with av.open(str(path)) as clip:
        packets = [bytes(packet) for packet in clip.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    content[content.index(packets[index])] &= ~0x10
    path.write_bytes(content)
    return path


def rotate(path: Path, degrees: int) -> Path:
    """Tell players of an MP4 or MOV to turn the picture clockwise, as a telephone does (matrix of the track header).

    The matrix stands 40 bytes into the content of a ``tkhd`` box of version 0 (ISO/IEC 14496-12, 8.3.2).
    """
    turns = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    a, b, c, d = (turn << 16 for turn in turns[degrees])
    content = bytearray(path.read_bytes())
    struct.pack_into(">9i", content, content.index(b"tkhd") + 4 + 40, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def trim(path: Path, *, start: float = 0.0, keep: float | None = None) -> Path:
    """Let the edit list of an MP4's first track begin ``start`` seconds later and last ``keep`` seconds.

    That is how a telephone trims; ``keep`` None: to the end. The clip must have been made with ``b_frames`` of at least
    1 and without ``times`` and ``video_start``, because only then it has an edit list of one entry (``elst``, ISO/IEC
    14496-12, 8.6.6).
    """
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 12
    length, first = struct.unpack_from(">ii", content, at)
    length = length - round(start * 1000) if keep is None else round(keep * 1000)
    struct.pack_into(">ii", content, at, length, first + round(start * _timescale(bytes(content))))
    path.write_bytes(content)
    return path


def promise_no_duration(path: Path) -> Path:
    """Take the duration out of a Matroska file's header, as in a live recording (its id becomes that of a Void)."""
    content = path.read_bytes()
    at = content.index(b"\x44\x89\x88", 0, 4096)
    path.write_bytes(content[:at] + b"\xec\x89\x00" + content[at + 3 :])
    return path


def picture_of(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return the picture of frame ``index``: (height, width, 3) RGB.

    The upper half holds the index as 16 bars, white for 1, the highest bit on the left; the lower half is red on the
    left and blue on the right.
    """
    image = np.empty((height, width, 3), np.uint8)
    bits = (index >> np.arange(_BITS)[::-1]) & 1
    image[: height // 2] = np.where(bits, 235, 20)[np.arange(width) * _BITS // width][None, :, None]
    image[height // 2 :, : width // 2] = (200, 30, 30)
    image[height // 2 :, width // 2 :] = (30, 30, 200)
    return image


def read_index(image: NDArray[np.uint8]) -> int:
    """Return the index that an upright picture of ours shows; ``image``: (height, width, 3)."""
    height, width = image.shape[:2]
    centres = ((np.arange(_BITS) + 0.5) * width / _BITS).astype(int)
    bars = image[height // 8 : height * 3 // 8, centres].mean(axis=(0, 2)) > 128
    return int(sum(1 << (_BITS - 1 - k) for k in np.flatnonzero(bars)))


def is_upright(image: NDArray[np.uint8]) -> bool:
    """Return whether a picture of ours is the right way up; ``image``: (height, width, 3) BGR."""
    height, width = image.shape[:2]
    left, right = (image[height * 3 // 4, x].astype(int) for x in (width // 4, width * 3 // 4))
    return bool(left[2] > left[0] + 60 and right[0] > right[2] + 60)


def sound_of(sound: Sound, seconds: float) -> NDArray[np.float32]:
    """Return ``seconds`` of a sound: (samples,) float32 in [-1, 1] at 48 kHz."""
    t = np.arange(round(seconds * _RATE)) / _RATE
    if sound == "tone":
        wave = 0.3 * np.sin(2 * np.pi * 440 * t)
    elif sound == "silence":
        wave = np.zeros_like(t)
    elif sound == "noise":
        wave = np.random.default_rng(7).uniform(-0.3, 0.3, len(t))
    elif sound == "beeps":
        wave = 0.5 * np.sin(2 * np.pi * 1000 * t) * (t % 1 < 0.05)
    else:
        wave = np.resize(_speech(), len(t))
    return wave.astype(np.float32)


@lru_cache(maxsize=1)
def _speech() -> NDArray[np.float32]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE)
    with av.open(str(SAMPLE)) as sample:
        blocks = [block.to_ndarray()[0] for frame in sample.decode(audio=0) for block in resampler.resample(frame)]
    return np.concatenate(blocks)


def _encoder_options(codec: str) -> dict[str, str]:
    if codec in ("libx264", "libx265"):
        return {"preset": "ultrafast", "crf": "18"}
    if codec.startswith("libvpx"):
        return {"deadline": "realtime", "cpu-used": "8", "b": "1M"}
    return {"q:v": "3"}


def _pictures(
    times: Sequence[Fraction], length: Fraction, tick: Fraction, size: tuple[int, int], rotation: int
) -> Iterator[tuple[Fraction, Any]]:
    for index, time in enumerate(times):
        upright = picture_of(index, *size)
        stored = np.ascontiguousarray(np.rot90(upright, rotation // 90))  # rot90 turns counter-clockwise
        frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
        frame.time_base, frame.pts, frame.duration = tick, round(time / tick), max(1, round(length / tick))
        yield time, frame


def _sounds(
    wave: NDArray[np.float32], start: float, gap: tuple[float, float] | None = None
) -> Iterator[tuple[Fraction, Any]]:
    block = 1024
    for at in range(0, len(wave), block):
        frame = av.AudioFrame.from_ndarray(wave[None, at : at + block], format="flt", layout="mono")
        frame.sample_rate, frame.time_base = _RATE, Fraction(1, _RATE)
        pause = round(gap[1] * _RATE) if gap is not None and at >= gap[0] * _RATE else 0
        frame.pts = at + round(start * _RATE) + pause
        yield Fraction(frame.pts, _RATE), frame


def _encode(out: Any, streams: Sequence[Any], sources: Sequence[Iterator[tuple[Fraction, Any]]]) -> None:
    """Encode in the order of time, so that the streams lie beside each other in the file."""
    numbered = [_numbered(number, source) for number, source in enumerate(sources)]
    for _, number, frame in heapq.merge(*numbered, key=lambda item: item[0]):
        out.mux(streams[number].encode(frame))
    for stream in streams:
        out.mux(stream.encode(None))


def _numbered(number: int, source: Iterator[tuple[Fraction, Any]]) -> Iterator[tuple[Fraction, int, Any]]:
    return ((time, number, frame) for time, frame in source)


def _timescale(content: bytes) -> int:
    at = content.index(b"mdhd") + 4 + 12
    return int.from_bytes(content[at : at + 4], "big")
