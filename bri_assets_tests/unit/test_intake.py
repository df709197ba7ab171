"""What a file must show: settled, readable, a video; and the id that it gets."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bri_assets.intake import Intake, examine, is_settled, scan, unseen, video_id_of
from bri_assets.media.fingerprint import Signature
from bri_assets.store import ClaimResult
from bri_assets_tests.bundles import open_store
from bri_assets_tests.clips import make_clip, make_text
from bri_assets_tests.unit.media.refusals import unprivileged

SHA256 = "0123456789abcdef" * 4


@given(st.text(max_size=300))
def test_any_name_makes_an_id_that_is_safe_as_path_and_partition_key(name: str) -> None:
    made = video_id_of(name.replace("/", "").replace("\0", "") or "x", SHA256)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*-0123456789ab", made)
    assert len(made) <= 73


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("tour.mp4", "tour"),
        ("My Holiday (2).MP4", "my-holiday-2"),
        ("Übung macht.mov", "ubung-macht"),
        ("视频.mp4", "shi-pin"),
        ("--version.mp4", "version"),
        ("..mp4", "video"),
        ("!!!.mp4", "video"),
        ("a" * 250 + ".mp4", "a" * 60),
    ],
)
def test_ids_say_which_video_it_is(name: str, slug: str) -> None:
    assert video_id_of(name, SHA256) == f"{slug}-{SHA256[:12]}"


def test_a_file_is_settled_when_it_was_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    changed = path.stat().st_ctime
    assert not is_settled(path, settle_s=time.time() - changed + 30)
    assert is_settled(path, settle_s=0)
    os.utime(path, (1, 1))
    assert not is_settled(path, settle_s=30)


def test_a_clock_that_was_set_back_does_not_hold_a_file_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.touch()
    monkeypatch.setattr(time, "time", lambda: path.stat().st_ctime - 3600)
    assert is_settled(path, settle_s=2)


def test_only_files_that_may_be_uploads_are_listed(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4", ".hidden", "c.part", "d.TMP", "deep/e.mp4", ".deep/f.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nothing")
    assert [path.relative_to(tmp_path).as_posix() for path in scan(tmp_path)] == ["a.mp4", "b.mp4", "deep/e.mp4"]


def test_a_folder_that_cannot_be_listed_is_quarantined_and_stops_no_other(tmp_path: Path) -> None:
    with unprivileged() as folder:
        (folder / "closed").mkdir(mode=0o000)
        make_clip(folder / "open.mp4", seconds=1)
        found = list(scan(folder))
        assert [path.name for path in found] == ["open.mp4", "closed"]
        examined = [examine(path) for path in found]
        seen = {item.upload.path: item.upload.signature for item in examined}
        assert list(unseen(found, seen, settle_s=0)) == []
        (folder / "closed").chmod(0o755)
    store = open_store(tmp_path / "data")
    for item in examined:
        Intake(store, store.staging).admit(item, requested_by="sensor")
    assert [(row["filename"], row["state"]) for row in store.status()] == [
        ("open.mp4", "ingesting"),
        ("closed", "quarantined"),
    ]


def test_a_pipe_is_quarantined_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    refusal = examine(tmp_path / "pipe.mp4").refusal
    assert refusal is not None
    assert refusal.code == "not_a_video"


def test_what_was_seen_is_passed_over_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    seen = {str(path): str(Signature.of(path))}
    assert list(unseen([path, tmp_path / "gone.mp4"], seen, settle_s=0)) == []
    path.write_bytes(b"two, longer")
    assert list(unseen([path], seen, settle_s=0)) == [path]
    assert list(unseen([path], seen, settle_s=60)) == []


def test_an_unreadable_file_is_quarantined_and_looked_at_again_once_it_can_be_read(tmp_path: Path) -> None:
    with unprivileged() as folder:
        path = make_clip(folder / "clip.mp4", seconds=1)
        path.chmod(0o000)
        refused = examine(path)
        seen = {str(path): refused.upload.signature}
        assert list(unseen([path], seen, settle_s=0)) == []
        path.chmod(0o644)
        assert list(unseen([path], seen, settle_s=0)) == [path]
        accepted = examine(path)
    store = open_store(tmp_path / "data")
    intake = Intake(store, store.staging)
    assert intake.admit(refused, requested_by="sensor").claim is None
    (row,) = store.status()
    assert (row["state"], row["code"]) == ("quarantined", "unreadable")
    assert "Permission denied" in row["reason"]
    claim = intake.admit(accepted, requested_by="sensor").claim
    assert claim is not None
    assert claim.result is ClaimResult.INGEST


def test_a_name_that_is_no_text_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    make_clip(tmp_path / "made.mp4", seconds=1).rename(path)
    store = open_store(tmp_path / "data")
    assert Intake(store, store.staging).admit(examine(path), requested_by="sensor").claim is None
    (row,) = store.status()
    assert (row["code"], row["filename"]) == ("bad_name", "caf\\xe9.mp4")
    assert "Rename it" in row["reason"]
    assert list(unseen([path], store.seen(), settle_s=0)) == []


def test_an_accepted_video_is_found_by_its_assets_and_a_moved_file_is_followed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    intake, path = Intake(store, store.staging), make_clip(tmp_path / "clip.mp4", seconds=1)
    claim = intake.admit(examine(path), requested_by="cli").claim
    assert claim is not None
    assert store.staging.source(claim.video_id).path == str(path)
    moved = path.rename(tmp_path / "moved.mp4")
    again = intake.admit(examine(moved), requested_by="cli").claim
    assert again is not None
    assert again.video_id == claim.video_id
    assert store.staging.source(claim.video_id).path == str(moved)


def test_a_refusal_is_told_with_what_to_do(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    admission = Intake(store, store.staging).admit(examine(make_text(tmp_path / "a.mp4")), requested_by="cli")
    assert admission.refusal is not None
    assert store.status()[0]["reason"] == f"{admission.refusal.what} {admission.refusal.remedy}"
