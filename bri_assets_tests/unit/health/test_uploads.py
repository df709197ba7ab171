"""The look `uploads`: what is no video, failed, is stuck, waits or is late; found while it holds, and no longer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from bri_assets.definitions import build_defs
from bri_assets.findings import Finding
from bri_assets.health.consequences import without_consequences
from bri_assets.health.uploads import UPLOADS
from bri_assets.intake import Intake, examine
from bri_assets.jobs import INGEST
from bri_assets.runs import ATTEMPT_TAG, settle_all
from bri_assets.store import Claim
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.purge import Purge
from bri_assets_tests.clips import make_clip, make_text
from bri_assets_tests.unit.health.conftest import Home


def look(healthy: Home, path: Path) -> None:
    """Intake looks at a file."""
    store = healthy.made.store
    Intake(store, store.staging).admit(examine(path), requested_by="sensor")


def clip(healthy: Home, name: str = "second.mp4", *, seconds: float = 1) -> Path:
    return make_clip(healthy.made.settings.uploads_dir / name, seconds=seconds)


def failed(healthy: Home) -> tuple[Claim, Path, bytes]:
    """An upload whose ingest fails, for its file is another one by then; and what it was."""
    path = clip(healthy)
    content = path.read_bytes()
    claim = healthy.made.accept(path)
    path.write_bytes(content + b"!")
    assert not healthy.attempt(claim).success
    return claim, path, content


def hidden(findings: list[Finding]) -> list[str]:
    told = without_consequences(findings)
    return [finding.rule for finding in findings if finding not in told]


@pytest.mark.parametrize("mend", [Path.unlink, lambda path: path.write_bytes(b"other text")])
def test_a_file_that_is_no_video_is_found_until_it_is_removed_or_replaced(
    healthy: Home, mend: Callable[[Path], object]
) -> None:
    path = make_text(healthy.made.settings.uploads_dir / "notes.txt")
    look(healthy, path)
    found = healthy.the("upload_quarantined")
    assert found.facts["code"] == "not_a_video"
    assert "notes.txt" in found.summary
    assert found.facts["path"] == str(path)
    assert len(healthy.find()) == 1
    mend(path)
    assert "upload_quarantined" not in healthy.rules(UPLOADS)


def test_a_file_whose_name_is_no_text_is_found_until_it_is_renamed(healthy: Home) -> None:
    folder = healthy.made.settings.uploads_dir
    path = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mp4"))
    make_clip(folder / "x.mp4", seconds=1).rename(path)
    look(healthy, path)
    assert healthy.the("upload_quarantined", UPLOADS).facts["code"] == "bad_name"
    path.unlink()
    assert healthy.rules(UPLOADS) == []


def test_an_ingest_that_failed_is_one_finding_and_none_once_it_is_committed(healthy: Home) -> None:
    claim, path, content = failed(healthy)
    found = healthy.find()
    (told,) = without_consequences(found)
    assert (told.rule, told.subject, told.video_id) == ("ingest_failed", f"video:{claim.video_id}", claim.video_id)
    assert told.facts["code"] == "upload_changed"
    assert "source_video" in told.summary
    assert f"bri retry {claim.video_id}" in told.remedy
    path.write_bytes(content)
    again = healthy.made.accept(path)
    found = healthy.find()
    assert "ingest_failed" in hidden(found), "while it is tried again it holds, but is not told anew"
    assert without_consequences(found) == []
    assert healthy.the("ingest_failed").version == told.version
    assert healthy.attempt(again).success
    assert healthy.find() == []


def test_a_second_failure_of_an_upload_is_the_same_finding(healthy: Home) -> None:
    _, path, content = failed(healthy)
    first = healthy.the("ingest_failed")
    path.write_bytes(content)
    again = healthy.made.accept(path)
    path.write_bytes(content + b"?")
    assert not healthy.attempt(again).success
    second = healthy.the("ingest_failed")
    assert (second.subject, second.version) == (first.subject, first.version)
    assert second.facts["attempts"] == 2


def test_a_failed_ingest_is_over_when_its_video_is_purged(healthy: Home) -> None:
    claim, _, _ = failed(healthy)
    Purge.of(healthy.made.settings).purge(claim.video_id, reason="test", channel="test")
    assert "ingest_failed" not in healthy.rules()


def test_what_a_person_stopped_is_not_told_until_it_is_late(healthy: Home) -> None:
    claim = healthy.made.accept(clip(healthy))
    healthy.made.store.mark_failed(claim.video_id, run_id=None, channel="cli", code="stopped", reason="Stopped.")
    assert healthy.rules(UPLOADS) == []
    late = healthy.the("not_fresh", UPLOADS, later=timedelta(hours=25))
    assert late.video_id == claim.video_id
    assert "25.0 h ago" in late.summary


def test_a_failed_upload_that_is_late_too_is_one_finding(healthy: Home) -> None:
    _, path, _ = failed(healthy)
    path.unlink()
    found = healthy.find(UPLOADS, later=timedelta(hours=25))
    assert {finding.rule for finding in found} == {"ingest_failed", "not_fresh"}
    assert [finding.rule for finding in without_consequences(found)] == ["ingest_failed"]


def started(healthy: Home, claim: Claim, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    job = build_defs(healthy.made.settings).resolve_job_def(INGEST)
    return healthy.made.instance.create_run_for_job(
        job, tags={ATTEMPT_TAG: claim.attempt_id, "dagster/partition": claim.video_id}, status=status
    )


def test_a_run_that_shows_no_sign_of_life_is_stuck_until_it_ends(healthy: Home) -> None:
    claim = healthy.made.accept(clip(healthy))
    run = started(healthy, claim, dg.DagsterRunStatus.STARTED)
    settle_all(healthy.made.instance, healthy.made.store, healthy.made.store.pending())
    assert healthy.rules(UPLOADS) == []
    found = healthy.find(UPLOADS, later=timedelta(hours=2))
    assert [finding.rule for finding in found] == ["ingest_stuck"]
    assert found[0].facts["run_id"] == run.run_id
    healthy.made.instance.report_run_failed(run, "It died.")
    settle_all(healthy.made.instance, healthy.made.store, healthy.made.store.pending())
    assert healthy.rules(UPLOADS, later=timedelta(hours=2)) == ["ingest_failed"]


def test_a_run_that_says_something_is_not_stuck(healthy: Home) -> None:
    claim = healthy.made.accept(clip(healthy))
    run = started(healthy, claim, dg.DagsterRunStatus.STARTED)
    healthy.sql("UPDATE uploads SET updated_at = now() - INTERVAL 3 HOUR WHERE state = 'ingesting'")
    healthy.made.instance.report_engine_event("5 of 10 frames", run)
    assert "ingest_stuck" not in healthy.rules(UPLOADS)


@pytest.mark.parametrize("created", [True, False])
def test_uploads_that_wait_for_their_run_are_a_backlog_and_not_stuck(healthy: Home, created: bool) -> None:
    claim = healthy.made.accept(clip(healthy))
    if created:
        started(healthy, claim, dg.DagsterRunStatus.NOT_STARTED)
    assert healthy.rules(UPLOADS) == []
    assert healthy.rules(UPLOADS, later=timedelta(hours=3)) == ["backlog"]
    late = healthy.find(UPLOADS, later=timedelta(hours=25))
    assert {finding.rule for finding in late} == {"backlog", "not_fresh"}
    assert [finding.rule for finding in without_consequences(late)] == ["backlog"]


def test_files_that_nobody_looks_at_are_a_backlog_by_their_number_or_their_age(healthy: Home) -> None:
    clip(healthy)
    make_text(healthy.made.settings.uploads_dir / "notes.txt")
    assert healthy.rules(UPLOADS) == []
    assert healthy.change(backlog_most=1).the("backlog", UPLOADS).facts["waiting"] == 2
    assert healthy.rules(UPLOADS, later=timedelta(hours=3)) == ["backlog"]
    shutil.rmtree(healthy.made.settings.uploads_dir)
    assert healthy.rules(UPLOADS, later=timedelta(hours=3)) == []


def test_nothing_is_said_of_uploads_whose_video_is_deleted(healthy: Home) -> None:
    Deletion.of(healthy.made.settings).delete(healthy.video_id, channel="test")
    assert healthy.rules(UPLOADS, later=timedelta(hours=48)) == []
