"""What a video file is, and whether it can be ingested at all.

Belongs here: the facts of a file and the refusals that follow from them. Does not belong here: what the store calls
the columns (``schemas``) and when a file is probed (``intake``).

A file is refused as cut off if its frames end more than 1 s before its header says. MP4, MOV, AVI and MXF promise a
length for the picture itself, so sound may be longer or shorter. Matroska, FLV and ASF promise one for the whole
file, which is compared with the last packet of any stream, and, because their writers round or estimate it, may be 2
% off where that is more than 1 s. MPEG-TS, MPEG-PS and Ogg promise nothing: libav estimates from what is there.
Neither does a fragmented MP4 or a live recording.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from bri_assets.errors import UploadRefused
from bri_assets.media.containers import best_sound, open_container
from bri_assets.media.timeline import Timeline, picture_stream, read_timeline

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["VideoFacts", "probe"]

_PICTURE_PROMISES = {"mov", "avi", "mxf"}
_FILE_PROMISES = {"matroska", "flv", "live_flv", "asf"}
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


@dataclass(frozen=True)
class VideoFacts:
    """The facts of a video. Zero of all times is the container's start.

    Attributes:
        duration_s: end of the content, the later of picture and sound, from the packets' time stamps; > 0 and at least
            ``last_frame_s``.
        first_frame_s: when the first frame is shown; >= 0.
        last_frame_s: when the last frame is shown; >= ``first_frame_s``.
        frame_count: frames that are shown, each with a time stamp of its own; >= 1. Frames that an edit list cuts
            away, or that lie before the container's start, are not shown.
        fps: average frames a second, > 0.
        width: pixels, as displayed (after rotation; pixels that are not square are left as they are).
        height: pixels, as displayed.
        rotation_deg: by how much a player turns the stored picture clockwise: 0, 90, 180 or 270.
        has_audio: there is a sound track with at least one packet.
        container: short name: ``mp4``, ``mov``, ``matroska``, ``avi``, ``mpegts``, ``mpeg``, ``flv``, ``ogg``,
            ``asf``, ``mxf``.
        video_codec: libav's name of the codec, such as ``h264``.
        audio_codec: the same of the sound; None without sound.
        size_bytes: of the file.
    """

    duration_s: float
    first_frame_s: float
    last_frame_s: float
    frame_count: int
    fps: float
    width: int
    height: int
    rotation_deg: int
    has_audio: bool
    container: str
    video_codec: str
    audio_codec: str | None
    size_bytes: int


def probe(path: Path) -> VideoFacts:
    """Read a whole file without decoding it (but its first frame) and return its facts. Memory: 8 bytes a frame.

    Raises:
        UploadRefused: code ``missing``; ``unreadable``; ``empty``; ``not_a_video`` (text, picture, archive, playlist,
            folder, pipe); ``no_picture`` (sound only); ``truncated`` (cut off, see the module); ``undecodable``.
    """
    with open_container(path) as container:
        timeline = read_timeline(path, container)
        stream = picture_stream(path, container)
        _refuse_cut_off(path, container, stream, timeline)
        return _facts(container, stream, timeline, path.stat().st_size)


def _facts(container: InputContainer, stream: VideoStream, timeline: Timeline, size: int) -> VideoFacts:
    sound = best_sound(container)
    heard = sound is not None and sound.index in timeline.ends
    ends = [timeline.ends[audio.index] for audio in container.streams.audio if audio.index in timeline.ends]
    turned = timeline.rotation % 180 != 0
    width, height = timeline.stored_width, timeline.stored_height
    return VideoFacts(
        duration_s=float(max([timeline.picture_end, *ends])),
        first_frame_s=float(timeline.first),
        last_frame_s=float(timeline.last),
        frame_count=len(timeline.pts),
        fps=_fps(timeline),
        width=height if turned else width,
        height=width if turned else height,
        rotation_deg=timeline.rotation,
        has_audio=heard,
        container=_short_name(container),
        video_codec=_codec_of(stream),
        audio_codec=_codec_of(sound) if heard else None,
        size_bytes=size,
    )


def _fps(timeline: Timeline) -> float:
    if len(timeline.pts) > 1:
        return float((len(timeline.pts) - 1) / (timeline.last - timeline.first))
    return float(1 / (timeline.picture_end - timeline.last))


def _codec_of(stream: object) -> str:
    context = getattr(stream, "codec_context", None)
    return context.codec.canonical_name if context is not None else "unknown"


def _short_name(container: InputContainer) -> str:
    name = container.format.name.split(",")[0]
    if name != "mov":
        return name
    return "mov" if container.metadata.get("major_brand", "").strip() == "qt" else "mp4"


def _refuse_cut_off(path: Path, container: InputContainer, stream: VideoStream, timeline: Timeline) -> None:
    name = container.format.name.split(",")[0]
    if name in _PICTURE_PROMISES:
        promised, found = _promise_of(name, stream, timeline), timeline.picture_end - timeline.seconds(timeline.start)
        tolerance = Fraction(1)
    elif name in _FILE_PROMISES:
        promised, end = _promise_of_file(path, name, container), max(timeline.ends.values())
        # Some writers count from the clock's zero and some from the file's start: believe the one that promises less.
        found, tolerance = max(end, end + timeline.zero), max(Fraction(1), promised / 50)
    else:
        return
    # A second is much of a short video: of those, a tenth may be missing.
    if promised - found > min(tolerance, max(promised / 10, Fraction(1, 10))):
        raise UploadRefused(
            path,
            f"the video is cut off: it ends at second {float(found):.1f}, but its header promises"
            f" {float(promised):.1f} s.",
            "Upload the whole file again. If the original is cut off too, save it anew in a video program first.",
            code="truncated",
        )


def _promise_of(name: str, stream: VideoStream, timeline: Timeline) -> Fraction:
    """Return the length of the picture that the header promises, in seconds; 0 where it promises none."""
    if stream.time_base is None or (stream.frames and len(timeline.pts) >= stream.frames):
        return Fraction(0)  # every frame that the header counts is there
    if name == "avi":  # libav shortens the duration to the size that it finds, but leaves the count of frames
        return stream.frames * stream.time_base
    return (stream.duration or 0) * stream.time_base


def _promise_of_file(path: Path, name: str, container: InputContainer) -> Fraction:
    """Return the length of the whole file that the header promises, in seconds; 0 where it promises none."""
    import av

    if container.duration:
        return Fraction(container.duration, av.time_base)
    return _promise_of_asf(path) if name == "asf" else Fraction(0)


def _promise_of_asf(path: Path) -> Fraction:
    """Return the play duration of an ASF header, which libav forgets when the file is shorter than it says.

    Layout of the File Properties Object: Advanced Systems Format specification 1.2, section 3.2.
    """
    with path.open("rb") as file:
        head = file.read(64 * 1024)
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0 or at + 92 > len(head):
        return Fraction(0)
    played, _, preroll, flags = struct.unpack_from("<QQQI", head, at + 64)
    is_live = flags & 1
    return Fraction(0) if is_live else Fraction(played, 10_000_000) - Fraction(preroll, 1000)
