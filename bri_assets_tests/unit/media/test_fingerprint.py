"""Which bytes a file holds, and what happens when they change under the reader."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from bri_assets.errors import UploadChanged, UploadRefused
from bri_assets.files import sha256_file
from bri_assets.media.fingerprint import Signature, assert_unchanged, fingerprint
from bri_assets_tests.unit.media.refusals import odd_files, unprivileged


def test_the_hash_is_that_of_all_bytes_of_a_file_larger_than_a_chunk(tmp_path):
    content = bytes(range(256)) * (40_000) + b"end"
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    sha256, signature = fingerprint(path)
    assert sha256 == hashlib.sha256(content).hexdigest() == sha256_file(path)
    assert signature.size == len(content)


def test_a_signature_survives_being_stored_as_text(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    signature = Signature.of(tmp_path / "a")
    assert Signature.parse(str(signature)) == signature


@pytest.mark.parametrize("text", ["", "1-2-3-4", "1-2-3-4-5-6", "1-2-3-4-five"])
def test_text_that_is_no_signature_is_refused(text):
    with pytest.raises(ValueError, match=r"signature|invalid literal"):
        Signature.parse(text)


def test_a_file_that_grows_while_it_is_hashed_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"abc")

    def hash_while_somebody_writes(read: Path) -> str:
        sha256 = sha256_file(read)
        with read.open("ab") as file:
            file.write(b"x")
        return sha256

    monkeypatch.setattr("bri_assets.media.fingerprint.sha256_file", hash_while_somebody_writes)
    with pytest.raises(UploadChanged, match="changed while it was read"):
        fingerprint(path)


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_noticed(tmp_path):
    path, other = tmp_path / "a.mp4", tmp_path / "b.mp4"
    path.write_bytes(b"abc")
    _, signature = fingerprint(path)
    other.write_bytes(b"xyz")
    os.utime(other, ns=(signature.mtime_ns, signature.mtime_ns))
    os.replace(other, path)
    with pytest.raises(UploadChanged):
        assert_unchanged(path, signature)


def test_a_file_written_in_place_whose_time_was_set_back_is_noticed(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"abc")
    _, signature = fingerprint(path)
    while Signature.of(path).ctime_ns == signature.ctime_ns:  # the file system's clock ticks in milliseconds
        path.write_bytes(b"xyz")
        os.utime(path, ns=(signature.mtime_ns, signature.mtime_ns))
    with pytest.raises(UploadChanged):
        assert_unchanged(path, signature)


def test_a_file_that_is_gone_has_changed(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"abc")
    _, signature = fingerprint(path)
    path.unlink()
    with pytest.raises(UploadChanged, match="gone"):
        assert_unchanged(path, signature)


def test_an_unchanged_file_passes(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"abc")
    _, signature = fingerprint(path)
    path.read_bytes()
    assert_unchanged(path, signature)


@pytest.mark.parametrize("name", list(odd_files(Path())))
def test_what_is_no_readable_file_is_refused_with_its_code(tmp_path, name):
    make, code = odd_files(tmp_path)[name]
    with pytest.raises(UploadRefused) as refusal:
        fingerprint(make())
    assert refusal.value.code == code


def test_a_file_without_permission_to_read_is_refused_as_unreadable(tmp_path):
    with unprivileged() as folder:
        path = folder / "a.mp4"
        path.write_bytes(b"abc")
        path.chmod(0)
        with pytest.raises(UploadRefused) as refusal:
            fingerprint(path)
    assert refusal.value.code == "unreadable"
    assert isinstance(refusal.value.__cause__, PermissionError)
