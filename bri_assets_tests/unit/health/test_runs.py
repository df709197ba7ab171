"""The looks `runs` and `checks`: failed runs, slow stages, failed checks; found while it holds, and no longer."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from bri_assets.checks.drift import evaluation
from bri_assets.checks.indexed import AGREES_KEY
from bri_assets.checks.partitioned import report_evaluation
from bri_assets.checks.verified import Verdict, verify
from bri_assets.definitions import build_defs
from bri_assets.findings import Finding
from bri_assets.health.checks import CHECKS, check_keys
from bri_assets.health.consequences import without_consequences
from bri_assets.health.runs import RUNS
from bri_assets.jobs import BACK_UP, VERIFY
from bri_assets.store.deletion import Deletion
from bri_assets.store.outbox import Outbox, storable
from bri_assets.store.verify import Verification
from bri_assets_tests.clips import make_clip
from bri_assets_tests.unit.health.conftest import Home


def run(healthy: Home, job: str) -> dg.ExecuteInProcessResult:
    """A job without partitions; a failure is a result too."""
    return (
        build_defs(healthy.made.settings)
        .resolve_job_def(job)
        .execute_in_process(
            instance=healthy.made.instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    )


def test_a_job_that_failed_is_one_finding_until_it_succeeds(healthy: Home) -> None:
    blocked = healthy.made.settings.home / "no-folder"
    blocked.write_text("a file")
    broken = healthy.change(backups_dir=blocked, retries=0)
    assert not run(broken, BACK_UP).success
    assert not run(broken, BACK_UP).success
    (found,) = healthy.find()
    assert (found.rule, found.subject, found.version) == ("run_failed", f"run:{BACK_UP}", "")
    assert found.facts["run_id"] in found.remedy
    assert run(healthy, BACK_UP).success
    assert healthy.find() == []


def test_assets_that_failed_by_hand_are_found_until_they_succeed(healthy: Home) -> None:
    manifest = healthy.made.settings.staged_dir / healthy.video_id / "frames.json"
    content = manifest.read_bytes()
    manifest.unlink()
    assert not healthy.made.run(healthy.video_id, ["captions"]).success
    (found,) = without_consequences(healthy.find())
    assert (found.rule, found.video_id) == ("run_failed", healthy.video_id)
    assert "is not staged" in found.summary
    manifest.write_bytes(content)
    assert healthy.made.run(healthy.video_id, ["frames"]).success
    assert healthy.rules(RUNS) == ["run_failed"], "another asset's success is none of this one's"
    assert healthy.made.run(healthy.video_id, ["captions"]).success
    assert healthy.rules(RUNS) == []


def test_a_failed_run_is_over_when_its_video_is_committed_anew_or_deleted(healthy: Home) -> None:
    manifest = healthy.made.settings.staged_dir / healthy.video_id / "frames.json"
    manifest.unlink()
    assert not healthy.made.run(healthy.video_id, ["captions"]).success
    assert healthy.rules(RUNS) == ["run_failed"]
    Deletion.of(healthy.made.settings).delete(healthy.video_id, channel="test")
    assert healthy.rules(RUNS) == []
    Deletion.of(healthy.made.settings).undelete(healthy.video_id, channel="test")
    assert healthy.rules(RUNS) == ["run_failed"]
    healthy.sql("UPDATE video_versions SET committed_at = now()::TIMESTAMPTZ + INTERVAL 1 SECOND")
    assert healthy.rules(RUNS) == []


def test_the_failed_attempt_of_an_upload_is_no_finding_of_its_own(healthy: Home) -> None:
    path = make_clip(healthy.made.settings.uploads_dir / "second.mp4", seconds=1)
    claim = healthy.made.accept(path)
    path.write_bytes(b"other bytes")
    assert not healthy.attempt(claim).success
    assert healthy.rules(RUNS, CHECKS) == []


def test_a_failed_run_that_was_told_of_is_found_for_as_long_as_its_alert_is_open(healthy: Home) -> None:
    blocked = healthy.made.settings.home / "no-folder"
    blocked.write_text("a file")
    assert not run(healthy.change(backups_dir=blocked, retries=0), BACK_UP).success
    month = timedelta(days=30)
    assert "run_failed" not in healthy.rules(RUNS, later=month), "nobody was told, and it is long ago"
    found = healthy.the("run_failed", RUNS)
    Outbox.of(healthy.made.settings).sync([storable(found)], list(RUNS.rules), channels=[], channel="test")
    assert healthy.rules(RUNS, later=month) == ["run_failed"]


@pytest.mark.parametrize("stage", ["frames", "captions", "transcripts", "detections"])
def test_a_stage_that_took_longer_than_its_target_is_found(healthy: Home, stage: str) -> None:
    (found,) = healthy.change(**{f"{stage}_target_s": 1e-9}).find()
    assert (found.rule, found.subject, found.weight) == ("stage_slow", f"stage:{stage}", "WARN")
    assert found.facts["version_id"] == 1


def test_a_longer_video_may_take_longer(healthy: Home) -> None:
    healthy.sql("UPDATE lineage SET seconds = 15", "UPDATE videos SET duration_s = 600")
    assert healthy.change(frames_target_s=10, captions_target_s=1).rules(RUNS) == ["stage_slow", "stage_slow"]
    healthy.sql("UPDATE videos SET duration_s = 1200")
    assert healthy.change(frames_target_s=10, captions_target_s=1).rules(RUNS) == []


def report(healthy: Home, name: str, verdict: Verdict, video_id: str | None = None) -> None:
    run = healthy.made.instance.create_run_for_job(build_defs(healthy.made.settings).resolve_job_def(BACK_UP))
    said = evaluation(name, video_id or healthy.video_id, verdict)
    report_evaluation(healthy.made.instance, run, "verification", said)


def the_check(healthy: Home) -> Finding:
    return healthy.the("check_failed", CHECKS)


@pytest.mark.parametrize(("name", "weight"), [("images", "ERROR"), ("upload_unchanged", "WARN")])
def test_a_failed_check_is_found_with_its_severity_until_it_passes(healthy: Home, name: str, weight: str) -> None:
    report(healthy, name, Verdict(False, "something is gone.", [{"what": "missing"}]))
    (found,) = healthy.find()
    assert found.weight == weight
    assert found.subject == f"check:{'frames' if name == 'images' else 'source_video'}/{name}/{healthy.video_id}"
    assert "something is gone" in found.summary
    report(healthy, name, Verdict(True, "it is there."))
    assert healthy.find() == []


def test_a_failed_check_of_one_video_is_not_hidden_by_another_videos(healthy: Home) -> None:
    report(healthy, "images", Verdict(False, "something is gone."))
    report(healthy, "images", Verdict(True, "all is there."), "another-video")
    assert the_check(healthy).video_id == healthy.video_id


def test_a_check_of_a_video_that_there_is_not_does_not_count(healthy: Home) -> None:
    report(healthy, "images", Verdict(False, "something is gone."), "another-video")
    assert healthy.find() == []
    report(healthy, "images", Verdict(False, "something is gone."))
    Deletion.of(healthy.made.settings).delete(healthy.video_id, channel="test")
    assert healthy.find() == []


def test_an_evaluation_that_never_came_hides_no_failed_one(healthy: Home) -> None:
    key = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("captions"), check_name="schema", passed=False, partition=healthy.video_id
    )
    healthy.made.instance.report_runless_asset_event(key)
    assert the_check(healthy).facts["check"] == "schema"
    manifest = healthy.made.settings.staged_dir / healthy.video_id / "frames.json"
    manifest.unlink()
    assert not healthy.made.run(healthy.video_id, ["captions"]).success
    assert the_check(healthy).facts["check"] == "schema"


def test_a_check_without_partitions_is_found_too(healthy: Home) -> None:
    said = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("backup"), check_name="recovers", passed=False, description="It does not: rows differ."
    )
    healthy.made.instance.report_runless_asset_event(said)
    assert the_check(healthy).subject == "check:backup/recovers"


def test_what_a_check_of_rows_quotes_is_not_repeated(healthy: Home) -> None:
    said = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("captions"),
        check_name="schema",
        passed=False,
        description="the first: a caption's words",
        partition=healthy.video_id,
    )
    healthy.made.instance.report_runless_asset_event(said)
    assert "words" not in the_check(healthy).summary


def test_every_check_of_the_definitions_is_looked_at(healthy: Home) -> None:
    graph = build_defs(healthy.made.settings).resolve_asset_graph()
    # Of these two, looks of their own speak.
    others = {dg.AssetCheckKey(dg.AssetKey("committed_video"), "quality"), AGREES_KEY}
    assert graph.asset_check_keys - others <= set(check_keys(healthy.made.settings))


def materialized(healthy: Home) -> None:
    healthy.made.instance.report_runless_asset_event(dg.AssetMaterialization(dg.AssetKey("verification")))


def test_verification_that_never_was_or_is_long_ago_is_overdue(healthy: Home) -> None:
    much_later = timedelta(hours=49)
    assert healthy.rules(CHECKS, later=timedelta(hours=47)) == []
    assert healthy.rules(CHECKS, later=much_later) == ["check_overdue"]
    assert healthy.change(verify_cron="off").rules(CHECKS, later=much_later) == []
    healthy.sql("UPDATE video_versions SET committed_at = now()::TIMESTAMPTZ - INTERVAL 100 HOUR")
    assert healthy.rules(CHECKS) == ["check_overdue"]
    materialized(healthy)
    assert healthy.rules(CHECKS) == []
    assert healthy.rules(CHECKS, later=much_later) == ["check_overdue"]
    Deletion.of(healthy.made.settings).delete(healthy.video_id, channel="test")
    assert healthy.rules(CHECKS, later=much_later) == []


def test_the_verdicts_of_a_real_video_pass(healthy: Home) -> None:
    found = verify(Verification.of(healthy.made.settings), healthy.video_id)
    assert all(verdict.passed for verdict in found.values()), found


def verified(healthy: Home) -> None:
    assert run(healthy, VERIFY).success


@pytest.mark.parametrize("fault", ["an image", "a row"])
def test_drift_is_one_finding_until_the_partition_is_materialized_again(healthy: Home, fault: str) -> None:
    if fault == "an image":
        next((healthy.made.settings.frames_dir / healthy.video_id).iterdir()).unlink()
    else:
        healthy.sql("UPDATE frames SET width = 1")
    verified(healthy)
    (found,) = without_consequences(healthy.find())
    assert (found.rule, found.weight) == ("check_failed", "ERROR")
    assert found.facts["check"] == ("images" if fault == "an image" else "unchanged")
    assert healthy.made.run(healthy.video_id).success
    verified(healthy)
    assert healthy.find() == []
