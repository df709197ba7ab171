"""Opening an upload with PyAV: local files in known containers only, and its clock.

Belongs here: what probing, sampling and decoding sound share about the file around the streams. Does not belong here:
what the streams hold.

A playlist (HLS, DASH, a concat script, SDP, an image sequence) would make the library open other files or URLs, so
formats are a closed list, and of the protocols only plain files are allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bri_assets.errors import UploadRefused
from bri_assets.media.fingerprint import require_file

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

__all__ = ["best_sound", "no_video", "open_container", "read_packets", "zero_of"]

_VIDEO_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,live_flv,ogg,asf,mxf"
#: Opened only to be able to say "this is sound without a picture".
_AUDIO_FORMATS = "mp3,wav,flac,aac,aiff,ac3,eac3,amr,caf,w64"
#: Brands of ISO files that hold pictures (ISO/IEC 23008-12, AVIF): a photo, or a sequence of them without a clock.
_IMAGE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_ISO_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp", b"sidx", b"uuid"}
#: How files begin whose container keeps what is needed at its front: if they cannot be opened, more than that is
#: missing.
_MAGICS = (
    b"\x1aE\xdf\xa3",
    b"FLV\x01",
    b"OggS",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01",
)
#: Unreadable places in a row after which reading on is given up.
_MOST_ERRORS = 100


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a local media file for reading; PyAV's errors inside the block become ours.

    Args:
        path: the file; any name, also ``%03d.mp4``, ``-x.mp4`` or ``http:x.mp4``.

    Raises:
        UploadRefused: code ``missing``, ``unreadable``, ``empty``, ``not_a_video`` or ``truncated``.
    """
    import av

    if require_file(path).st_size == 0:
        raise UploadRefused(path, "the file is empty (0 bytes).", "Upload it again.", code="empty")
    options = {"format_whitelist": f"{_VIDEO_FORMATS},{_AUDIO_FORMATS}", "protocol_whitelist": "file"}
    try:
        if _is_photo(_head(path)):
            raise no_video(path, "it is a photo")
        # An absolute path begins with a slash and therefore is never taken for a URL, an option or a pattern.
        with av.open(str(path.absolute()), options=options, metadata_errors="replace") as container:
            yield container
    except OSError as error:
        raise UploadRefused(
            path,
            f"the file cannot be read: {error.strerror}.",
            "Give the account that runs the ingest permission to read it, or upload it again.",
            code="unreadable",
        ) from error
    except av.error.FFmpegError as error:
        raise no_video(path, "no video format is recognised in it") from error


def no_video(path: Path, why: str) -> UploadRefused:
    """Return the refusal of a file in which no video is found: it is something else, or the rest of it is missing.

    Args:
        path: the file.
        why: what was looked for in vain, a sentence without its full stop.
    """
    if _looks_cut_off(path):
        return UploadRefused(
            path,
            "the video is cut off or still being copied: the part that says where its frames lie is missing.",
            "Upload the whole file again, after the recording or the copy has finished.",
            code="truncated",
        )
    return UploadRefused(
        path,
        f"this is not a video file: {why}.",
        "Upload a video, for example an MP4, MOV, MKV, WebM, AVI or MPEG file.",
        code="not_a_video",
    )


def zero_of(container: InputContainer) -> Fraction:
    """Return the container's start on its own clock, in seconds: the zero of all our times.

    PyAV gives it rounded to 1 µs; where a stream starts there, the stream's exact start is taken, so that
    ``k * interval`` compares exactly.
    """
    import av

    starts = [
        Fraction(stream.start_time) * stream.time_base
        for stream in container.streams
        if stream.start_time is not None and stream.time_base is not None
    ]
    told = cast("int | None", container.start_time)  # PyAV's type leaves out that a file may not say
    if told is None:
        return min(starts, default=Fraction(0))
    rounded = Fraction(told, av.time_base)
    nearest = min(starts, key=lambda start: abs(start - rounded), default=rounded)
    return nearest if abs(nearest - rounded) <= Fraction(1, av.time_base) else rounded


def best_sound(container: InputContainer) -> AudioStream | None:
    """Return the sound track that libav calls the best, None if there is none."""
    import av

    stream = container.streams.best("audio")
    return stream if isinstance(stream, av.AudioStream) else None


def read_packets(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """Yield the packets of the given streams (all when none is given) to the end of the file, reading over damage.

    Packets that hold nothing (the library marks the end with them) are left out.
    """
    import av

    errors = 0
    while errors < _MOST_ERRORS:
        try:
            for packet in container.demux(*streams):
                if packet.size:
                    errors = 0
                    yield packet
        except av.error.InvalidDataError:  # one place that cannot be read; reading goes on behind it
            errors += 1
        else:
            return


def _looks_cut_off(path: Path) -> bool:
    """Return whether a file that cannot be opened begins like a video, so that its rest must be what is missing.

    An MP4 or MOV (ISO/IEC 14496-12, 4.2) is a row of boxes, each with its size and type; it is cut off if a box is
    longer than the file or the index (``moov``) is not among them.

    Raises:
        OSError: the file cannot be read.
    """
    head = _head(path)
    if _is_photo(head):
        return False
    if head[4:8] not in _ISO_BOXES:
        return head.startswith(_MAGICS) or (head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b""))
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if length < 8 or at + length > size:
                return True
            if header[4:8] == b"moov":
                return False
            at += length
    return True


def _is_photo(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)
