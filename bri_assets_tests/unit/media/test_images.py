"""Frame images: whole and proven, or not there."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from bri_assets.errors import ImageDamaged, StorageFailed
from bri_assets.files import sha256_file, sync_folder
from bri_assets.media.images import write_image
from bri_assets_tests.clips import picture_of, read_index
from bri_assets_tests.unit.media.refusals import unprivileged

IMAGE = np.ascontiguousarray(picture_of(1234, 160, 120)[:, :, ::-1])
NOISE = np.random.default_rng(7).integers(0, 256, (480, 640, 3), dtype=np.uint8)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Let the kernel refuse writes beyond a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_reported_is_what_lies_on_disk(tmp_path):
    stored = write_image(IMAGE, tmp_path / "new" / "folder", 7, 90)
    content = stored.path.read_bytes()
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert stored.path.name == f"000007-{stored.sha256[:12]}.jpg"
    assert (stored.width, stored.height) == (160, 120)
    assert read_index(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)) == 1234
    assert os.listdir(stored.path.parent) == [stored.path.name]
    sync_folder(stored.path.parent)


def test_the_same_image_again_is_kept_and_not_written(tmp_path):
    first = write_image(IMAGE, tmp_path, 7, 90)
    before = first.path.stat()
    assert write_image(IMAGE, tmp_path, 7, 90) == first
    after = first.path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_another_image_of_the_same_frame_lies_beside_the_first(tmp_path):
    first, second = write_image(IMAGE, tmp_path, 7, 90), write_image(IMAGE, tmp_path, 7, 40)
    assert first.path != second.path
    assert sha256_file(first.path) == first.sha256
    assert second.path.stat().st_size < first.path.stat().st_size


@pytest.mark.parametrize("content", [b"", b"something else", None])
def test_a_damaged_file_of_that_name_is_refused_and_not_overwritten(tmp_path, content):
    path = write_image(IMAGE, tmp_path, 7, 90).path
    content = path.read_bytes()[:-10] if content is None else content
    path.write_bytes(content)
    with pytest.raises(ImageDamaged, match="does not hold the image"):
        write_image(IMAGE, tmp_path, 7, 90)
    assert path.read_bytes() == content


def test_a_full_disk_is_named_with_what_was_needed_and_leaves_nothing(tmp_path):
    with no_file_larger_than(50_000), pytest.raises(StorageFailed, match=r"\d{6} bytes could not be stored.*EFBIG"):
        write_image(NOISE, tmp_path, 7, 90)
    assert os.listdir(tmp_path) == []
    assert write_image(NOISE, tmp_path, 7, 90).path.exists()


def test_a_folder_that_is_a_file_is_a_storage_failure(tmp_path):
    (tmp_path / "frames").write_bytes(b"")
    with pytest.raises(StorageFailed, match="could not be stored"):
        write_image(IMAGE, tmp_path / "frames", 7, 90)


def test_a_folder_without_permission_is_a_storage_failure_that_says_so():
    with unprivileged() as folder:
        folder.chmod(0o500)
        with pytest.raises(StorageFailed, match=r"EACCES.*permission"):
            write_image(IMAGE, folder, 7, 90)


def test_a_missing_folder_is_an_error_of_ours(tmp_path):
    with pytest.raises(StorageFailed):
        sync_folder(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("image", "index", "quality"),
    [
        (IMAGE[:, :, 0], 0, 90),
        (IMAGE.astype(np.float32), 0, 90),
        (IMAGE[:0], 0, 90),
        (IMAGE, -1, 90),
        (IMAGE, 0, 0),
        (IMAGE, 0, 101),
        (np.zeros((1, 65_501, 3), np.uint8), 0, 90),
    ],
)
def test_what_is_no_image_or_out_of_range_is_a_mistake_of_the_caller(tmp_path, image, index, quality):
    with pytest.raises(ValueError, match=r"image|frame_index|JPEG"):
        write_image(image, tmp_path, index, quality)
    assert os.listdir(tmp_path) == []


def test_perceptual_hashes_are_near_for_like_pictures_and_far_for_others(tmp_path):
    def distance(a: str, b: str) -> int:
        return (int(a, 16) ^ int(b, 16)).bit_count()

    smooth = cv2.GaussianBlur(NOISE, (0, 0), 40)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    plain = write_image(smooth, tmp_path, 0, 95).phash
    brighter = write_image(cv2.convertScaleAbs(smooth, alpha=0.8, beta=30), tmp_path, 1, 60).phash
    other = write_image(np.ascontiguousarray(smooth[::-1, ::-1]), tmp_path, 2, 95).phash
    assert len(plain) == 16
    assert distance(plain, brighter) <= 6
    assert distance(plain, other) >= 16
