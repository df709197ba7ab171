"""When each frame of a video is shown, from the packets' own time stamps.

Belongs here: one pass over a file's packets without decoding them. Does not belong here: judging the file (``probe``)
and its pictures (``sampling``). Times are exact fractions of a second, because ``k * interval`` has to compare
exactly.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bri_assets.errors import UploadRefused
from bri_assets.media.containers import best_sound, no_video, open_container, read_packets, zero_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Timeline", "picture_stream", "read_timeline", "timeline_of"]

#: Video packets within which a first frame must decode: a broadcast that was joined midway, or one damaged group of
#: pictures (at most 300 frames in common encoders), may precede it.
_FIRST_FRAME_WITHIN = 600


@dataclass(frozen=True, eq=False)
class Timeline:
    """The time stamps of a video and what its first frame looks like.

    Attributes:
        zero: the container's start on its own clock, seconds.
        time_base: seconds in one tick of the video stream.
        start: the video stream's own start, in ticks.
        pts: (frames,) int64, ascending and each once: when each shown frame is shown, in ticks. At least one.
        picture_end: when the last frame ends, in seconds from ``zero``.
        ends: by stream index, when the stream's last packet ends, in seconds from ``zero``; streams without a packet
            are missing.
        packets: how many packets the file holds, of all streams.
        stream_index: which stream is the picture.
        is_first: no other video stream comes before it.
        rotation: degrees by which the stored picture has to be turned clockwise: 0, 90, 180 or 270.
        stored_width: pixels, before turning.
        stored_height: pixels, before turning.
    """

    zero: Fraction
    time_base: Fraction
    start: int
    pts: NDArray[np.int64]
    picture_end: Fraction
    ends: dict[int, Fraction]
    packets: int
    stream_index: int
    is_first: bool
    rotation: int
    stored_width: int
    stored_height: int

    def seconds(self, pts: int) -> Fraction:
        """Return the time of a tick of the video stream, in seconds from the container's start."""
        return pts * self.time_base - self.zero

    @property
    def first(self) -> Fraction:
        """When the first frame is shown, in seconds from the container's start."""
        return self.seconds(int(self.pts[0]))

    @property
    def last(self) -> Fraction:
        """When the last frame is shown, in seconds from the container's start."""
        return self.seconds(int(self.pts[-1]))


def timeline_of(path: Path) -> Timeline:
    """Open a file and read its timeline.

    Raises:
        UploadRefused: as ``open_container`` and ``read_timeline``.
    """
    with open_container(path) as container:
        return read_timeline(path, container)


def picture_stream(path: Path, container: InputContainer) -> VideoStream:
    """Return the video stream that libav calls the best, cover art aside.

    Raises:
        UploadRefused: code ``no_picture`` (sound only, or sound with cover art); ``not_a_video`` (neither).
    """
    from av.stream import Disposition

    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if moving:
        best = container.streams.best("video")
        return next((stream for stream in moving if best is not None and stream.index == best.index), moving[0])
    if not _holds_sound(container):
        raise no_video(path, "there is no picture and no sound in it")
    cover = "only a still cover picture" if container.streams.video else "no picture"
    raise UploadRefused(
        path, f"the file holds sound but {cover}.", "Upload the video that the sound belongs to.", code="no_picture"
    )


