"""Weights on disk: found, verified, never trusted blindly, never fetched."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from bri_assets.errors import WeightsDamaged, WeightsMissing
from bri_assets.models.weights import (
    Record,
    Weights,
    folder_sha256,
    locate_captioner,
    locate_detector,
    locate_embedder,
    locate_transcriber,
    named_path,
    record_path,
)

pytestmark = pytest.mark.usefixtures("no_network")

_LOCATE = {
    "detector": locate_detector,
    "transcriber": locate_transcriber,
    "captioner": locate_captioner,
    "embedder": locate_embedder,
}


def _put(weights_dir: Path, data: bytes = b"weights") -> Path:
    path = named_path("detector", "some.pt", weights_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    record = Record("some.pt", "a test", hashlib.sha256(data).hexdigest(), "2026-01-01T00:00:00+00:00")
    record_path(path).write_text(record.to_json())
    return path


@pytest.mark.parametrize(
    ("kind", "model", "ways"),
    [
        ("detector", "yolo26n.pt", ["bri models pull", "BRI_DETECTOR_MODEL"]),
        ("transcriber", "base", ["bri models pull", "BRI_TRANSCRIBER_MODEL"]),
        (
            "captioner",
            "Salesforce/blip-image-captioning-base",
            ["bri models pull", "BRI_CAPTIONER_MODEL", "BRI_CAPTIONER=objects", "auto"],
        ),
        (
            "embedder",
            "sentence-transformers/all-MiniLM-L6-v2",
            ["bri models pull", "BRI_EMBEDDER_MODEL", "local folder"],
        ),
    ],
)
def test_missing_weights_name_the_ways_out(kind: str, model: str, ways: list[str], tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        _LOCATE[kind](model, tmp_path)
    assert caught.value.subject == model
    for way in ways:
        assert way in caught.value.remedy


@pytest.mark.parametrize("model", ["/no/such/file.pt", "../x.pt", "~/none.pt", "a/b", "", ".hidden", "a b"])
def test_what_is_neither_a_path_nor_a_name_is_missing(model: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no such path"):
        locate_detector(model, tmp_path)


def test_real_weights_are_found_by_name_with_and_without_suffix(yolo: Weights, models_dir: Path) -> None:
    assert locate_detector("yolo26n.pt", models_dir) == locate_detector("yolo26n", models_dir) == yolo
    assert yolo.sha256 == hashlib.sha256(yolo.path.read_bytes()).hexdigest()
    assert yolo.path.stat().st_size == 5_544_453


def test_changed_bytes_are_damaged(tmp_path: Path) -> None:
    path = _put(tmp_path)
    assert locate_detector("some", tmp_path).source == "a test"
    path.write_bytes(b"Weights")
    with pytest.raises(WeightsDamaged, match="bri models pull"):
        locate_detector("some", tmp_path)


@pytest.mark.parametrize("record", [None, "{", "[]", '{"model": "some.pt"}'])
def test_weights_that_nothing_vouches_for_are_damaged(record: str | None, tmp_path: Path) -> None:
    path = _put(tmp_path)
    if record is None:
        record_path(path).unlink()
    else:
        record_path(path).write_text(record)
    with pytest.raises(WeightsDamaged, match="nothing vouches"):
        locate_detector("some", tmp_path)


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _put(tmp_path)
    locate_detector("some", tmp_path)
    opened: list[Path] = []
    original = Path.open

    def counted(self: Path, *args: str, **kwargs: str) -> object:
        opened.append(self)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", counted)
    locate_detector("some", tmp_path)
    assert path not in opened
    os.utime(path, ns=(1, 1))
    locate_detector("some", tmp_path)
    assert path in opened


def test_a_local_path_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.pt").write_bytes(b"mine")
    monkeypatch.chdir(tmp_path)
    weights = locate_detector("./mine.pt", tmp_path / "none")
    assert weights == locate_detector(str(tmp_path / "mine.pt"), tmp_path / "none")
    assert (weights.is_local_path, weights.sha256) == (True, hashlib.sha256(b"mine").hexdigest())
    assert not (tmp_path / "none").exists()
    with pytest.raises(WeightsMissing):
        locate_detector("mine.pt", tmp_path / "none")  # a bare name is a name, whatever lies in the current folder


def test_a_file_is_no_captioner_and_a_folder_no_detector(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(WeightsMissing, match="are a folder"):
        locate_captioner(f"{tmp_path}/file", tmp_path)
    with pytest.raises(WeightsMissing, match="are a folder"):
        locate_embedder(f"{tmp_path}/file", tmp_path)
    with pytest.raises(WeightsMissing, match="are a file"):
        locate_detector(f"{tmp_path}/folder", tmp_path)
    with pytest.raises(WeightsDamaged, match="no model"):
        locate_captioner(f"{tmp_path}/folder", tmp_path)


def test_a_folders_hash_is_what_sha256sum_gives(tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json", "vocab.txt", "tf_model.h5", "pytorch_model.bin"):
        (tmp_path / name).write_text(name)
    command = "sha256sum config.json model.safetensors vocab.txt | sha256sum"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert folder_sha256(tmp_path) == done.stdout.split()[0]
