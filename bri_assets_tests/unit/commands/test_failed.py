"""`bri failed` and `bri retry`: what a person is told of dead letters, and that the command it names mends them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bri_assets.intake import Intake, examine
from bri_assets.store import Claim
from bri_assets_tests.clips import cut, make_clip, make_text
from bri_assets_tests.commands import Bri


@pytest.fixture
def bri(tmp_path: Path, light_variables: dict[str, str]) -> Bri:
    made = Bri(tmp_path / "data", light_variables)
    made.store.status()
    return made


def accept(bri: Bri, path: Path) -> Claim:
    """Take a file in without running anything."""
    admission = Intake(bri.store, bri.store.staging).admit(examine(path), requested_by="sensor")
    assert admission.claim is not None
    return admission.claim


def fail(bri: Bri, path: Path, code: str) -> Claim:
    claim = accept(bri, path)
    bri.store.mark_failed(claim.video_id, run_id="run-1", channel="runs", code=code, reason=f"captions: it {code}.")
    return claim


def test_where_nothing_failed_it_says_so(bri: Bri) -> None:
    assert "Nothing has failed" in bri("failed")
    assert bri.json("failed") == []
    assert "Nothing has failed" in bri("retry", "--all")


def test_every_dead_letter_is_explained_with_what_becomes_of_it(bri: Bri, tmp_path: Path) -> None:
    claim = fail(bri, make_clip(tmp_path / "died.mp4", seconds=1), "run_died")
    fail(bri, make_clip(tmp_path / "refused.mp4", seconds=1, fps=6), "commit_refused")
    gone = make_clip(tmp_path / "gone.mp4", seconds=1, fps=7)
    fail(bri, gone, "run_died")
    gone.unlink()
    text = examine(make_text(tmp_path / "my notes.txt"))
    assert text.refusal is not None
    bri.store.quarantine(text.upload, code=text.refusal.code, reason=text.refusal.what, requested_by="sensor")
    found = {row["filename"]: row for row in bri.json("failed")}
    assert {name: (row["state"], row["code"], row["retried_by_machine"]) for name, row in found.items()} == {
        "died.mp4": ("failed", "run_died", True),
        "refused.mp4": ("failed", "commit_refused", False),
        "gone.mp4": ("failed", "run_died", False),
        "my notes.txt": ("quarantined", "not_a_video", False),
    }
    assert found["died.mp4"]["retried_at"] > found["died.mp4"]["since"]
    assert (found["died.mp4"]["attempts"], found["died.mp4"]["video_id"]) == (1, claim.video_id)
    assert found["died.mp4"]["command"] == f"bri retry {claim.video_id}"
    assert found["my notes.txt"]["command"] == f"bri retry {shlex.quote(str(tmp_path / 'my notes.txt'))}"
    assert "gone" in found["gone.mp4"]["retry"]
    printed = bri("failed")
    for row in found.values():
        assert row["command"] in printed
        assert row["reason"] in printed


def test_the_command_that_it_names_mends_it(bri: Bri, tmp_path: Path) -> None:
    fail(bri, make_clip(tmp_path / "died.mp4", seconds=1), "run_died")
    (row,) = bri.json("failed")
    assert "committed" in bri(*shlex.split(row["command"])[1:])
    assert bri.json("failed") == []


def test_all_of_one_code_are_retried_and_the_others_left(bri: Bri, tmp_path: Path) -> None:
    fail(bri, make_clip(tmp_path / "weights.mp4", seconds=1), "weights")
    fail(bri, make_clip(tmp_path / "stopped.mp4", seconds=1, fps=6), "stopped")
    assert "committed" in bri("retry", "--all", "--code", "weights")
    assert {name: row["state"] for name, row in bri.status().items()} == {
        "weights.mp4": "committed",
        "stopped.mp4": "failed",
    }
    assert "Nothing has failed with the code weights" in bri("retry", "--all", "--code", "weights")


def test_what_is_still_no_video_is_refused_again_and_the_exit_status_says_so(bri: Bri, tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "cut.mp4", seconds=10, options={"movflags": "faststart"})
    data = whole.read_bytes()
    bri("ingest", cut(whole, 0.5), exits=1)
    assert "refused" in bri("retry", whole, exits=1)
    assert "Nothing has failed" in bri("retry", "--all")
    whole.write_bytes(data)
    assert "committed" in bri("retry", "cut.mp4")


def test_a_retry_is_handed_over_to_the_daemon(bri: Bri, tmp_path: Path) -> None:
    fail(bri, make_clip(tmp_path / "stopped.mp4", seconds=1), "stopped")
    assert "left to the daemon" in bri("retry", "--all", "--later")
    (pending,) = bri.store.pending()
    assert (pending.attempt, pending.requested_by) == (2, "retry")
    assert bri.json("failed") == []


def test_what_changed_cannot_be_handed_over(bri: Bri, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "died.mp4", seconds=1)
    fail(bri, path, "run_died")
    make_clip(path, seconds=1, fps=9)
    assert "not handed over" in bri("retry", "died.mp4", "--later", exits=1)
    assert bri.store.pending() == []


def test_of_copies_of_one_file_one_is_retried_that_is_there(bri: Bri, tmp_path: Path) -> None:
    claim = fail(bri, make_clip(tmp_path / "a.mp4", seconds=1), "stopped")
    copy = tmp_path / "b.mp4"
    copy.write_bytes((tmp_path / "a.mp4").read_bytes())
    upload = examine(copy).upload
    bri.store.claim(upload, requested_by="sensor")
    bri.store.mark_failed(claim.video_id, run_id=None, channel="runs", code="stopped", reason="stopped")
    (tmp_path / "a.mp4").unlink()
    printed = bri("retry", claim.video_id)
    assert printed.count("committed as") == 1
    assert {row["state"] for row in bri.status().values()} == {"committed"}


def test_wrong_usage_is_told(bri: Bri) -> None:
    bri("retry", exits=2)
    bri("retry", "clip.mp4", "--all", exits=2)
    assert "no failed or quarantined upload" in bri("retry", "nobody", exits=1)