def read_timeline(path: Path, container: InputContainer) -> Timeline:
    """Read all packets of an open container, holding one number a frame, and decode the first frame.

    Raises:
        UploadRefused: code ``no_picture``, ``not_a_video``; ``truncated`` (a picture is announced, but no frame
            follows); ``undecodable`` (none of the first 600 frames decodes).
    """
    stream = picture_stream(path, container)
    zero = zero_of(container)
    if stream.time_base is None:
        raise no_video(path, "its picture has no clock")
    reader = _Reader(stream, zero)
    for packet in read_packets(container):
        reader.read(packet)
    if not reader.pts:
        raise UploadRefused(
            path,
            "the file announces a picture but holds no frame of it: it is cut off or still being copied.",
            "Upload the whole file again.",
            code="truncated",
        )
    frame = reader.first_frame()
    if frame is None:
        codec = stream.codec_context.name if stream.codec_context else "an unknown codec"
        raise UploadRefused(
            path,
            f"the picture cannot be decoded ({codec}).",
            "Check that it plays elsewhere; convert it to H.264 in MP4 or upload an undamaged copy.",
            code="undecodable",
        ) from reader.error
    pts = np.unique(np.frombuffer(reader.pts, np.int64))
    return Timeline(
        zero=zero,
        time_base=stream.time_base,
        start=stream.start_time if stream.start_time is not None else int(pts[0]),
        pts=pts,
        picture_end=int(pts[-1]) * stream.time_base - zero + reader.last_length(),
        ends=reader.ends,
        packets=reader.packets,
        stream_index=stream.index,
        is_first=stream.index == container.streams.video[0].index,
        rotation=-frame.rotation % 360 if frame.rotation % 90 == 0 else 0,
        stored_width=frame.width,
        stored_height=frame.height,
    )


class _Reader:
    """What is gathered while the packets go by."""

    def __init__(self, stream: VideoStream, zero: Fraction) -> None:
        self.pts = array("q")
        self.ends: dict[int, Fraction] = {}
        self.packets = 0
        self.error: Exception | None = None
        self._stream, self._zero = stream, zero
        self._frame: VideoFrame | None = None
        self._tried = 0
        self._last = (-(2**63), 0)
        self._hides = stream.codec_context is not None and stream.codec_context.name == "vp8"

    def read(self, packet: Packet[Any]) -> None:
        self.packets += 1
        stamp = packet.pts if packet.pts is not None else packet.dts
        is_picture = packet.stream_index == self._stream.index
        if is_picture:
            self._decode(packet)
        if stamp is None or packet.time_base is None or packet.is_discard:
            return
        end = (stamp + (packet.duration or 0)) * packet.time_base - self._zero
        self.ends[packet.stream_index] = max(end, self.ends.get(packet.stream_index, end))
        if is_picture and stamp * packet.time_base >= self._zero and not self._is_hidden(packet):
            self.pts.append(stamp)
            self._last = max(self._last, (stamp, packet.duration or 0))

    def first_frame(self) -> VideoFrame | None:
        """Return the first decoded frame, asking the decoder for what it still holds back."""
        if self._frame is None:
            self._decode(None)
        return self._frame

    def last_length(self) -> Fraction:
        """Return how long the last frame lasts; without a duration of its own, one frame at the average rate."""
        if self._last[1] > 0 and self._stream.time_base is not None:
            return self._last[1] * self._stream.time_base
        rate = self._stream.average_rate or self._stream.guessed_rate
        return 1 / Fraction(rate) if rate else Fraction(1, 25)

    def _decode(self, packet: Packet[Any] | None) -> None:
        import av

        if self._frame is not None or self._tried > _FIRST_FRAME_WITHIN:
            return
        self._tried += 1
        try:
            frames = self._stream.decode(packet)
        except av.error.FFmpegError as error:  # damage, or a stream joined midway: the next packets may do
            self.error = error
        else:
            self._frame = frames[0] if frames else None

    def _is_hidden(self, packet: Packet[Any]) -> bool:
        """Return whether a VP8 frame is only there for others to refer to (show_frame, RFC 6386, 9.1)."""
        return self._hides and not (memoryview(packet)[0] >> 4) & 1


def _holds_sound(container: InputContainer) -> bool:
    """Return whether a sound can be decoded: any bytes may pass for an MP3 until somebody listens."""
    import av

    stream = best_sound(container)
    if stream is None:
        return False
    for packet in islice(read_packets(container, stream), 50):
        try:
            if stream.decode(packet):
                return True
        except av.error.FFmpegError:  # damage; the packets after it may be sound
            continue
    return False
