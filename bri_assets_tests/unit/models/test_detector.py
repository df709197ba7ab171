"""YOLO26n on the sample clip's frames."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from bri_assets.errors import ImageDamaged, ModelFailed, WeightsDamaged, WeightsMissing
from bri_assets.models import detector as module
from bri_assets.models.detector import Detection, Detector
from bri_assets.models.frame import FrameImage
from bri_assets.models.weights import Weights, record_path

from .conftest import store


@pytest.fixture
def detector(yolo: Weights, models_dir: Path) -> Detector:
    return Detector(model="yolo26n.pt", weights_dir=str(models_dir), device="cpu")


def _nothing(done: int, total: int) -> None:
    pass


def _classes(found: list[Detection], frame_index: int) -> set[str]:
    return {one.class_name for one in found if one.frame_index == frame_index}


@pytest.mark.usefixtures("no_network")
def test_it_sees_what_is_in_each_scene(
    detector: Detector, frames: list[FrameImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reports: list[tuple[int, int]] = []
    found = detector.detect(frames, lambda done, total: reports.append((done, total)))
    assert len(frames) == 12
    assert reports == [(8, 12), (12, 12)]
    for index in range(12):
        expected = {"person"} if index < 4 else {"cat"} if index < 8 else {"cup", "dining table"}
        assert expected <= _classes(found, index), index
    assert list(tmp_path.iterdir()) == []  # no runs folder, no files


def test_rows_are_ordered_numbered_and_inside_their_frame(detector: Detector, frames: list[FrameImage]) -> None:
    found = replace_threshold(detector, 0.01).detect(frames, _nothing)
    keys = [(one.frame_index, -one.confidence, one.class_id, one.x1, one.y1, one.x2, one.y2) for one in found]
    assert keys == sorted(keys)
    for frame in frames:
        numbers = [one.detection_index for one in found if one.frame_index == frame.frame_index]
        assert numbers == list(range(len(numbers)))
    for one in found:
        assert 0 <= one.x1 < one.x2 <= 640
        assert 0 <= one.y1 < one.y2 <= 360
        assert 0.01 <= one.confidence <= 1
        assert type(one.confidence) is float
    assert len(found) > 40


def replace_threshold(detector: Detector, threshold: float) -> Detector:
    return detector.model_copy(update={"threshold": threshold})


def test_the_threshold_keeps_what_is_equal(detector: Detector, frames: list[FrameImage]) -> None:
    every = replace_threshold(detector, 0.05).detect(frames[8:9], _nothing)
    middle = every[len(every) // 2].confidence
    kept = replace_threshold(detector, middle).detect(frames[8:9], _nothing)
    assert kept == [one for one in every if one.confidence >= middle]
    assert kept[-1].confidence == middle


def test_it_gives_the_same_twice_and_order_of_batches_does_not_matter(
    detector: Detector, frames: list[FrameImage]
) -> None:
    assert detector.detect(frames, _nothing) == detector.detect(frames, _nothing)
    backwards = detector.detect(frames[::-1], _nothing)
    assert list(dict.fromkeys(one.frame_index for one in backwards)) == list(range(11, -1, -1))


def test_no_frames_need_no_model() -> None:
    assert Detector(model="none", weights_dir="nowhere").detect([], _nothing) == []


def test_a_picture_of_nothing_has_no_detections(detector: Detector, tmp_path: Path) -> None:
    grey = store(np.full((90, 160, 3), 128, dtype=np.uint8), tmp_path / "grey.jpg", 5)
    assert detector.detect([grey], _nothing) == []


def test_frames_of_several_sizes_go_together(detector: Detector, frames: list[FrameImage], tmp_path: Path) -> None:
    small = store(np.full((64, 48, 3), 9, dtype=np.uint8), tmp_path / "small.jpg", 99)
    found = detector.detect([frames[5], small], _nothing)
    assert [one.class_name for one in found] == ["cat"]


def test_a_damaged_missing_or_swapped_image_names_its_frame(
    detector: Detector, frames: list[FrameImage], tmp_path: Path
) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8 not much of a picture")
    (tmp_path / "empty.jpg").touch()
    cases = {
        "cut.jpg": "not an image",
        "empty.jpg": "not an image",
        "none.jpg": "cannot be read",
    }
    for name, what in cases.items():
        with pytest.raises(ImageDamaged, match=f"frame 7 .*{name}.*{what}"):
            detector.detect([replace(frames[7], path=tmp_path / name)], _nothing)
    with pytest.raises(ImageDamaged, match="640×360, but its frame is 640×480"):
        detector.detect([replace(frames[7], height=480)], _nothing)


def test_a_model_that_raises_names_the_frames_and_the_cause(
    detector: Detector, frames: list[FrameImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector.detect(frames[:1], _nothing)
    monkeypatch.setattr(module, "_IMAGE_SIZE", "large")
    with pytest.raises(ModelFailed, match="frames 8 to 10") as caught:
        detector.detect(frames[8:11], _nothing)
    assert caught.value.__cause__ is not None


def test_missing_and_damaged_weights(frames: list[FrameImage], tmp_path: Path, yolo: Weights) -> None:
    detector = Detector(model="yolo26n.pt", weights_dir=str(tmp_path), device="cpu")
    for use in (detector.identity, lambda: detector.detect(frames, _nothing)):
        with pytest.raises(WeightsMissing, match="bri models pull"):
            use()
    (tmp_path / "detector").mkdir()
    data = bytearray(yolo.path.read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "detector" / "yolo26n.pt"
    path.write_bytes(data)
    record_path(path).write_bytes(record_path(yolo.path).read_bytes())
    for use in (detector.identity, lambda: detector.detect(frames, _nothing)):
        with pytest.raises(WeightsDamaged, match="SHA-256"):
            use()


def test_a_file_that_is_no_yolo_cannot_be_loaded(frames: list[FrameImage], tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(b"this is not a model")
    detector = Detector(model=str(tmp_path / "mine.pt"), weights_dir=str(tmp_path), device="cpu")
    with pytest.raises(ModelFailed, match="BRI_DETECTOR_MODEL") as caught:
        detector.detect(frames[:1], _nothing)
    assert caught.value.__cause__ is not None


def test_the_identity_tells_results_apart_and_is_json(detector: Detector, yolo: Weights) -> None:
    identity = detector.identity()
    assert json.loads(json.dumps(asdict(identity))) == asdict(identity)
    assert (identity.tool, identity.model, identity.weights_sha256) == ("ultralytics", "yolo26n.pt", yolo.sha256)
    assert identity.parameters["threshold"] == 0.25
    assert identity == detector.model_copy(update={"batch_size": 2}).identity()
    assert identity != replace_threshold(detector, 0.5).identity()


def test_it_leaves_the_processs_threads_and_home_alone(yolo: Weights, models_dir: Path, tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((64, 64, 3), dtype=np.uint8))
    code = (
        "import sys, torch, pathlib; torch.set_num_threads(3)\n"
        "from bri_assets.models.detector import Detector\n"
        "from bri_assets.models.frame import FrameImage\n"
        "d = Detector(model='yolo26n.pt', weights_dir=sys.argv[1], device='cpu')\n"
        "d.detect([FrameImage(0, pathlib.Path('a.jpg'), 64, 64)], lambda a, b: None)\n"
        "print(torch.get_num_threads())\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(models_dir)],
        cwd=tmp_path,
        env=_environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "3"
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "home"]


def _environment(home: Path) -> dict[str, str]:
    import os

    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "PYTHON", "LD_", "VIRTUAL"))}
    return {**kept, "HOME": str(home)}
