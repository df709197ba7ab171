"""Taking pictures out of a video at regular times.

Sample k is the first frame at or after k * interval; a slot that holds no frame (a gap in the video) is recorded as
empty. Belongs here: which frame belongs to which slot, and decoding it. Does not belong here: storing pictures
(``images``) and recording empty slots (``assets``).

OpenCV decodes. It tells a frame's time only relative to the video stream's start and as a float, so that is turned
back into the exact time stamp of the packet. Its ``CAP_PROP_PTS`` is rounded to whole frames of a constant rate. It
always takes the first video stream and wants a name in UTF-8: where that does not fit, PyAV decodes.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bri_assets.errors import UploadRefused
from bri_assets.media.containers import open_container, read_packets
from bri_assets.media.timeline import Timeline, picture_stream, timeline_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["Image", "SampledFrame", "expected_slots", "sample_frames"]

#: (height, width, 3) BGR.
Image = NDArray[np.uint8]
#: A frame's time stamp in ticks (None: the decoder did not say) and how to get its picture (None: it cannot be had).
_Grabbed = tuple[int | None, Callable[[], Image | None]]

#: The last decoded frame may lie this many seconds before the last packet.
_END_TOLERANCE_S = 1
#: Packets of other streams that OpenCV reads over before it gives up for once (OPENCV_FFMPEG_READ_ATTEMPTS).
_OPENCV_PATIENCE = 4096


@dataclass(frozen=True, eq=False)
class SampledFrame:
    """One picture of a video.

    Attributes:
        frame_index: the slot k; >= 0, growing, with holes where slots are empty.
        timestamp_s: when the frame is shown, in seconds from the container's start; in [k, k + 1) * interval.
        image: (height, width, 3) BGR, upright.
    """

    frame_index: int
    timestamp_s: float
    image: Image


def expected_slots(video: Path | Fraction | float, interval_s: Decimal) -> int:
    """Return how many slots a video has: k = 0 … floor(time of the last frame / interval_s).

    Args:
        video: the file, whose time stamps are then read; or when its last frame is shown
            (``VideoFacts.last_frame_s``), in seconds from the container's start, >= 0. A float is taken for the
            simplest fraction that rounds to it: a time stamp is a whole number of ticks, and 2.1 must lie in the same
            slot as 21/10.
        interval_s: seconds between two slots; > 0.

    Raises:
        UploadRefused: as ``probe``, where a file is given.
        ValueError: the interval is not > 0.
    """
    interval = _checked(interval_s)
    if isinstance(video, Path):
        last = timeline_of(video).last
    else:
        last = video if isinstance(video, Fraction) else _simplest(video)
    return math.floor(last / interval) + 1


def sample_frames(path: Path, interval_s: Decimal) -> Iterator[SampledFrame]:
    """Yield the first frame of each slot that holds one, in the order of time, with one frame in memory.

    The whole file is read twice: once for its time stamps, once to decode it. Frames that cannot be decoded in the
    middle of the file are passed over; a slot that loses all its frames that way is empty.

    Args:
        path: a file that ``probe`` accepts.
        interval_s: seconds between two slots; > 0.

    Raises:
        UploadRefused: as ``probe``; code ``undecodable`` also if decoding ends more than 1 s before the last frame.
        ValueError: the interval is not > 0.
    """
    interval = _checked(interval_s)
    timeline = timeline_of(path)
    order, slot = _Order(timeline), -1
    for stamp, picture in _grab(path, timeline):
        pts = order.place(stamp)
        if pts is None:
            continue
        time = timeline.seconds(pts)
        if math.floor(time / interval) > slot and (image := picture()) is not None:
            slot = math.floor(time / interval)
            yield SampledFrame(slot, float(time), _upright(image, timeline.rotation))
    _refuse_early_end(path, timeline, order.last)


class _Order:
    """Finds a decoded frame among the time stamps of the packets."""

    def __init__(self, timeline: Timeline) -> None:
        #: Time stamp of the latest frame, in ticks.
        self.last: int | None = None
        self._pts = timeline.pts
        self._next = 0

    def place(self, stamp: int | None) -> int | None:
        """Return the frame's own time stamp in ticks; None if it was there before or is not to be shown.

        A frame without a time stamp that any packet has follows the frame before it: decoders give frames in the
        order in which they are shown.
        """
        at = self._next
        if stamp is not None:
            if stamp < self._pts[0] or (self.last is not None and stamp <= self.last):
                return None
            found = bisect_left(self._pts, stamp, lo=self._next)
            at = found if found < len(self._pts) and self._pts[found] == stamp else at
        if at >= len(self._pts):
            return None
        self.last, self._next = int(self._pts[at]), at + 1
        return self.last


def _grab(path: Path, timeline: Timeline) -> Iterator[_Grabbed]:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return _grab_with_pyav(path)
    return _grab_with_opencv(path, timeline) if timeline.is_first else _grab_with_pyav(path)


def _grab_with_opencv(path: Path, timeline: Timeline) -> Iterator[_Grabbed]:
    import cv2

    # The backend is named so that a name with %03d is never read as a series of pictures.
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # turned by us, by the angle that the probe reports

        def picture() -> Image | None:
            done, image = capture.retrieve()
            return image.astype(np.uint8, copy=False) if done else None

        # grab() fails for once at a packet that is damaged and in a long stretch of sound; only a run of failures
        # longer than the file is its end.
        patience = 8 + len(timeline.pts) + timeline.packets // _OPENCV_PATIENCE
        failures, is_first = 0, True
        while failures <= patience:
            if not capture.grab():
                failures += 1
                continue
            failures = 0
            seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            unsaid = seconds == 0 and not is_first  # what OpenCV says of a frame without a time stamp
            yield None if unsaid else timeline.start + round(seconds / float(timeline.time_base)), picture
            is_first = False
    finally:
        capture.release()


def _grab_with_pyav(path: Path) -> Iterator[_Grabbed]:
    import av

    with open_container(path) as container:
        stream = picture_stream(path, container)
        stream.thread_type = "AUTO"
        for packet in chain(read_packets(container, stream), [None]):  # None: what the decoder still holds back
            try:
                frames = stream.decode(packet)
            except av.error.InvalidDataError:  # damaged; its slot may become empty
                continue
            for frame in frames:
                yield frame.pts, partial(_picture_of, frame)


def _picture_of(frame: VideoFrame) -> Image:
    return frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)


def _upright(image: Image, rotation: int) -> Image:
    import cv2

    if rotation == 0:
        return image
    turns = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return cv2.rotate(image, turns[rotation]).astype(np.uint8, copy=False)


def _refuse_early_end(path: Path, timeline: Timeline, last: int | None) -> None:
    end = timeline.first if last is None else timeline.seconds(last)
    if last is not None and timeline.last - end <= _END_TOLERANCE_S:
        return
    raise UploadRefused(
        path,
        f"the picture cannot be decoded after second {float(end):.1f}, though the file goes on to second"
        f" {float(timeline.last):.1f}: it is damaged there.",
        "Check that it plays to its end elsewhere, and upload an undamaged copy.",
        code="undecodable",
    )


def _checked(interval_s: Decimal) -> Fraction:
    interval = Fraction(interval_s)
    if interval <= 0:
        raise ValueError(f"the interval must be more than 0 s, not {interval_s}")
    return interval


def _simplest(seconds: float) -> Fraction:
    """Return the fraction with the least denominator, to a factor of 2, that is this float."""
    limit = 1
    while float(found := Fraction(seconds).limit_denominator(limit)) != seconds:
        limit *= 2
    return found
